import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { NewHost } from "../../../src/core/ipam/hosts.ts";
import { bySubnetInTurns } from "../../../src/core/ipam/subnet-room.ts";
import { viewHosts } from "../../../src/core/ipam/view.ts";
import { formatIpv4 } from "../../../src/core/net/ipv4.ts";
import { awsTopology } from "../../../src/core/topology/aws-topology.ts";
import { Cluster, outlineOf } from "./support.ts";

const ZONE = "topology.kubernetes.io/zone";
const BETA_ZONE = "failure-domain.beta.kubernetes.io/zone";
const SUBNET = "romana.io/subnet-id";

const network = { name: "pods", cidr: "10.0.0.0/16" };
const leaves = (count: number, prefix = "g", assignment: Record<string, string> = {}) =>
  Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}`, assignment }));
const zone = (name: string, groups: readonly object[], label = ZONE) => ({
  name,
  assignment: { [label]: name },
  groups,
});
const topology = (...map: readonly object[]) => ({
  networks: [network],
  topologies: [{ networks: ["pods"], map }],
});

/** A cluster that knows subnets, each written `zone/subnet`. */
function clusterOf(document: unknown, ...subnets: readonly string[]): Cluster {
  const cluster = new Cluster(document);
  know(cluster, ...subnets);
  return cluster;
}

function know(cluster: Cluster, ...subnets: readonly string[]): void {
  cluster.state.subnets = subnets.map((text) => {
    const [zoneName = "", id = ""] = text.split("/");
    return { id, zone: zoneName };
  });
}

/** Labels of a host in `zone/subnet`. */
function at(place: string, more: Record<string, string> = {}): Record<string, string> {
  const [zoneName = "", id = ""] = place.split("/");
  return { [ZONE]: zoneName, [SUBNET]: id, ...more };
}

/** Adds hosts `h1`, `h2`, … at these places one by one. */
function add(cluster: Cluster, ...places: readonly string[]): void {
  const first = cluster.state.hosts.size + 1;
  places.forEach((place, index) => cluster.addHost(`h${first + index}`, at(place)));
}

function times(count: number, place: string): readonly string[] {
  return Array.from({ length: count }, () => place);
}

/** What each leaf is bound to. */
function bindings(cluster: Cluster): readonly string[] {
  return cluster.state.leaves
    .flat()
    .filter(({ groups }) => groups.every(({ kind }) => kind === "group"))
    .map(({ subnet }) => subnet);
}

function unplaced(cluster: Cluster): readonly string[] {
  return viewHosts(cluster.state).flatMap(({ name, placed }) => (placed ? [] : [name]));
}

/** A host of a batch; the number makes its name and its address. */
function batchHost(number: number, place: string): NewHost {
  const ip = formatIpv4(0xac_10_00_00 + number);
  return { name: `h${number}`, ip, tags: at(place), origin: "cloud" };
}

describe("room for subnets", () => {
  it("is kept for a known subnet that has no host yet, however many hosts the other one has", () => {
    const cluster = clusterOf(topology(zone("a", leaves(4))), "a/s1", "a/s2", "b/s9");

    add(cluster, ...times(9, "a/s1"));
    expect(bindings(cluster)).toEqual(["s1", "s1", "s1", ""]);

    add(cluster, "a/s2", "a/s2");
    expect(bindings(cluster)).toEqual(["s1", "s1", "s1", "s2"]);
    expect(unplaced(cluster)).toEqual([]);
  });

  it("is not kept in a zone with one subnet: its hosts spread over all groups", () => {
    const zones = ["us-west-2a", "us-west-2b", "us-west-2c"];
    const cluster = clusterOf(
      awsTopology({ region: "us-west-2", zones, groupsPerZone: 4 }),
      ...zones.map((name) => `${name}/subnet-${name}`),
    );

    for (let number = 1; number <= 24; number += 1) {
      const name = zones[number % 3] ?? "";
      cluster.addHost(
        `h${number}`,
        at(`${name}/subnet-${name}`, { "topology.kubernetes.io/region": "us-west-2" }),
      );
    }

    const loads = cluster.state.leaves.flat().filter(({ hosts }) => hosts.size > 0);
    expect(loads.map(({ hosts }) => hosts.size)).toEqual(Array(12).fill(2));
  });

  it("is kept in nobody's way while no subnets are known, and when subnets of other zones are", () => {
    for (const known of [[], ["b/s2", "b/s3", "c/s4"]]) {
      const cluster = clusterOf(topology(zone("a", leaves(3))), ...known);

      add(cluster, ...times(3, "a/s1"));

      expect(bindings(cluster)).toEqual(["s1", "s1", "s1"]);
    }
  });

  it("goes by the older label of a zone too, on the host and in the document", () => {
    for (const [inDocument, onHost] of [
      [ZONE, BETA_ZONE],
      [BETA_ZONE, ZONE],
      [BETA_ZONE, BETA_ZONE],
    ] as const) {
      const cluster = clusterOf(topology(zone("a", leaves(3), inDocument)), "a/s1", "a/s2");

      ["h1", "h2", "h3", "h4"].forEach((name) => cluster.addHost(name, { [onHost]: "a", [SUBNET]: "s1" }));

      expect(bindings(cluster)).toEqual(["s1", "s1", ""]);
    }
  });

  it("lacks where a zone has more subnets than groups: the first come have it, and the others are told the way out", () => {
    const cluster = clusterOf(
      topology(zone("a", leaves(2)), zone("b", leaves(2))),
      "a/s1",
      "a/s2",
      "a/s3",
      "b/s4",
    );

    add(cluster, "a/s1", "a/s1", "a/s2", "a/s3", "b/s4", "b/s4");

    expect(bindings(cluster)).toEqual(["s1", "s2", "s4", "s4"]);
    expect(unplaced(cluster)).toEqual(["h4"]);
    expect(viewHosts(cluster.state)[3]?.reason).toContain(
      "(bound to 2 other subnets, and a group serves one; more groups are needed, at least one per subnet)",
    );
  });

  it("leaves a subnet that is not known a group like any other that has none yet", () => {
    const cluster = clusterOf(topology(zone("a", leaves(2))), "a/s1", "a/s2");

    add(cluster, "a/new", "a/new", "a/s1");

    expect(bindings(cluster)).toEqual(["new", "s1"]);
  });

  it("is not asked of groups whose document names a subnet, nor for that subnet", () => {
    const named = { name: "named", assignment: { [SUBNET]: "s2" } };
    const cluster = clusterOf(topology(zone("a", [named, ...leaves(2)])), "a/s1", "a/s2");

    add(cluster, ...times(3, "a/s1"), "a/s2");

    expect(bindings(cluster)).toEqual(["", "s1", "s1"]);
    expect(cluster.groupsOf("h4")).toEqual(["10.0.0.0/18"]);
    expect(unplaced(cluster)).toEqual([]);
  });

  it("is asked of groups without zone for every zone, beyond what the zone's own groups give", () => {
    const map = [...leaves(3, "any"), zone("a", leaves(1, "a"))];
    const cluster = clusterOf(topology(...map), "a/s1", "a/s2", "b/s3", "c/s4");

    add(cluster, ...times(5, "b/s3"));
    expect(bindings(cluster)).toEqual(["s3", "", "", ""]);

    add(cluster, "a/s1", "a/s1", "a/s2", "c/s4");
    expect(unplaced(cluster)).toEqual([]);
    expect(bindings(cluster).toSorted()).toEqual(["s1", "s2", "s3", "s4"]);
  });

  it("is kept by a host without zone in the groups that it may use", () => {
    const cluster = clusterOf(topology(...leaves(4)), "a/s1", "b/s2", "c/s3");

    ["h1", "h2", "h3"].forEach((name) => cluster.addHost(name, { [SUBNET]: "s1" }));
    expect(bindings(cluster)).toEqual(["s1", "s1", "", ""]);

    add(cluster, "b/s2", "c/s3");
    expect(unplaced(cluster)).toEqual([]);
  });

  it("is counted among the groups that match the host: nested racks each for themselves", () => {
    const racks = ["r1", "r2"].map((rack) => ({ name: rack, assignment: { rack }, groups: leaves(2, rack) }));
    const cluster = clusterOf(topology(zone("a", racks)), "a/s1", "a/s2");

    cluster.addHost("h1", at("a/s1", { rack: "r1" }));
    cluster.addHost("h2", at("a/s1", { rack: "r1" }));
    cluster.addHost("h3", at("a/s2", { rack: "r2" }));
    cluster.addHost("h4", at("a/s2", { rack: "r2" }));

    expect(bindings(cluster)).toEqual(["s1", "", "s2", ""]);
  });

  it("is kept in each entry of a topology by itself", () => {
    const cluster = clusterOf(
      {
        networks: [network, { name: "more", cidr: "10.1.0.0/16" }],
        topologies: [
          { networks: ["pods"], map: leaves(2) },
          { networks: ["more"], map: leaves(4) },
        ],
      },
      "a/s1",
      "a/s2",
    );

    add(cluster, ...times(4, "a/s1"));

    expect(bindings(cluster)).toEqual(["s1", "", "s1", "s1", "s1", ""]);
  });

  it("is free again when the last host of a group leaves, for whoever waits first", () => {
    const cluster = clusterOf(topology(zone("a", leaves(2))), "a/s1", "a/s2", "a/s3");
    add(cluster, "a/s1", "a/s2", "a/s3");
    expect(unplaced(cluster)).toEqual(["h3"]);

    cluster.removeHost("h1");

    expect(bindings(cluster)).toEqual(["s3", "s2"]);
    expect(unplaced(cluster)).toEqual([]);
  });

  it("is kept when hosts learn their subnet late: those without addresses leave the groups that others need", () => {
    const cluster = clusterOf(topology(zone("a", leaves(4))), "a/s1", "a/s2");
    const names = ["h1", "h2", "h3", "h4"];
    names.forEach((name) => cluster.addHost(name, { [ZONE]: "a" }));

    names.forEach((name) => cluster.setLabels(name, at("a/s1")));
    expect(bindings(cluster)).toEqual(["s1", "s1", "s1", ""]);
    expect(cluster.groupsOf("h4")).toEqual(["10.0.0.0/18"]);

    cluster.addHost("h5", at("a/s2"));
    expect(unplaced(cluster)).toEqual([]);
  });

  it("moves no host with addresses that learns its subnet late", () => {
    const cluster = clusterOf(topology(zone("a", leaves(2))), "a/s1", "a/s2");
    ["h1", "h2"].forEach((name) => {
      cluster.addHost(name, { [ZONE]: "a" });
      cluster.allocate(`on-${name}`, name);
    });

    ["h1", "h2"].forEach((name) => cluster.setLabels(name, at("a/s1")));

    expect(cluster.hosts()).toEqual(["h1 10.0.0.0/17", "h2 10.0.128.0/17"]);
  });

  it("moves nobody when subnets become known or are forgotten", () => {
    const cluster = clusterOf(topology(zone("a", leaves(3))));
    add(cluster, ...times(3, "a/s1"));
    const before = outlineOf(cluster.state);

    know(cluster, "a/s1", "a/s2");
    expect(outlineOf(cluster.state)).toEqual(before);
    cluster.setLabels("h2", at("a/s1", { more: "labels" }));
    cluster.update(topology(zone("a", leaves(3))));
    expect(bindings(cluster)).toEqual(["s1", "s1", "s1"]);

    cluster.removeHost("h3");
    cluster.addHost("h4", at("a/s1"));
    expect(bindings(cluster)).toEqual(["s1", "s1", ""]);
    know(cluster);
    cluster.addHost("h5", at("a/s1"));
    expect(bindings(cluster)).toEqual(["s1", "s1", "s1"]);
  });

  it("is kept, and shared by turns, when hosts are there before the topology", () => {
    const cluster = clusterOf(undefined, "a/s1", "a/s2", "a/s3");
    add(cluster, ...times(5, "a/s1"), ...times(5, "a/s2"));

    cluster.update(topology(zone("a", leaves(5))));

    expect(bindings(cluster)).toEqual(["s1", "s2", "s1", "s2", ""]);
    expect(cluster.state.subnets).toHaveLength(3);
    add(cluster, "a/s1", "a/s3");
    expect(bindings(cluster)).toEqual(["s1", "s2", "s1", "s2", "s3"]);
  });
});

describe("a live cluster", () => {
  it("gains a subnet without a topology update, and nothing moves", () => {
    const cluster = clusterOf(topology(zone("a", leaves(8)), zone("b", leaves(8))), "a/s1", "a/s2", "b/s3");
    add(cluster, ...times(12, "a/s1"), ...times(12, "b/s3"));
    for (let number = 1; number <= 24; number += 1) {
      cluster.allocate(`pod-${number}`, `h${number}`);
    }
    const before = { hosts: cluster.hosts(), blocks: cluster.blocks(), bound: bindings(cluster) };

    cluster.addHost("h25", at("a/s2"));

    expect(cluster.groupsOf("h25")).toEqual(["10.0.112.0/20"]);
    expect(cluster.allocate("in-s2", "h25")).toBe("10.0.112.0");
    cluster.release("in-s2");
    cluster.removeHost("h25");
    const after = cluster.blocks().filter((line) => !line.endsWith("free"));
    expect({ hosts: cluster.hosts(), blocks: after, bound: bindings(cluster) }).toEqual(before);
  });
});

describe("the hosts of one batch", () => {
  it("are placed one of each subnet by turns, so that each binds its share; answers and order stay as listed", () => {
    const cluster = clusterOf(topology(zone("a", leaves(4))));
    const places = [...times(4, "a/s1"), ...times(4, "a/s2")];

    const outcomes = cluster.addHosts(places.map((place, index) => batchHost(index + 1, place)));

    expect(bindings(cluster)).toEqual(["s1", "s2", "s1", "s2"]);
    const names = places.map((_, index) => `h${index + 1}`);
    expect(outcomes.map(({ name }) => name)).toEqual(names);
    expect(viewHosts(cluster.state).map(({ name }) => name)).toEqual(names);
    expect([...cluster.state.hosts.values()].map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("take turns by zone and subnet, in the order of the first of each", () => {
    const hosts = ["a/s1", "a/s1", "b/s1", "a/s1", "b/s2", "b/s1"].map((place, index) => ({
      name: `${index} ${place}`,
      tags: at(place),
    }));

    expect(bySubnetInTurns(hosts).map(({ name }) => name)).toEqual([
      "0 a/s1",
      "2 b/s1",
      "4 b/s2",
      "1 a/s1",
      "5 b/s1",
      "3 a/s1",
    ]);
  });
});

describe("any order of hosts", () => {
  const zones = ["a", "b"];
  const settings = fc
    .record({
      subnets: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 2 }),
      more: fc.array(fc.nat(4), { minLength: 2, maxLength: 2 }),
      common: fc.nat(2),
      picks: fc.array(fc.nat(100), { minLength: 1, maxLength: 40 }),
      leaving: fc.array(fc.nat(100), { maxLength: 10 }),
      batch: fc.nat(40),
    })
    .map(({ subnets, more, common, picks, leaving, batch }) => {
      const known = zones.flatMap((name, index) =>
        Array.from({ length: subnets[index] ?? 1 }, (_, number) => `${name}/${name}${number}`),
      );
      const map = zones.map((name, index) => zone(name, leaves((subnets[index] ?? 1) + (more[index] ?? 0))));
      const places = picks.map((pick) => known[pick % known.length] ?? "");
      return { known, document: topology(...map, ...leaves(common)), places, leaving, batch };
    });
  type Setting = typeof settings extends fc.Arbitrary<infer T> ? T : never;

  /** Adds one by one, the last `batch` of them at once; in between, hosts leave. */
  function play({ known, document, places, leaving, batch }: Setting): Cluster {
    const cluster = clusterOf(document, ...known);
    const single = places.slice(0, Math.max(0, places.length - batch));
    single.forEach((place, index) => {
      cluster.addHost(`h${index + 1}`, at(place));
      const gone = leaving[index];
      const names = [...cluster.state.hosts.keys()];
      if (gone !== undefined) {
        cluster.removeHost(names[gone % names.length] ?? "");
      }
    });
    cluster.addHosts(
      places.slice(single.length).map((place, index) => batchHost(single.length + index + 1, place)),
    );
    return cluster;
  }

  it("places every host of every known subnet where there are as many groups, each in a group of its subnet alone", () => {
    fc.assert(
      fc.property(settings, (setting) => {
        const cluster = play(setting);

        expect(unplaced(cluster)).toEqual([]);
        for (const { hosts, subnet } of cluster.state.leaves.flat()) {
          expect([...hosts].every(({ record }) => record.tags[SUBNET] === subnet)).toBe(true);
        }
        // Whoever comes next from a subnet without host finds room as well, and moves nobody.
        const before = cluster.hosts();
        const missing = setting.known.filter(
          (place) => !bindings(cluster).includes(place.split("/")[1] ?? ""),
        );
        missing.forEach((place, index) => cluster.addHost(`h${200 + index}`, at(place)));
        expect(unplaced(cluster)).toEqual([]);
        expect(cluster.hosts().slice(0, before.length)).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  it("gives the same groups each time", () => {
    fc.assert(
      fc.property(settings, (setting) => {
        expect(outlineOf(play(setting).state)).toEqual(outlineOf(play(setting).state));
      }),
      { numRuns: 50 },
    );
  });

  it("uses all groups of a zone with one subnet, and all that no subnet waits for in others", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (known, more, used) => {
          const subnets = Array.from({ length: known }, (_, index) => `a/s${index}`);
          const cluster = clusterOf(topology(zone("a", leaves(known + more))), ...subnets);

          const hosts = Array.from(
            { length: 40 },
            (_, index) => subnets[index % Math.min(used, known)] ?? "",
          );
          cluster.addHosts(hosts.map((place, index) => batchHost(index + 1, place)));

          const free = bindings(cluster).filter((subnet) => subnet === "");
          expect(free).toHaveLength(known - Math.min(used, known));
        },
      ),
    );
  });
});
