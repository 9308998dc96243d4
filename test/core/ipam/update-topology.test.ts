import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { viewHosts } from "../../../src/core/ipam/view.ts";
import { formatIpv4 } from "../../../src/core/net/ipv4.ts";
import { leavesOf } from "../../../src/core/topology/walk-groups.ts";
import { Cluster, outlineOf, rebuilt } from "./support.ts";

const ZONE = "topology.kubernetes.io/zone";
const zone = (name: string, subnets = 2) => ({
  name,
  assignment: { [ZONE]: name },
  groups: Array.from({ length: subnets }, (_, index) => ({ name: `${name}-${index}` })),
});
const pods = { name: "pods", cidr: "10.0.0.0/16", block_mask: 29 };

/** Three zones of two groups each: a fourth zone stands in reserve. */
const threeZones = {
  networks: [pods],
  topologies: [{ networks: ["pods"], map: [zone("a"), zone("b"), zone("c")] }],
};

/** Nine hosts in three zones and six subnets, 60 addresses of three tenants, some released again, and a blackout. */
function live(): Cluster {
  const cluster = new Cluster(threeZones);
  for (let index = 0; index < 9; index += 1) {
    const name = ["a", "b", "c"][index % 3] ?? "";
    const subnet = `subnet-${name}${index >= 3 && index < 6 ? 1 : 0}`;
    cluster.addHost(
      `h${index}`,
      { [ZONE]: name, "romana.io/subnet-id": subnet },
      index < 5 ? "kubernetes" : "cloud",
    );
  }
  for (let index = 0; index < 60; index += 1) {
    cluster.allocate(`p${index}`, `h${index % 8}`, `t${index % 3}:s`);
  }
  for (let index = 0; index < 60; index += 7) {
    cluster.release(`p${index}`);
  }
  cluster.blackout("pods", "10.0.15.0/24");
  return cluster;
}

/** What must not move: addresses with owner and host, each host's leaf, each group in use, blocks, blackouts. */
function inUse(cluster: Cluster, network = "pods") {
  const { state } = cluster;
  const own = state.networksByName.get(network);
  return {
    addresses: [...state.names.values()].map(({ name, address, block }) => ({
      name,
      address: formatIpv4(address),
      ...block.holding?.record,
    })),
    leaves: [...state.hosts.values()].map(({ record }) => [
      record.name,
      record.groups.find((group) => group.network === network),
    ]),
    groups: own?.pools
      .filter(({ leaf }) => leaf.hosts.size > 0)
      .map(({ group }) => `${group.name} ${group.cidr}`),
    blocks: [...(own?.blocks.values() ?? [])]
      .toSorted((a, b) => a.first - b.first)
      .map(({ first, count, revision, sequence }) => ({
        first,
        count,
        revision,
        sequence,
      })),
    bindings: own?.pools.filter(({ leaf }) => leaf.hosts.size > 0).map(({ leaf }) => leaf.subnet),
    blackouts: own?.blackouts,
    revision: state.revision,
  };
}

/** What `TOPOLOGY_IN_USE` names; empty when nothing is refused. */
function problemsOf(act: () => void): readonly string[] {
  try {
    act();
    return [];
  } catch (error) {
    const problems =
      error instanceof NetworkError && error.code === "TOPOLOGY_IN_USE"
        ? error.details["problems"]
        : undefined;
    if (Array.isArray(problems)) {
      return problems;
    }
    throw error;
  }
}

describe("growing a live cluster", () => {
  it("gains a zone, a subnet and a second network, and no address, host or group in use moves", () => {
    const cluster = live();
    const before = inUse(cluster);
    const released = outlineOf(cluster.state);

    cluster.update(threeZones);
    expect(outlineOf(cluster.state)).toEqual(released);

    cluster.update({
      networks: [pods],
      topologies: [{ networks: ["pods"], map: [zone("a"), zone("b"), zone("c"), zone("d")] }],
    });
    expect(inUse(cluster)).toEqual(before);
    cluster.addHost("h20", { [ZONE]: "d", "romana.io/subnet-id": "subnet-d0" });
    expect(cluster.groupsOf("h20")).toEqual(["10.0.192.0/19"]);
    expect(cluster.allocate("in-d", "h20")).toBe("10.0.192.0");
    cluster.removeHost("h20");

    cluster.addHost("h21", { [ZONE]: "a", "romana.io/subnet-id": "subnet-a2" });
    expect(cluster.groupsOf("h21")).toEqual([]);
    cluster.removeHost("h21");

    const [first, second] = [{ ...before, revision: before.revision + 2 }, inUse(cluster)];
    expect({ ...second, blocks: second.blocks.filter(({ count }) => count > 0) }).toEqual({
      ...first,
      blocks: first.blocks.filter(({ count }) => count > 0),
    });
    cluster.update({
      networks: [pods, { name: "more", cidr: "10.9.0.0/16" }],
      topologies: [{ networks: ["pods", "more"], map: [zone("a"), zone("b"), zone("c"), zone("d")] }],
    });
    expect(inUse(cluster)).toEqual(second);
    expect([...cluster.state.hosts.values()].map(({ record }) => record.groups.length)).toEqual(
      Array(9).fill(2),
    );
    expect(outlineOf(rebuilt(cluster.state))).toEqual(outlineOf(cluster.state));
  });

  it("gains a subnet in a zone that has a group in reserve", () => {
    const map = (groups: number) => ({
      networks: [pods],
      topologies: [{ networks: ["pods"], map: [zone("a", groups), zone("b", groups)] }],
    });
    const cluster = new Cluster(map(3));
    for (let index = 0; index < 3; index += 1) {
      cluster.addHost(`h${index}`, { [ZONE]: "a", "romana.io/subnet-id": `subnet-${index}` });
      cluster.allocate(`p${index}`, `h${index}`);
    }
    cluster.addHost("h3", { [ZONE]: "a", "romana.io/subnet-id": "subnet-3" });
    expect(cluster.groupsOf("h3")).toEqual([]);
    const before = inUse(cluster);

    cluster.update(map(4));

    expect(cluster.groupsOf("h3")).toEqual(["10.0.96.0/19"]);
    cluster.removeHost("h3");
    const after = inUse(cluster);
    expect(after).toEqual({ ...before, leaves: before.leaves.filter(([name]) => name !== "h3") });
  });

  it("gains a second network of its own, in another topology", () => {
    const cluster = live();
    const before = inUse(cluster);

    cluster.update({
      networks: [pods, { name: "extra", cidr: "10.9.0.0/16", tenants: ["t9"] }],
      topologies: [...threeZones.topologies, { networks: ["extra"], map: [{ name: "all" }] }],
    });

    const after = inUse(cluster);
    expect(after).toEqual(before);
    expect(cluster.allocate("x", "h0", "t9:s")).toBe("10.9.0.0");
  });

  it("keeps the order in which empty blocks will be used", () => {
    const cluster = new Cluster({
      networks: [{ ...pods, block_mask: 32 }],
      topologies: [{ networks: ["pods"], map: [{ name: "a" }] }],
    });
    cluster.addHost("h1");
    ["a", "b", "c"].forEach((name) => cluster.allocate(name, "h1"));
    ["c", "a", "b"].forEach((name) => cluster.release(name));

    cluster.update({
      networks: [{ ...pods, name: "renamed", block_mask: 32 }],
      topologies: [{ networks: ["renamed"], map: [{ name: "other" }] }],
    });

    expect(["1", "2", "3", "4"].map((name) => cluster.allocate(name, "h1"))).toEqual([
      "10.0.0.2",
      "10.0.0.0",
      "10.0.0.1",
      "10.0.0.3",
    ]);
  });
});

describe("hosts under a new document", () => {
  const flat = (...hosts: readonly object[]) => ({
    networks: [pods],
    topologies: [{ networks: ["pods"], map: [{ name: "a", hosts }, { name: "b" }] }],
  });
  const h1 = { name: "h1", ip: "172.16.0.1" };
  const h2 = { name: "h2", ip: "172.16.0.2", assignment: { zone: "b" } };

  it("come and go with the document, unless they were learned", () => {
    const cluster = new Cluster(flat(h1, h2));
    cluster.addHost("h3");

    cluster.update(flat(h2, { name: "h3", ip: "172.16.0.3", assignment: { rack: "1" } }));

    expect(
      [...cluster.state.hosts.values()].map(({ record }) => [record.name, record.origin, record.tags]),
    ).toEqual([
      ["h2", "document", { zone: "b" }],
      ["h3", "api", { rack: "1" }],
    ]);
    expect(cluster.groupsOf("h3")).toEqual(["10.0.0.0/17"]);
    cluster.update(flat());
    expect(cluster.hosts()).toEqual(["h3 10.0.0.0/17"]);
  });

  it("that left the document hold it up while they have addresses", () => {
    const cluster = new Cluster(flat(h1, h2));
    cluster.allocate("p", "h2");

    expect(problemsOf(() => cluster.update(flat(h1)))).toEqual([
      "host h2 (172.16.0.2) is not in the new document and has addresses in use; release them, or keep the host",
    ]);
    cluster.release("p");
    cluster.update(flat(h1));
    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17"]);
  });

  it("may change their address in the document, but not against what was learned", () => {
    const cluster = new Cluster(flat(h1));
    cluster.addHost("h3");

    cluster.update(flat({ ...h1, ip: "172.16.0.9" }));
    expect(cluster.state.hosts.get("h1")?.record.ip).toBe("172.16.0.9");

    expect(
      problemsOf(() =>
        cluster.update(flat({ name: "h3", ip: "172.16.0.7" }, { name: "h4", ip: "172.16.0.3" })),
      ),
    ).toEqual([
      expect.stringContaining("host h3 exists with address 172.16.0.3, learned from api, not 172.16.0.7"),
      expect.stringContaining("host h4 has address 172.16.0.3, which is that of host h3, learned from api"),
    ]);
  });

  it("are listed once, at each place where the document has them", () => {
    const cluster = new Cluster({
      networks: [pods, { name: "m", cidr: "10.1.0.0/16" }],
      topologies: [
        { networks: ["pods"], map: [{ name: "a", hosts: [h1, { ...h1, ip: "172.16.0.8" }] }] },
        { networks: ["m"], map: [{ name: "b", hosts: [h1] }] },
      ],
    });

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/16 10.1.0.0/16"]);
    expect(cluster.state.hosts.get("h1")?.record.ip).toBe("172.16.0.1");
  });

  it("stay in their leaf although another one has fewer hosts, and are placed anew where it is gone", () => {
    const named = (...names: readonly string[]) => ({
      networks: [pods],
      topologies: [
        {
          networks: ["pods"],
          map: names.map((name) => ({ name, ...(name === "x" ? { dummy: true } : {}) })),
        },
      ],
    });
    const cluster = new Cluster(named("a", "b"));
    ["h1", "h2", "h3", "h4"].forEach((name) => cluster.addHost(name));
    cluster.removeHost("h2");
    cluster.removeHost("h4");

    cluster.update(named("a", "c"));
    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17", "h3 10.0.0.0/17"]);

    cluster.update(named("x", "c"));
    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17", "h3 10.0.128.0/17"]);
  });

  it("keep a misplaced host where its addresses are", () => {
    const zones = {
      networks: [pods],
      topologies: [{ networks: ["pods"], map: [zone("a", 0), zone("b", 0)] }],
    };
    const cluster = new Cluster(zones);
    cluster.addHost("h1", { [ZONE]: "a", "romana.io/subnet-id": "s1" });
    cluster.addHost("h2", { [ZONE]: "a", "romana.io/subnet-id": "s1" });
    cluster.allocate("p", "h1");
    cluster.setLabels("h1", { [ZONE]: "b", "romana.io/subnet-id": "s2" });

    cluster.update(zones);

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17 misplaced", "h2 10.0.0.0/17"]);
    cluster.release("p");
    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17", "h2 10.0.0.0/17"]);
  });

  it("keep a misplaced host misplaced when the document lists it where it is, as the answer of GET /topology does", () => {
    const zones = (...hosts: readonly object[]) => ({
      networks: [pods],
      topologies: [{ networks: ["pods"], map: [{ ...zone("a", 0), hosts }, zone("b", 0)] }],
    });
    const cluster = new Cluster(zones());
    cluster.addHost("h1", { [ZONE]: "a" });
    cluster.allocate("p", "h1");
    cluster.setLabels("h1", { [ZONE]: "b" });
    const { ip } = viewHosts(cluster.state)[0] ?? { ip: "" };

    cluster.update(zones({ name: "h1", ip, assignment: { [ZONE]: "b" } }));

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17 misplaced"]);
    cluster.release("p");
    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17"]);
  });
});

describe("a topology update that is refused", () => {
  const zones = (...names: readonly string[]) => ({
    networks: [pods],
    topologies: [{ networks: ["pods"], map: names.map((name) => zone(name, 0)) }],
  });

  function inZoneA(): Cluster {
    const cluster = new Cluster(zones("a", "b"));
    cluster.addHost("h1", { [ZONE]: "a" });
    cluster.allocate("p1", "h1");
    cluster.allocate("p2", "h1", "t:other");
    return cluster;
  }

  it.for([
    [
      "empties the document",
      { networks: [] },
      `network "pods" (10.0.0.0/16) is not in the new document; keep its range until its addresses are released; in use are 10.0.0.0 ("p1" on host h1), 10.0.0.8 ("p2" on host h1)`,
    ],
    [
      "shrinks the network",
      { networks: [{ ...pods, cidr: "10.0.128.0/17" }], topologies: zones("a", "b").topologies },
      `network "pods" (10.0.0.0/16) would be 10.0.128.0/17`,
    ],
    [
      "changes the block mask",
      { networks: [{ ...pods, block_mask: 28 }], topologies: zones("a", "b").topologies },
      "define a second network, or drain this one and remove it",
    ],
    [
      "shuts the tenant out",
      { networks: [{ ...pods, tenants: ["x"] }], topologies: zones("a", "b").topologies },
      `would not be for tenant "t"`,
    ],
    [
      "keeps the group free of hosts",
      {
        networks: [pods],
        topologies: [{ networks: ["pods"], map: [{ name: "a", dummy: true }, { name: "b" }] }],
      },
      "would be dummy, which takes no hosts; keep a group there for host h1",
    ],
    [
      "gives the range to another zone",
      zones("b", "a"),
      'host h1 has addresses in group 10.0.0.0/17 of network "pods", which would not take a host with its labels',
    ],
    [
      "lists the host elsewhere",
      {
        networks: [pods],
        topologies: [
          {
            networks: ["pods"],
            map: [{ name: "a" }, { name: "b", hosts: [{ name: "h1", ip: "172.16.0.1" }] }],
          },
        ],
      },
      "the new document lists it in 10.0.128.0/17",
    ],
  ] as const)("names what is in the way when it %s, and changes nothing", ([, document, reason]) => {
    const cluster = inZoneA();
    const before = outlineOf(cluster.state);

    expect(problemsOf(() => cluster.update(document)).join("\n")).toContain(reason);

    expect(outlineOf(cluster.state)).toEqual(before);
  });

  it("names every obstacle at once, and counts those beyond twenty", () => {
    const hosts = Array.from({ length: 25 }, (_, index) => ({ name: `h${index}`, ip: `172.16.0.${index}` }));
    const cluster = new Cluster({
      networks: [pods],
      topologies: [{ networks: ["pods"], map: [{ name: "a", hosts }] }],
    });
    hosts.forEach(({ name }) => cluster.allocate(`on-${name}`, name));

    const problems = problemsOf(() =>
      cluster.update({ networks: [pods], topologies: [{ networks: ["pods"], map: [{ name: "a" }] }] }),
    );

    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toBe("5 more like these");
    expect(problemsOf(() => cluster.update({ networks: [] }))[0]).toContain("and 22 more");
  });

  it("keeps the addresses of a host in one group", () => {
    const cluster = inZoneA();
    for (let index = 0; index < 3; index += 1) {
      cluster.allocate(`q${index}`, "h1", "u:s", `10.0.64.${index}`);
    }

    const problems = problemsOf(() =>
      cluster.update({
        networks: [pods],
        topologies: [{ networks: ["pods"], map: [zone("a", 2), zone("b")] }],
      }),
    );

    expect(problems).toEqual([
      expect.stringContaining(
        "the addresses of host h1 would lie in two groups, 10.0.0.0/18 and 10.0.64.0/18",
      ),
    ]);
  });

  it("does not let a blackout cover a whole network", () => {
    const cluster = new Cluster(zones("a"));
    cluster.blackout("pods", "10.0.0.0/20");

    const smaller = (cidr: string) => ({ networks: [{ ...pods, cidr }], topologies: zones("a").topologies });
    expect(problemsOf(() => cluster.update(smaller("10.0.0.0/21")))).toEqual([
      `blackout 10.0.0.0/20 of network "pods" would cover all of network "pods" (10.0.0.0/21); remove the blackout first`,
    ]);
    expect(problemsOf(() => cluster.update(smaller("10.0.0.0/20")))).toHaveLength(1);
    cluster.update(smaller("10.9.0.0/16"));
    expect(cluster.state.networks[0]?.blackouts).toEqual([]);
  });

  it("empties the document when nothing is in use, and keeps learned hosts", () => {
    const cluster = inZoneA();
    cluster.release("p1");
    cluster.release("p2");

    cluster.update({ networks: [] });

    expect(cluster.hosts()).toEqual(["h1"]);
    expect(cluster.blocks()).toEqual([]);
    expect(cluster.state.revision).toBe(4);
    cluster.update(zones("b", "a"));
    expect(cluster.hosts()).toEqual(["h1 10.0.128.0/17"]);
    expect(leavesOf(cluster.state.topology.networks[0]?.root ?? fail()).map(({ name }) => name)).toEqual([
      "b",
      "a",
    ]);
    expect(cluster.state.networks[0]?.revision).toBe(0);
  });
});

function fail(): never {
  throw new Error("there is no network");
}
