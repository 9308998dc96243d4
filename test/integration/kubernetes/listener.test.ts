import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { EtcdStore } from "../../../src/adapters/etcd/etcd-store.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { requireKubeApi, type AuditEntry } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import {
  create,
  namespace,
  networkPolicy,
  node,
  objectPath,
  patch,
  pod,
  service,
  type KubeObject,
} from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { silentLog } from "../../support/silent-log.ts";

interface EventObject {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly regarding: { readonly kind: string; readonly name: string; readonly uid?: string };
}

/** Two zones, a leaf group each. */
const ZONES = {
  networks: [{ name: "net", cidr: "10.112.0.0/12", block_mask: 29 }],
  topologies: [
    {
      networks: ["net"],
      map: ["a", "b"].map((zone) => ({
        name: `zone-${zone}`,
        assignment: { "topology.kubernetes.io/zone": `us-west-2${zone}` },
        groups: [{ name: `group-${zone}` }],
      })),
    },
  ],
};

describe.skipIf(requireKubeApi())("a controller in a cluster", () => {
  let lab: KubeLab;
  let controller: LabFollower;
  /** From the kill of the API server until it was ready, wall clock in milliseconds. */
  const restarts: (readonly [number, number])[] = [];
  beforeAll(async () => {
    lab = await KubeLab.start();
    controller = await lab.controller({ store: "etcd" });
  });
  afterAll(() => lab.close());

  const get = async (path: string): Promise<{ readonly status: number; readonly body: unknown }> =>
    await controller.process.call("GET", path);
  async function events(name: string, reason: string): Promise<readonly EventObject[]> {
    const { items } = (await lab.kube.call("GET", "/apis/events.k8s.io/v1/events")) as {
      readonly items: readonly EventObject[];
    };
    return items.filter((event) => event.regarding.name === name && event.reason === reason);
  }
  const told = (name: string, reason: string): Promise<number> =>
    until(`${reason} on ${name}`, async () => (await events(name, reason)).length > 0);
  const placed = (name: string): Promise<number> =>
    until(
      `host ${name} is placed`,
      async () => ((await get(`/hosts/${name}`)).body as { readonly placed?: boolean }).placed === true,
    );
  const models = async (): Promise<readonly Record<string, unknown>[]> =>
    ((await get("/policy-models")).body ?? []) as readonly Record<string, unknown>[];
  const modelOf = async (object: KubeObject): Promise<Record<string, unknown> | undefined> =>
    (await models()).find(({ id }) => String(id).includes(object.metadata.uid ?? "no uid"));
  async function remove(object: KubeObject): Promise<void> {
    await lab.kube.call("DELETE", `${objectPath(object)}?gracePeriodSeconds=0`);
  }

  it("begins with the topology that the address of the API server's service tells", async () => {
    await until("there is a network", async () => JSON.stringify((await get("/networks")).body) !== "[]");
    expect((await get("/networks")).body).toMatchObject([{ id: "romana-network", cidr: "10.112.0.0/12" }]);
  });

  it("refuses a network that overlaps the range of the cluster's services", async () => {
    const { status, body } = await controller.process.call("POST", "/topology", {
      ...ZONES,
      networks: [{ name: "net", cidr: "10.96.0.0/11", block_mask: 29 }],
    });
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain("service range");
  });

  it("leads by the Lease of the cluster", async () => {
    await until("it leads", async () => (await get("/leader")).status === 200);
    const lease = await lab.kube.call(
      "GET",
      "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/romana-controller",
    );
    expect(JSON.stringify(lease)).toContain("replica-1");
  });

  it("makes hosts of Nodes, and says on each where it was placed", async () => {
    expect((await controller.process.call("POST", "/topology", ZONES)).status).toBe(200);
    await create(lab.kube, node({ name: "n1", ip: "192.168.1.1", zone: "us-west-2a" }));
    await create(lab.kube, node({ name: "n2", ip: "192.168.1.2", zone: "us-west-2b" }));
    await placed("n1");
    await placed("n2");
    const { body } = await get("/hosts/n2");
    expect(body).toMatchObject({ ip: "192.168.1.2", origin: "kubernetes" });
    await told("n1", "HostPlaced");
    const [event] = await events("n1", "HostPlaced");
    expect(event).toMatchObject({ type: "Normal", regarding: { kind: "Node", name: "n1" } });
    expect(event?.note).toContain("10.112.0.0/13");
  });

  it("says on a Node why it has no place, and takes the place when the labels change", async () => {
    const lost = await create(lab.kube, node({ name: "lost", ip: "192.168.1.3", zone: "us-west-2z" }));
    await told("lost", "HostUnplaced");
    await patch(lab.kube, lost, { metadata: { labels: { "topology.kubernetes.io/zone": "us-west-2b" } } });
    await placed("lost");
    await told("lost", "HostPlaced");
    expect((await events("lost", "HostPlaced"))[0]?.note).toContain("10.120.0.0/13");
  });

  it("waits for the address of a Node that has none", async () => {
    const bare = await create(lab.kube, node({ name: "bare", zone: "us-west-2a" }));
    await told("bare", "NodeIncomplete");
    expect((await get("/hosts/bare")).status).toBe(404);
    await lab.kube.call("PATCH", `${objectPath(bare)}/status`, {
      body: { status: { addresses: [{ type: "InternalIP", address: "192.168.1.4" }] } },
      contentType: "application/strategic-merge-patch+json",
    });
    await placed("bare");
  });

  it("keeps an address for the first of two Nodes that claim it", async () => {
    await create(lab.kube, node({ name: "twin", ip: "192.168.1.1", zone: "us-west-2a" }));
    await told("twin", "HostAddressTaken");
    expect((await get("/hosts/twin")).status).toBe(404);
    expect((await get("/hosts/n1")).body).toMatchObject({ ip: "192.168.1.1" });
  });

  it("leaves a host where its Pods are when the labels of its Node change", async () => {
    await create(lab.kube, node({ name: "moving", ip: "192.168.1.5", zone: "us-west-2a" }));
    await placed("moving");
    const made = await controller.process.call("POST", "/address", {
      name: "web.default.1",
      host: "moving",
      tenant: "default",
      segment: "default",
    });
    expect(made.status).toBe(200);
    await patch(lab.kube, node({ name: "moving" }), {
      metadata: { labels: { "topology.kubernetes.io/zone": "us-west-2b" } },
    });
    await told("moving", "HostMisplaced");
    expect((await get("/hosts/moving")).body).toMatchObject({ misplaced: true, placed: true });
    expect((await get("/addresses")).body).toMatchObject([{ name: "web.default.1" }]);
  });

  it("joins an address with its Pod, whichever comes first", async () => {
    await create(lab.kube, namespace("shop"));
    const web = await create(
      lab.kube,
      pod({ namespace: "shop", name: "web", node: "n1", labels: { app: "web" } }),
    );
    const answer = await controller.process.call("POST", "/address", {
      name: "web.shop.1",
      host: "n1",
      namespace: "shop",
      pod: "web",
      podUID: web.metadata.uid,
    });
    expect(answer.status).toBe(200);
    const address = (answer.body as { readonly ip?: string }).ip ?? String(answer.body);
    const { body: tenants } = await get("/tenants");
    expect(tenants).toContainEqual(expect.objectContaining({ name: "shop", segments: ["default"] }));
    await until("the address is explained by its Pod", async () => {
      const { body } = await get(`/explain/ip/${address}`);
      return JSON.stringify(body).includes("shop/web") || JSON.stringify(body).includes('"app":"web"');
    });
  });

  it("translates a NetworkPolicy, follows its edits, and forgets it", async () => {
    const policy = await create(
      lab.kube,
      networkPolicy("shop", "front", {
        podSelector: { matchLabels: { app: "web" } },
        ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ protocol: "TCP", port: 80 }] }],
      }),
    );
    await until("it is translated", async () => (await modelOf(policy)) !== undefined);
    expect(JSON.stringify(await modelOf(policy))).toContain("80");
    await patch(lab.kube, policy, {
      spec: { ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ protocol: "TCP", port: 8443 }] }] },
    });
    await until("the edit is translated", async () => JSON.stringify(await modelOf(policy)).includes("8443"));
    expect(JSON.stringify(await modelOf(policy))).not.toContain("80,");
    await remove(policy);
    await until("it is forgotten", async () => (await modelOf(policy)) === undefined);
  });

  it("translates policies that select nothing and everything", async () => {
    const nothing = await create(
      lab.kube,
      networkPolicy("shop", "nothing", {
        podSelector: { matchLabels: { no: "such-pod" } },
        policyTypes: ["Ingress"],
      }),
    );
    const everything = await create(
      lab.kube,
      networkPolicy("shop", "everything", { podSelector: {}, policyTypes: ["Ingress", "Egress"] }),
    );
    for (const each of [nothing, everything]) {
      await until("it is translated", async () => (await modelOf(each)) !== undefined);
    }
    expect(JSON.stringify((await modelOf(nothing))?.["targets"])).toContain("such-pod");
    expect(JSON.stringify((await modelOf(everything))?.["targets"])).not.toContain("such-pod");
    expect((await modelOf(everything))?.["isolates"]).toEqual(["ingress", "egress"]);
    await remove(nothing);
    await remove(everything);
  });

  it("isolates a namespace by its annotation, and says when that cannot be read", async () => {
    const isolated = namespace(
      "closed",
      {},
      {
        "net.beta.kubernetes.io/networkpolicy": '{"ingress":{"isolation":"DefaultDeny"}}',
      },
    );
    const made = await create(lab.kube, isolated);
    await until("it is isolated", async () => (await modelOf(made)) !== undefined);
    await patch(lab.kube, isolated, {
      metadata: { annotations: { "net.beta.kubernetes.io/networkpolicy": "{not json" } },
    });
    await told("closed", "IsolationUnreadable");
    expect(await modelOf(made)).toBeDefined();
    await patch(lab.kube, isolated, {
      metadata: { annotations: { "net.beta.kubernetes.io/networkpolicy": null } },
    });
    await until("it is open again", async () => (await modelOf(made)) === undefined);
  });

  it("says on a policy what cannot be expressed, and lets nobody in by it", async () => {
    const made = await create(
      lab.kube,
      networkPolicy("shop", "later", {
        podSelector: { matchLabels: { app: "web" } },
        ingress: [{ ports: [{ protocol: "TCP", port: 4711 }] }],
      }),
    );
    // An API server of today refuses the protocol: a later one may know it.
    const key = "/registry/networkpolicies/shop/later";
    const stored = {
      ...made,
      spec: {
        podSelector: { matchLabels: { app: "web" } },
        policyTypes: ["Ingress"],
        ingress: [{ ports: [{ protocol: "DCCP", port: 4711 }] }],
      },
    };
    await lab.etcd.etcdctl(["put", key, JSON.stringify(stored)]);
    await told("later", "PolicyNotExpressible");
    const [event] = await events("later", "PolicyNotExpressible");
    expect(event).toMatchObject({ type: "Warning", regarding: { kind: "NetworkPolicy" } });
    expect(event?.note).toContain("DCCP");
    await until("nothing is allowed by it", async () => {
      const text = JSON.stringify(await modelOf(made));
      return text !== undefined && !text.includes("4711");
    });
  });

  it("says on a Service what is wrong with its annotation", async () => {
    await create(
      lab.kube,
      service({
        namespace: "shop",
        name: "vip",
        selector: { app: "web" },
        annotations: { romanaip: '{"auto": tru' },
      }),
    );
    await told("vip", "VipAnnotationInvalid");
    expect((await events("vip", "VipAnnotationInvalid"))[0]).toMatchObject({
      type: "Warning",
      regarding: { kind: "Service", name: "vip" },
    });
  });

  it("takes the startup taint off a Node whose agent is ready", async () => {
    const tainted = node({ name: "fresh", ip: "192.168.1.6", zone: "us-west-2a" });
    await create(lab.kube, {
      ...tainted,
      spec: {
        taints: [
          { key: "romana.io/agent-not-ready", effect: "NoSchedule" },
          { key: "example.com/mine", effect: "NoSchedule" },
        ],
      },
    });
    await placed("fresh");
    const report = { ready: true, endpoints: [{ address: "10.112.0.1", podUID: "some-pod" }] };
    expect((await controller.process.call("PUT", "/hosts/fresh/agent", report)).status).toBe(200);
    await until("the taint is gone", async () => {
      const found = (await lab.kube.call("GET", "/api/v1/nodes/fresh")) as {
        readonly spec: { readonly taints?: readonly { readonly key: string }[] };
        readonly status: {
          readonly conditions?: readonly { readonly type: string; readonly status: string }[];
        };
      };
      const keys = new Set((found.spec.taints ?? []).map(({ key }) => key));
      const network = found.status.conditions?.find(({ type }) => type === "NetworkUnavailable");
      return (
        !keys.has("romana.io/agent-not-ready") && keys.has("example.com/mine") && network?.status === "False"
      );
    });
  });

  it("catches up with what was deleted and made while it was down", async () => {
    const before = await create(lab.kube, networkPolicy("shop", "before", { podSelector: {} }));
    await until("it is translated", async () => (await modelOf(before)) !== undefined);
    await controller.process.kill("SIGKILL");
    await remove(before);
    const after = await create(lab.kube, networkPolicy("shop", "after", { podSelector: {} }));
    await create(lab.kube, node({ name: "late", ip: "192.168.1.7", zone: "us-west-2a" }));
    await controller.process.start();
    await until("it knows both", async () => {
      return (await modelOf(before)) === undefined && (await modelOf(after)) !== undefined;
    });
    await placed("late");
    expect((await get("/hosts/n1")).body).toMatchObject({ placed: true, ip: "192.168.1.1" });
  });

  it("goes on after the API server was killed", async () => {
    const killed = Date.now();
    await lab.kube.restart();
    restarts.push([killed, Date.now()]);
    const again = await create(lab.kube, networkPolicy("shop", "again", { podSelector: {} }));
    await until("the new policy is translated", async () => (await modelOf(again)) !== undefined);
    expect((await get("/readyz")).status).toBe(200);
  });

  it("asked for nothing that its role does not allow, and nobody asked for it under another name", () => {
    // An API server that is not ready yet does not know the roles yet.
    const whileStarting = ({ requestReceivedTimestamp }: AuditEntry): boolean => {
      const at = Date.parse(requestReceivedTimestamp);
      return restarts.some(([from, to]) => at >= from && at <= to);
    };
    expect(lab.judge(whileStarting)).toEqual([]);
  });

  it("keeps what it translated in the store, for every replica and for a time without an API server", async () => {
    const store = new EtcdStore({
      endpoints: lab.etcd.endpoints,
      clock: new SystemClock(),
      log: silentLog,
    });
    try {
      const { entries } = await store.list("/romana/cluster-policies/", new AbortController().signal);
      expect(entries.length).toBeGreaterThan(0);
    } finally {
      await store.close();
    }
  });
});
