import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { buildState, commit } from "../../../src/core/ipam/commit.ts";
import { planHostRemoval, planHosts, type NewHost } from "../../../src/core/ipam/hosts.ts";
import { exportState, importedRecords } from "../../../src/core/ipam/imported-state.ts";
import { viewHostAt, viewHosts } from "../../../src/core/ipam/view.ts";
import { readStateDocument } from "../../../src/core/migration/read-state-document.ts";
import { writeStateDocument } from "../../../src/core/migration/state-document.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { readTopology } from "../../../src/core/topology/read-topology.ts";
import { Cluster } from "./support.ts";

const document = {
  networks: [{ name: "pods", cidr: "10.0.0.0/24", block_mask: 30 }],
  topologies: [{ networks: ["pods"], map: ["a", "b"].map((zone) => ({ name: zone, assignment: { zone } })) }],
};

const nodeHost = (over: Partial<NewHost> = {}): NewHost => ({
  name: "node-1",
  ip: parseIpv4("172.16.0.1"),
  tags: { zone: "a" },
  origin: "kubernetes",
  node: { uid: "uid-1", instanceId: "i-1" },
  ...over,
});

const record = (cluster: Cluster, name = "node-1") => cluster.state.hosts.get(name)?.record;

describe("a host that stands for a Node", () => {
  it("keeps the Node's UID and instance", () => {
    const cluster = new Cluster(document);

    expect(cluster.addHosts([nodeHost()])[0]?.outcome).toBe("added");

    expect(record(cluster)).toMatchObject({
      origin: "kubernetes",
      node: { uid: "uid-1", instanceId: "i-1" },
    });
    expect(viewHosts(cluster.state)[0]?.node).toEqual({ uid: "uid-1", instanceId: "i-1" });
    expect(viewHostAt(cluster.state, parseIpv4("172.16.0.1"))?.name).toBe("node-1");
    expect(viewHostAt(cluster.state, parseIpv4("172.16.0.2"))).toBeUndefined();
    expect(cluster.addHosts([nodeHost()])[0]?.outcome).toBe("unchanged");
  });

  it("loses the labels that its Node lost", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([nodeHost({ tags: { zone: "a", rack: "1" } })]);

    expect(cluster.addHosts([nodeHost()])[0]?.outcome).toBe("updated");

    expect(record(cluster)?.tags).toEqual({ zone: "a" });
  });

  it("takes over the UID of a Node that was registered again, and keeps its addresses", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([nodeHost()]);
    cluster.allocate("pod", "node-1");
    const blocks = cluster.blocks();

    cluster.addHosts([nodeHost({ node: { uid: "uid-2", instanceId: "i-1" } })]);

    expect(record(cluster)?.node?.uid).toBe("uid-2");
    expect(cluster.blocks()).toEqual(blocks);
  });

  it("stays misplaced where its addresses are when its zone changes", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([nodeHost()]);
    cluster.allocate("pod", "node-1");

    cluster.addHosts([nodeHost({ tags: { zone: "b" } })]);

    expect(cluster.hosts()).toEqual(["node-1 10.0.0.0/25 misplaced"]);
  });

  it("takes the place of the host that EC2 showed under its address, unless that has addresses in use", () => {
    const seen: NewHost = {
      name: "ip-172-16-0-1",
      ip: parseIpv4("172.16.0.1"),
      tags: { zone: "a" },
      origin: "cloud",
    };
    const free = new Cluster(document);
    const used = new Cluster(document);
    free.addHosts([seen]);
    used.addHosts([seen]);
    used.allocate("pod", "ip-172-16-0-1");

    expect(free.addHosts([nodeHost()])[0]?.outcome).toBe("added");
    expect(used.addHosts([nodeHost()])[0]).toMatchObject({
      outcome: "conflict",
      reason: "host ip-172-16-0-1 has address 172.16.0.1",
    });

    expect(free.hosts()).toEqual(["node-1 10.0.0.0/25"]);
    expect(used.hosts()).toEqual(["ip-172-16-0-1 10.0.0.0/25"]);
  });

  it("becomes that of a host which EC2 showed under the same name and address", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([{ name: "node-1", ip: parseIpv4("172.16.0.1"), tags: { zone: "a" }, origin: "cloud" }]);
    cluster.allocate("pod", "node-1");

    expect(cluster.addHosts([nodeHost()])[0]?.outcome).toBe("updated");

    expect(record(cluster)).toMatchObject({ origin: "kubernetes", node: { uid: "uid-1" } });
  });

  it.for(["api", "document"] as const)("changes nothing about a host of origin %s", (origin) => {
    const cluster = new Cluster(document);
    cluster.addHosts([
      { name: "node-1", ip: parseIpv4("172.16.0.1"), tags: { zone: "a", own: "1" }, origin },
    ]);
    const before = record(cluster);

    expect(cluster.addHosts([nodeHost({ tags: { zone: "b" } })])[0]?.outcome).toBe("unchanged");
    expect(cluster.addHosts([nodeHost({ name: "other" })])[0]?.outcome).toBe("conflict");

    expect(record(cluster)).toBe(before);
  });

  it("is removed for the Node that it stands for, and for no other", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([nodeHost()]);
    cluster.allocate("pod", "node-1");

    expect(() => planHostRemoval(cluster.state, "node-1", "uid-0")).toThrow(
      expect.objectContaining({ code: "HOST_REPLACED", kind: "conflict" }),
    );
    commit(cluster.state, planHostRemoval(cluster.state, "node-1", "uid-1"));

    expect(cluster.hosts()).toEqual([]);
    expect(cluster.state.names.size).toBe(0);
  });

  it("is not removed for a Node when somebody else registered it", () => {
    const cluster = new Cluster(document);
    cluster.addHost("node-1", { zone: "a" }, "api");

    expect(() => planHostRemoval(cluster.state, "node-1", "")).toThrow(
      expect.objectContaining({ code: "HOST_REPLACED" }),
    );
  });

  it("survives a topology update with its Node", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([nodeHost()]);

    cluster.update({ ...document, networks: [{ name: "pods", cidr: "10.0.0.0/20", block_mask: 30 }] });

    expect(record(cluster)?.node).toEqual({ uid: "uid-1", instanceId: "i-1" });
  });

  it("comes through export and import as it was, with a Node or without", () => {
    fc.assert(
      fc.property(fc.option(fc.record({ uid: fc.string(), instanceId: fc.string() })), (node) => {
        const cluster = new Cluster(document);
        cluster.addHosts([nodeHost({ node: node ?? undefined })]);
        const state = exportState(cluster.state, readTopology(document, { reserved: [] }), 2);
        const text = [
          ...writeStateDocument({
            exportedAt: "2026-01-01T00:00:00.000Z",
            state,
            tenants: [],
            policies: [],
            routes: [],
          }),
        ].join("");

        const read = readStateDocument(JSON.parse(text)).state;

        expect(read).toEqual(state);
        expect(Object.hasOwn(read.hosts[0] ?? {}, "node")).toBe(node !== null);
        expect(viewHosts(buildState(importedRecords(read).records))).toEqual(viewHosts(cluster.state));
      }),
    );
  });

  it("is refused in an import when what stands for its Node is none", () => {
    const cluster = new Cluster(document);
    cluster.addHosts([nodeHost()]);
    const state = exportState(cluster.state, readTopology(document, { reserved: [] }), 2);
    const text = [
      ...writeStateDocument({
        exportedAt: "2026-01-01T00:00:00.000Z",
        state,
        tenants: [],
        policies: [],
        routes: [],
      }),
    ].join("");
    const broken = JSON.parse(text.replace('"uid":"uid-1"', '"uid":7')) as unknown;

    expect(() => readStateDocument(broken)).toThrow(/hosts\[0\]\.node\.uid/);
  });

  it("is planned once when a list names it twice", () => {
    const cluster = new Cluster(document);

    const plan = planHosts(cluster.state, [nodeHost(), nodeHost({ name: "node-2" })]);

    expect(plan.outcomes.map(({ outcome }) => outcome)).toEqual(["added", "conflict"]);
  });
});
