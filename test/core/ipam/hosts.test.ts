import { describe, expect, it } from "vitest";

import type { NewHost } from "../../../src/core/ipam/hosts.ts";
import { viewAddresses, viewHosts, viewHostsOf, viewLayout } from "../../../src/core/ipam/view.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { Cluster } from "./support.ts";

const group = (name: string, assignment: Record<string, string> = {}, groups: readonly object[] = []) => ({
  name,
  assignment,
  groups,
});
const topology = (map: readonly object[], networks: readonly string[] = ["n"]) => ({
  networks: networks.map((name, index) => ({ name, cidr: `10.${index}.0.0/16` })),
  topologies: [{ networks, map }],
});
const subnet = (id: string) => ({ "romana.io/subnet-id": id });

describe("planHost", () => {
  it("chooses the least loaded leaf once, and the same leaf in each network of the entry", () => {
    const cluster = new Cluster(topology([group("a"), group("b")], ["n", "m"]));

    ["h1", "h2", "h3"].forEach((name) => cluster.addHost(name));

    expect(cluster.hosts()).toEqual([
      "h1 10.0.0.0/17 10.1.0.0/17",
      "h2 10.0.128.0/17 10.1.128.0/17",
      "h3 10.0.0.0/17 10.1.0.0/17",
    ]);
  });

  it("never places a host in the reserve, and matches parents as well as leaves", () => {
    const racks = [group("r1", { rack: "1" }), group("r2", { rack: "2" })];
    const cluster = new Cluster(
      topology([group("a", { zone: "a" }, racks), group("b", { zone: "b" }), group("c", { zone: "c" })]),
    );

    cluster.addHost("h1", { zone: "a", rack: "2" });
    cluster.addHost("h2", { rack: "2" });
    cluster.addHost("h3", { zone: "d" });

    expect(cluster.hosts()).toEqual(["h1 10.0.32.0/19", "h2", "h3"]);
    expect(
      viewHosts(cluster.state).map(({ placed, reason }) => [placed, reason.includes("no group of network")]),
    ).toEqual([
      [true, false],
      [false, true],
      [false, true],
    ]);
  });

  it("keeps a host that came before the topology, and places it then", () => {
    const cluster = new Cluster();
    cluster.addHost("h1");
    expect(viewHosts(cluster.state)[0]?.reason).toBe("there are no networks; set a topology");

    cluster.update(topology([group("a")]));

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/16"]);
  });

  it("refuses a name or an address that exists, and an empty name", () => {
    const cluster = new Cluster(topology([group("a")]));
    cluster.addHost("h1");

    expect(() => cluster.addHost("h1")).toThrow(expect.objectContaining({ code: "HOST_EXISTS" }));
    expect(() => cluster.addHost("other-h1")).toThrow("host h1 has address 172.16.0.1");
    expect(() => cluster.addHost("")).toThrow(expect.objectContaining({ code: "HOST_INVALID" }));
  });
});

describe("planHosts", () => {
  const host = (name: string, last: number, tags: Record<string, string> = {}): NewHost => ({
    name,
    ip: parseIpv4(`172.16.0.${last}`),
    tags,
    origin: "cloud",
  });

  it("places the hosts of a batch one after the other, and says what became of each", () => {
    const cluster = new Cluster(topology([group("a"), group("b")]));
    cluster.addHost("h1");

    const batch = [
      host("h1", 1, { x: "1" }),
      host("h2", 2),
      host("h3", 3),
      host("h3", 4),
      host("h4", 1),
      host("h1", 9),
    ];
    const first = cluster.addHosts(batch.slice(0, 5));

    expect(first.map(({ name, outcome, reason }) => `${name} ${outcome} ${reason}`.trim())).toEqual([
      "h1 updated",
      "h2 added",
      "h3 added",
      "h3 conflict the list names it twice",
      "h4 conflict the list names it twice",
    ]);
    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17", "h2 10.0.128.0/17", "h3 10.0.0.0/17"]);
    expect(cluster.addHosts(batch.slice(0, 3)).map(({ outcome }) => outcome)).toEqual([
      "unchanged",
      "unchanged",
      "unchanged",
    ]);
    expect(cluster.addHosts(batch.slice(4)).map(({ reason }) => reason)).toEqual([
      "host h1 has address 172.16.0.1",
      "host h1 exists with address 172.16.0.1",
    ]);
    expect(cluster.state.hosts.get("h1")?.record).toMatchObject({
      origin: "api",
      agentPort: 9604,
      tags: { x: "1" },
    });
  });

  it("moves a host whose new labels bind it elsewhere", () => {
    const cluster = new Cluster(topology([group("a"), group("b")]));
    cluster.addHosts([host("h1", 1, subnet("s1")), host("h2", 2, subnet("s2")), host("h3", 3, subnet("s1"))]);

    cluster.addHosts([host("h3", 3, subnet("s2"))]);

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17", "h2 10.0.128.0/17", "h3 10.0.128.0/17"]);
  });
});

describe("what is shown", () => {
  it("has each host, block and address, and what routes depend on", () => {
    const cluster = new Cluster(
      topology([{ ...group("a"), groups: [{ name: "h5", ip: "172.16.0.5" }] }, group("b")]),
    );
    cluster.addHost("h1");
    cluster.allocate("p", "h1");
    cluster.allocate("q", "h5");
    cluster.allocate("r", "h5", ":");
    cluster.release("q");

    expect(viewAddresses(cluster.state)).toEqual([
      { name: "p", address: "10.0.128.0", network: "n", host: "h1", tenant: "t", segment: "s" },
      { name: "r", address: "10.0.0.8", network: "n", host: "h5", tenant: "", segment: "" },
    ]);
    const [layout] = viewLayout(cluster.state);
    expect(layout?.network.name).toBe("n");
    expect(layout?.root.children.map(({ cidr }) => layout.hostsOf(cidr).map(({ name }) => name))).toEqual([
      ["h5"],
      ["h1"],
    ]);
    expect(layout?.hostsOf(parseCidr("10.0.0.0/18"))).toEqual([]);
    expect(["h1", "h5", "h9"].map((name) => layout?.blocksOf(name))).toEqual([
      ["10.0.128.0/29"],
      ["10.0.0.8/29"],
      [],
    ]);
    expect(viewHostsOf(cluster.state, "m", parseCidr("10.0.0.0/17"))).toEqual([]);
  });
});

describe("a leaf whose document names no subnet", () => {
  it("binds to the subnet of its first host, until its last host leaves", () => {
    const cluster = new Cluster(topology([group("a"), group("b")]));

    cluster.addHost("h1", subnet("s1"));
    cluster.addHost("h2", subnet("s2"));
    cluster.addHost("h3", subnet("s1"));
    cluster.addHost("h4", subnet("s3"));
    cluster.addHost("h5");
    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17", "h2 10.0.128.0/17", "h3 10.0.0.0/17", "h4", "h5"]);
    const reasons = viewHosts(cluster.state).map(({ reason }) => reason);
    expect(reasons[3]).toContain(
      "2 groups match its labels but are closed to it (bound to 2 other subnets, and a group serves one; more groups are needed, at least one per subnet)",
    );
    expect(reasons[4]).toContain("(bound to subnets, and the host has no label romana.io/subnet-id)");

    cluster.removeHost("h1");
    expect(cluster.groupsOf("h4")).toEqual([]);
    cluster.removeHost("h3");
    expect(cluster.groupsOf("h4")).toEqual(["10.0.0.0/17"]);
    expect(cluster.groupsOf("h5")).toEqual([]);
  });

  it("takes any host while nobody has a subnet, and binds to the first that has one", () => {
    const cluster = new Cluster(topology([group("a")]));

    cluster.addHost("h1");
    cluster.addHost("h2", subnet("s1"));
    cluster.addHost("h3", subnet("s2"));
    cluster.addHost("h4");

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/16", "h2 10.0.0.0/16", "h3", "h4"]);
  });

  it("keeps its subnet when a host with addresses gets another one", () => {
    const cluster = new Cluster(topology([group("a"), group("b")]));
    cluster.addHost("h1", subnet("s1"));
    cluster.allocate("p", "h1");

    cluster.setLabels("h1", subnet("s2"));
    cluster.addHost("h2", subnet("s1"));

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17 misplaced", "h2 10.0.128.0/17"]);
  });

  it("is not bound where the document names subnets", () => {
    const cluster = new Cluster(topology([group("a", subnet("s1")), group("b", subnet("s2"))]));

    cluster.addHost("h1", subnet("s2"));
    cluster.addHost("h2", subnet("s2"));

    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17", "h2 10.0.128.0/17"]);
    expect(cluster.state.leaves.flat().map((leaf) => leaf.subnet)).toEqual(["", ""]);
  });
});

describe("planLabels", () => {
  const zones = topology([group("a", { zone: "a" }), group("b", { zone: "b" })]);

  it("moves a host without addresses at once", () => {
    const cluster = new Cluster(zones);
    cluster.addHost("h1", { zone: "a" });

    cluster.setLabels("h1", { zone: "b" });
    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17"]);
    cluster.setLabels("h1", { zone: "c" });
    expect(cluster.hosts()).toEqual(["h1"]);
    cluster.setLabels("h1", { zone: "a" });
    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17"]);
  });

  it("leaves a host with addresses where it is, without new blocks, until its last address is released", () => {
    const cluster = new Cluster(zones);
    cluster.addHost("h1", { zone: "a" });
    cluster.allocate("p1", "h1");

    cluster.setLabels("h1", { zone: "b" });

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17 misplaced"]);
    expect(viewHosts(cluster.state)[0]?.reason).toContain("no longer fit its group");
    expect(cluster.allocate("p2", "h1")).toBe("10.0.0.1");
    expect(() => cluster.allocate("p3", "h1", "other:s")).toThrow(
      expect.objectContaining({ code: "HOST_MISPLACED" }),
    );
    expect(() => cluster.allocate("p3", "h1", "t:s", "10.0.0.8")).toThrow(
      expect.objectContaining({ code: "HOST_MISPLACED" }),
    );
    cluster.release("p1");
    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17 misplaced"]);
    cluster.release("10.0.0.1");
    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17"]);
    expect(cluster.allocate("p3", "h1")).toBe("10.0.128.0");
  });

  it("ends the misplacement when the labels fit again", () => {
    const cluster = new Cluster(zones);
    cluster.addHost("h1", { zone: "a" });
    cluster.allocate("p1", "h1");
    cluster.setLabels("h1", { zone: "b" });

    cluster.setLabels("h1", { zone: "a", rack: "1" });

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17"]);
  });

  it("leaves a host where the document lists it, and says when that takes none", () => {
    const listed = (zone: string) => [
      { name: "h1", ip: "172.16.0.1" },
      { name: "h2", ip: "172.16.0.2", assignment: { zone } },
    ];
    const cluster = new Cluster(
      topology([{ ...group("a", { zone: "a" }), groups: listed("a") }, group("b", { zone: "b" })]),
    );

    cluster.setLabels("h1", { zone: "b" });

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17", "h2 10.0.0.0/17"]);
    expect(() => cluster.setLabels("h9", {})).toThrow(expect.objectContaining({ code: "HOST_NOT_FOUND" }));
  });
});

describe("planHostRemoval", () => {
  it("releases names, addresses and blocks together", () => {
    const cluster = new Cluster(topology([group("a")]));
    cluster.addHost("h1");
    cluster.addHost("h2");
    for (let index = 0; index < 10; index += 1) {
      cluster.allocate(`p${index}`, "h1", index % 2 === 0 ? "t:s" : "u:s");
    }
    cluster.allocate("other", "h2");

    cluster.removeHost("h1");

    expect(cluster.blocks()).toEqual(["10.0.0.0/29 free", "10.0.0.8/29 free", "10.0.0.16/29 h2/t:s 1"]);
    expect([...cluster.state.names.keys()]).toEqual(["other"]);
    expect(cluster.state.revision).toBe(21);
    cluster.addHost("h1");
    expect(cluster.allocate("p0", "h1", "x:y")).toBe("10.0.0.0");
    expect(() => cluster.removeHost("h9")).toThrow(expect.objectContaining({ code: "HOST_NOT_FOUND" }));
  });
});
