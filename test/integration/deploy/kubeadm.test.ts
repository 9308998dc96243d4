import { readFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { kustomize } from "../../../scripts/deploy-files.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { DeployedCluster } from "./cluster.ts";
import { nameOf, readManifests, requireTools } from "./manifests.ts";

const single = readFileSync("deploy/rendered/romana-kubeadm.yaml", "utf8");
const monitor = readFileSync("deploy/kubernetes/components/service-monitor/service-monitor.yaml", "utf8");

/** Of the Prometheus operator's kind no more than its name and that a selector and endpoints are needed. */
const monitorKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, listKind: ServiceMonitorList, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [selector, endpoints]
              properties:
                selector: {type: object, x-kubernetes-preserve-unknown-fields: true}
                endpoints:
                  type: array
                  items: {type: object, x-kubernetes-preserve-unknown-fields: true}
`;

describe.skipIf(requireKubeApi() || requireTools("kubectl", "kustomize", "kubeconform"))(
  "the files for kubeadm on an API server with the service range 10.96.0.0/12",
  () => {
    let cluster: DeployedCluster;
    const apply = (text: string, ...flags: readonly string[]) =>
      cluster.kubectl(["apply", ...flags, "--filename", "-"], text);
    const read = async (path: string): Promise<unknown> => await cluster.server.call("GET", path);
    beforeAll(async () => {
      cluster = await DeployedCluster.start("10.96.0.0/12");
    });
    afterAll(() => cluster.stop());

    it.for([
      "deploy/rendered/romana-kubeadm.yaml",
      "deploy/kubernetes/overlays/kubeadm-etcd-service",
      "deploy/kubernetes/overlays/kubeadm-etcd-standalone",
      "deploy/kubernetes/overlays/custom-network",
    ])("are taken as they are, dry and in earnest: %s", async (path) => {
      const text = path.endsWith(".yaml") ? readFileSync(path, "utf8") : kustomize(path);

      expect(await cluster.conforms(text)).toMatchObject({ ok: true });
      expect(apply(text, "--dry-run=server")).toMatchObject({ ok: true });
      expect(apply(text)).toMatchObject({ ok: true });
      const applied = cluster.applied(text);
      expect(applied.map(nameOf)).toEqual(readManifests(text).map(nameOf));
      expect(applied).toMatchObject(readManifests(text));
    });

    it("mount a topology of one's own where the manual says, and give its file to the controller", async () => {
      expect(await read("/apis/apps/v1/namespaces/kube-system/deployments/romana-controller")).toMatchObject({
        spec: {
          template: {
            spec: {
              containers: [
                {
                  args: expect.arrayContaining(["--initial-network=/etc/romana/network/custom-network.json"]),
                  volumeMounts: expect.arrayContaining([
                    expect.objectContaining({
                      name: "romana-config-volume",
                      mountPath: "/etc/romana/network",
                    }),
                  ]),
                },
              ],
              volumes: expect.arrayContaining([
                expect.objectContaining({
                  name: "romana-config-volume",
                  configMap: expect.objectContaining({ name: "romana-network-conf" }),
                }),
              ]),
            },
          },
        },
      });
      expect(await read("/api/v1/namespaces/kube-system/configmaps/romana-network-conf")).toMatchObject({
        data: { "custom-network.json": expect.stringContaining("my-network") },
      });
    });

    it("change the etcd of an installation that stands, and leave nothing of the other one", async () => {
      expect(apply(single)).toMatchObject({ ok: true });
      expect(apply(readFileSync("deploy/rendered/etcd-standalone.yaml", "utf8"))).toMatchObject({ ok: true });

      expect(await read("/api/v1/namespaces/kube-system/configmaps/romana-etcd")).toMatchObject({
        data: { ROMANA_ETCD_ENDPOINTS: "https://10.96.0.88:12379" },
      });
      const deployment = JSON.stringify(
        await read("/apis/apps/v1/namespaces/kube-system/deployments/romana-controller"),
      );
      expect(deployment).toContain('"secretName":"romana-etcd-tls"');
      // The annotation of `kubectl apply` is the same manifest.
      expect(deployment).not.toContain("apiserver-etcd-client");
      expect(apply(single)).toMatchObject({ ok: true });
    });

    it("give Prometheus' operator its object, once its kind is there", async () => {
      expect(apply(monitor, "--dry-run=server").text).toContain('no matches for kind "ServiceMonitor"');

      expect(apply(monitorKind)).toMatchObject({ ok: true });
      const kind = "customresourcedefinition/servicemonitors.monitoring.coreos.com";
      expect(cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", kind])).toMatchObject({
        ok: true,
      });
      expect(apply(monitor)).toMatchObject({ ok: true });
      expect(cluster.applied(monitor)).toMatchObject(readManifests(monitor));
    });

    it("stand at the documented addresses", async () => {
      expect(await read("/api/v1/namespaces/kube-system/services/romana")).toMatchObject({
        spec: { clusterIP: "10.96.0.99", ports: [{ name: "daemon", port: 9600 }] },
      });
      expect(await read("/api/v1/namespaces/kube-system/services/romana-etcd")).toMatchObject({
        spec: { clusterIP: "10.96.0.88", ports: [{ name: "etcd", port: 12_379 }] },
      });
    });

    it.for([
      ["a field that Kubernetes does not have", "  replicas: 2\n", "  replicas: 2\n  replica: 2\n"],
      ["a number that is none", "  replicas: 2\n", "  replicas: two\n"],
    ] as const)("would be refused with %s, by the server and by its schemas", async ([, from, to]) => {
      const bad = single.replace(from, to);

      expect(bad).not.toBe(single);
      expect(apply(bad, "--dry-run=server")).toMatchObject({ ok: false });
      expect(await cluster.conforms(bad)).toMatchObject({ ok: false });
    });

    it("go away as they came", () => {
      expect(
        cluster.kubectl(["delete", "--ignore-not-found", "--wait=false", "--filename", "-"], single),
      ).toMatchObject({ ok: true });
      expect(cluster.kubectl(["get", "--filename", "-"], single).ok).toBe(false);
    });
  },
);
