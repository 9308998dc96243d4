import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { readNetworkPolicy } from "../../../src/adapters/kubernetes/network-policy.ts";
import { kindsOfObjects, readIdentity } from "../../../src/adapters/kubernetes/schema.ts";
import type { ClusterKind, ClusterObjects } from "../../../src/core/cluster/objects.ts";

const metadata = { uid: "u-1", name: "one", namespace: "prod", resourceVersion: "7" };
const identity = { uid: "u-1", name: "one", namespace: "prod", resourceVersion: "7", deleting: false };

/** What is read of an object that says who it is. */
function read<K extends ClusterKind>(kind: K, raw: object): ClusterObjects[K] {
  const who = readIdentity(raw);
  if (who === undefined) {
    throw new Error("it does not say who it is");
  }
  return kindsOfObjects[kind].read(raw, who).object;
}

describe("identity", () => {
  it("is UID, namespace, name, version, and whether its deletion was asked for", () => {
    expect(readIdentity({ metadata })).toEqual(identity);
    expect(
      readIdentity({ metadata: { ...metadata, deletionTimestamp: "2026-11-22T08:00:00Z" } })?.deleting,
    ).toBe(true);
    expect(readIdentity({ metadata: { uid: "u", name: "n" } })).toEqual({
      uid: "u",
      name: "n",
      namespace: "",
      resourceVersion: "",
      deleting: false,
    });
  });

  it.for([
    undefined,
    null,
    1,
    "x",
    [],
    {},
    { metadata: null },
    { metadata: { name: "n" } },
    { metadata: { uid: "u" } },
  ])("is not to be had of %j", (raw) => {
    expect(readIdentity(raw)).toBeUndefined();
  });
});

describe("a Node", () => {
  it("has its labels, addresses, provider's id, conditions and taints", () => {
    const node = read("nodes", {
      metadata: { ...metadata, namespace: undefined, labels: { zone: "a" } },
      spec: {
        providerID: "aws:///us-west-2a/i-1",
        unschedulable: true,
        taints: [
          { key: "k", value: "v", effect: "NoSchedule" },
          { key: "k2", effect: "NoExecute" },
        ],
      },
      status: {
        addresses: [
          { type: "Hostname", address: "one" },
          { type: "InternalIP", address: "10.0.0.1" },
          { type: "InternalIP", address: "fd00::1" },
        ],
        conditions: [
          { type: "Ready", status: "True" },
          { type: "NetworkUnavailable", status: "False" },
        ],
      },
    });

    expect(node).toEqual({
      ...identity,
      namespace: "",
      labels: { zone: "a" },
      internalIps: ["10.0.0.1", "fd00::1"],
      providerId: "aws:///us-west-2a/i-1",
      ready: "true",
      networkUnavailable: "false",
      unschedulable: true,
      taints: [
        { key: "k", value: "v", effect: "NoSchedule" },
        { key: "k2", value: "", effect: "NoExecute" },
      ],
    });
  });

  it("of which hardly anything is known yet is a Node all the same", () => {
    expect(read("nodes", { metadata })).toMatchObject({ internalIps: [], providerId: "", ready: "unknown" });
  });
});

describe("a Pod", () => {
  it("has its addresses, node and the ports that containers and side-cars name", () => {
    const pod = read("pods", {
      metadata: { ...metadata, labels: { app: "web" } },
      spec: {
        nodeName: "node-1",
        hostNetwork: true,
        containers: [
          { name: "a", ports: [{ name: "http", containerPort: 8080 }, { containerPort: 9090 }] },
          { name: "b", ports: [{ name: "dns", containerPort: 53, protocol: "UDP" }] },
        ],
        initContainers: [
          { name: "once", ports: [{ name: "no", containerPort: 1 }] },
          { name: "car", restartPolicy: "Always", ports: [{ name: "car", containerPort: 2 }] },
        ],
      },
      status: { phase: "Running", podIP: "100.64.0.1", podIPs: [{ ip: "100.64.0.1" }, { ip: "fd00::1" }] },
    });

    expect(pod).toEqual({
      ...identity,
      labels: { app: "web" },
      node: "node-1",
      ips: ["100.64.0.1", "fd00::1"],
      phase: "Running",
      hostNetwork: true,
      namedPorts: [
        { name: "http", port: 8080, protocol: "TCP" },
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "car", port: 2, protocol: "TCP" },
      ],
    });
  });

  it("of an older server has the one address that it says", () => {
    expect(read("pods", { metadata, status: { podIP: "100.64.0.1" } }).ips).toEqual(["100.64.0.1"]);
  });

  it("with an odd field has the others", () => {
    const pod = read("pods", {
      metadata: { ...metadata, labels: JSON.parse('{"app":"web","odd":1,"__proto__":"x"}') as object },
      spec: {
        nodeName: 7,
        hostNetwork: "yes",
        containers: [null, { ports: "x" }, { ports: [{ name: 1 }, { name: "a", containerPort: 1 }] }],
      },
      status: null,
    });

    expect(pod).toMatchObject({
      labels: { app: "web" },
      node: "",
      hostNetwork: false,
      ips: [],
      namedPorts: [{ name: "a", port: 1, protocol: "TCP" }],
    });
    expect(Object.getPrototypeOf(pod.labels)).toBe(Object.prototype);
  });
});

describe("a Service", () => {
  it("has its addresses, ports and what it wants of Romana", () => {
    expect(
      read("services", {
        metadata: { ...metadata, annotations: { romanaip: '{"ip":"192.0.2.1"}', other: "x" } },
        spec: {
          selector: { app: "web" },
          type: "LoadBalancer",
          clusterIP: "10.96.0.9",
          clusterIPs: ["10.96.0.9"],
          externalIPs: ["192.0.2.7"],
          ports: [
            { name: "http", port: 80, targetPort: "web" },
            { port: 53, protocol: "UDP" },
          ],
        },
      }),
    ).toEqual({
      ...identity,
      labels: {},
      selector: { app: "web" },
      type: "LoadBalancer",
      clusterIps: ["10.96.0.9"],
      externalIps: ["192.0.2.7"],
      ports: [
        { name: "http", protocol: "TCP", port: 80, targetPort: "web" },
        { name: "", protocol: "UDP", port: 53, targetPort: 53 },
      ],
      vipAnnotations: { romanaip: '{"ip":"192.0.2.1"}', romanavip: undefined },
    });
  });
});

describe("an EndpointSlice", () => {
  it("has its endpoints, and takes what is not said for ready", () => {
    expect(
      read("endpointslices", {
        metadata: { ...metadata, labels: { "kubernetes.io/service-name": "web" } },
        addressType: "IPv4",
        endpoints: [
          {
            addresses: ["100.64.0.1"],
            conditions: {},
            nodeName: "n",
            targetRef: { kind: "Pod", uid: "p-1" },
          },
          {
            addresses: ["100.64.0.2"],
            conditions: { ready: false, serving: true, terminating: true },
            targetRef: { kind: "Node", uid: "x" },
          },
        ],
        ports: [{ name: "http", port: 80, protocol: "TCP" }],
      }),
    ).toEqual({
      ...identity,
      service: "web",
      addressType: "IPv4",
      endpoints: [
        {
          addresses: ["100.64.0.1"],
          ready: true,
          serving: true,
          terminating: false,
          node: "n",
          podUid: "p-1",
        },
        { addresses: ["100.64.0.2"], ready: false, serving: true, terminating: true, node: "", podUid: "" },
      ],
      ports: [{ name: "http", port: 80, protocol: "TCP" }],
    });
  });

  it("has no endpoints when Go wrote an empty list as null", () => {
    expect(
      read("endpointslices", { metadata, addressType: "IPv4", endpoints: null, ports: null }),
    ).toMatchObject({
      endpoints: [],
      ports: [],
    });
  });
});

describe("a Namespace and a ServiceCIDR", () => {
  it("have their isolation and their ranges", () => {
    const isolation = '{"ingress":{"isolation":"DefaultDeny"}}';
    expect(
      read("namespaces", {
        metadata: { ...metadata, annotations: { "net.beta.kubernetes.io/networkpolicy": isolation } },
      }).isolation,
    ).toBe(isolation);
    expect(read("namespaces", { metadata }).isolation).toBeUndefined();
    expect(read("servicecidrs", { metadata, spec: { cidrs: ["10.96.0.0/12", "fd00::/108"] } }).cidrs).toEqual(
      ["10.96.0.0/12", "fd00::/108"],
    );
  });
});

describe("every kind but a NetworkPolicy", () => {
  const kinds = Object.keys(kindsOfObjects).filter((kind) => kind !== "networkpolicies") as ClusterKind[];

  it.for(kinds)("is read whatever stands in its fields: %s", (kind) => {
    const part = fc.option(fc.jsonValue({ maxDepth: 4 }), { nil: undefined });
    const object = fc.record({
      spec: part,
      status: part,
      endpoints: part,
      ports: part,
      labels: part,
      annotations: part,
    });
    fc.assert(
      fc.property(object, ({ labels, annotations, ...rest }) => {
        const raw = { ...rest, metadata: { ...metadata, labels, annotations } };
        const reading = kindsOfObjects[kind].read(raw, identity);
        expect(reading.ok).toBe(true);
        expect(reading.object).toMatchObject(identity);
      }),
    );
  });
});

describe("a NetworkPolicy", () => {
  const spec = {
    podSelector: { matchLabels: { app: "db" }, matchExpressions: [{ key: "tier", operator: "Exists" }] },
    policyTypes: ["Ingress", "Egress"],
    ingress: [
      {
        from: [
          { podSelector: {}, namespaceSelector: { matchLabels: { team: "a" } } },
          { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
        ],
        ports: [{ protocol: "UDP", port: 53 }, { port: "web" }, { port: 1000, endPort: 2000 }, {}],
      },
      {},
    ],
    egress: [{ to: [{ podSelector: { matchLabels: { app: "x" } } }] }],
  };

  it("is read in full", () => {
    expect(readNetworkPolicy({ metadata, spec }, identity)).toEqual({
      ok: true,
      object: {
        ...identity,
        podSelector: {
          matchLabels: { app: "db" },
          matchExpressions: [{ key: "tier", operator: "Exists", values: [] }],
        },
        policyTypes: ["Ingress", "Egress"],
        ingress: [
          {
            peers: [
              {
                podSelector: { matchLabels: {}, matchExpressions: [] },
                namespaceSelector: { matchLabels: { team: "a" }, matchExpressions: [] },
              },
              { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
            ],
            ports: [
              { protocol: "UDP", port: 53 },
              { protocol: "TCP", port: "web" },
              { protocol: "TCP", port: 1000, endPort: 2000 },
              { protocol: "TCP" },
            ],
          },
          { peers: [], ports: [] },
        ],
        egress: [
          { peers: [{ podSelector: { matchLabels: { app: "x" }, matchExpressions: [] } }], ports: [] },
        ],
        hasEgress: true,
        unreadable: "",
      },
    });
  });

  it("says whether it has egress rules at all", () => {
    const hasEgress = (more: object): unknown =>
      readNetworkPolicy({ metadata, spec: { podSelector: {}, ...more } }, identity).object.hasEgress;

    expect([hasEgress({}), hasEgress({ egress: null }), hasEgress({ egress: [] })]).toEqual([
      false,
      false,
      true,
    ]);
  });

  const odd: readonly (readonly [string, object])[] = [
    ["rules that are no list", { ingress: "all" }],
    ["a peer that is none", { ingress: [{ from: ["everybody"] }] }],
    ["a peer's labels that are none", { ingress: [{ from: [{ podSelector: { matchLabels: { a: 1 } } }] }] }],
    ["an expression without key", { podSelector: { matchExpressions: [{ operator: "Exists" }] } }],
    ["a port that is none", { ingress: [{ ports: [{ port: {} }] }] }],
    ["peers that are no list", { ingress: [{ from: {} }] }],
    ["types that are none", { policyTypes: [1] }],
    ["a field beside the known ones", { priority: 1 }],
    ["such a field in a rule", { ingress: [{ action: "Deny" }] }],
    ["such a field in a peer", { ingress: [{ from: [{ podSelector: {}, serviceAccounts: {} }] }] }],
    ["such a field in a block", { ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.0/8", zone: "a" } }] }] }],
    ["such a field in a port", { egress: [{ ports: [{ port: 80, sourcePort: 1 }] }] }],
    ["such a field in a peer's selector", { ingress: [{ from: [{ podSelector: { matchNames: ["a"] } }] }] }],
    [
      "such a field in an expression",
      { podSelector: { matchExpressions: [{ key: "a", operator: "Exists", not: true }] } },
    ],
    [
      "a label that no map holds",
      JSON.parse('{"ingress":[{"from":[{"podSelector":{"matchLabels":{"__proto__":"a"}}}]}]}') as object,
    ],
  ];

  it.for(odd)("with %s closes its pods in both directions, and says why", ([, oddity]) => {
    const reading = readNetworkPolicy({ metadata, spec: { ...spec, ...oddity } }, identity);
    const { object } = reading;

    expect(reading).toMatchObject({ ok: false, problem: object.unreadable });
    expect(object.unreadable).toMatch(/^spec\.\w+|^spec: /);
    expect(object).toMatchObject({
      policyTypes: ["Ingress", "Egress"],
      ingress: [],
      egress: [],
      podSelector: "podSelector" in oddity ? { matchLabels: {} } : { matchLabels: { app: "db" } },
    });
  });
});
