import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab } from "../../support/kube-lab.ts";
import {
  create,
  endpointSlice,
  namespace,
  networkPolicy,
  node,
  objectPath,
  patch,
  patchStatus,
  pod,
  remove,
  service,
} from "../../support/kube-objects.ts";

describe.skipIf(requireKubeApi())("objects that tests bring in through the API", () => {
  let lab: KubeLab;
  beforeAll(async () => {
    lab = await KubeLab.start();
    await create(lab.kube, namespace("shop", { team: "blue" }, { note: "kept" }));
  });
  afterAll(() => lab.close());

  it("are Nodes that are ready, with an address and a providerID", async () => {
    const made = await create(
      lab.kube,
      node({ name: "n1", ip: "10.1.2.3", zone: "us-west-2a", instance: "i-0123456789abcdef0" }),
    );

    expect(made).toMatchObject({
      metadata: { labels: { "topology.kubernetes.io/zone": "us-west-2a" } },
      spec: { providerID: "aws:///us-west-2a/i-0123456789abcdef0" },
      status: {
        addresses: [
          { type: "InternalIP", address: "10.1.2.3" },
          { type: "Hostname", address: "n1" },
        ],
        conditions: [{ type: "Ready", status: "True" }],
      },
    });
  });

  it("are Nodes that change and go: the next one of that name has another UID", async () => {
    const first = await create(lab.kube, node({ name: "n2", ip: "10.1.2.4", ready: false }));

    const changed = await patch(lab.kube, first, { spec: { unschedulable: true } });
    await remove(lab.kube, first);
    const second = await create(lab.kube, node({ name: "n2", ip: "10.1.2.5" }));

    expect(first.status).toMatchObject({ conditions: [{ type: "Ready", status: "False" }] });
    expect(changed.spec).toMatchObject({ unschedulable: true });
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
  });

  it("are Pods that run, with an address; they end at once when they are removed", async () => {
    const made = await create(
      lab.kube,
      pod({
        namespace: "shop",
        name: "p1",
        node: "n1",
        ip: "100.96.0.2",
        labels: { app: "web" },
        ports: [{ name: "http", containerPort: 8080 }],
      }),
    );
    const moved = await patchStatus(lab.kube, made, { phase: "Succeeded" });

    await remove(lab.kube, made);

    expect(made).toMatchObject({
      metadata: { labels: { app: "web" } },
      spec: { nodeName: "n1" },
      status: { phase: "Running", podIP: "100.96.0.2", podIPs: [{ ip: "100.96.0.2" }] },
    });
    expect(moved.status).toMatchObject({ phase: "Succeeded" });
    expect((await lab.kube.request("GET", objectPath(made))).status).toBe(404);
  });

  it("are Pods that nobody has placed, and Pods of the host's network", async () => {
    const waiting = await create(lab.kube, pod({ namespace: "shop", name: "p2" }));
    const onHost = await create(
      lab.kube,
      pod({
        namespace: "shop",
        name: "p3",
        node: "n1",
        ip: "10.1.2.3",
        hostNetwork: true,
        ports: [{ containerPort: 9600 }],
      }),
    );

    expect(waiting.status).toMatchObject({ phase: "Pending" });
    expect(onHost.spec).toMatchObject({ hostNetwork: true });
  });

  it("are policies, Services and their endpoints", async () => {
    const policy = await create(
      lab.kube,
      networkPolicy("shop", "deny", { podSelector: {}, policyTypes: ["Ingress"] }),
    );
    const front = await create(
      lab.kube,
      service({ namespace: "shop", name: "web", annotations: { romanavip: "yes" } }),
    );
    const slice = await create(
      lab.kube,
      endpointSlice({
        namespace: "shop",
        name: "web-1",
        service: "web",
        endpoints: [{ ip: "100.96.0.2", node: "n1", pod: { name: "p1", uid: "u1" } }],
      }),
    );

    expect(policy.spec).toMatchObject({ podSelector: {} });
    expect(front).toMatchObject({
      metadata: { annotations: { romanavip: "yes" } },
      spec: { type: "ClusterIP", selector: { app: "web" } },
    });
    expect(slice).toMatchObject({ endpoints: [{ addresses: ["100.96.0.2"], nodeName: "n1" }] });
  });

  it("are seen by the controller's service account, which sees no Secret", async () => {
    const token = await lab.kube.tokenOf({ namespace: "kube-system", name: "romana-controller" });

    expect((await lab.kube.request("GET", "/api/v1/pods", { token })).status).toBe(200);
    expect((await lab.kube.request("GET", "/api/v1/secrets", { token })).status).toBe(403);
  });
});
