import { expect, it } from "vitest";

import type { ClusterNamespace, ClusterPod } from "../../../src/core/cluster/objects.ts";
import { ClusterTenants } from "../../../src/services/cluster/cluster-tenants.ts";
import { ObjectView } from "../../../src/services/cluster/object-view.ts";

function world() {
  const namespaces = new ObjectView<ClusterNamespace>();
  const pods = new ObjectView<ClusterPod>();
  const meta = (name: string, namespace = "") => ({
    name,
    namespace,
    uid: `uid-of-${namespace}-${name}`,
    resourceVersion: "1",
    deleting: false,
  });
  const addPod = (namespace: string, name: string, labels: Record<string, string>, hostNetwork = false) =>
    pods.put({
      ...meta(name, namespace),
      labels,
      node: "",
      ips: [],
      phase: "Pending",
      hostNetwork,
      namedPorts: [],
    });
  namespaces.put({ ...meta("shop"), labels: {}, isolation: undefined });
  namespaces.put({ ...meta("empty"), labels: {}, isolation: undefined });
  addPod("shop", "web", { "romana.io/segment": "front" });
  addPod("shop", "db", {});
  addPod("shop", "node-exporter", { "romana.io/segment": "host" }, true);
  return new ClusterTenants({ namespaces, pods, label: "romana.io/segment" });
}

it("tells the namespaces as tenants, and the label of Pods as segments", () => {
  expect([...world().owners()]).toEqual([
    { tenant: "shop", segment: undefined },
    { tenant: "empty", segment: undefined },
    { tenant: "shop", segment: "front" },
    { tenant: "shop", segment: "default" },
  ]);
});

it("tells those of one tenant alone when that is asked", () => {
  expect([...world().owners("empty")]).toEqual([{ tenant: "empty", segment: undefined }]);
});
