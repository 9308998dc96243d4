import { expect, it } from "vitest";

import { checkPairs, checkStrays, type CheckedPod } from "../../../src/adapters/simulation/check-pairs.ts";
import { ForwardingWalk } from "../../../src/adapters/simulation/forwarding-walk.ts";
import { planHostTables } from "../../../src/adapters/simulation/host-routes.ts";
import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import { formatCidr, type Cidr } from "../../../src/core/net/cidr.ts";
import { formatIpv4, ipv4Value, parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { createRoutedCluster, prefixOf } from "../../support/simulated-cluster.ts";

/** `perNode` pods on each node; each zone is a group, its prefix carved in blocks of 8. */
function setUp(nodes: number, perNode: number) {
  const world = createRoutedCluster(nodes);
  const { cluster, zones, namesIn } = world;
  const pods: CheckedPod[] = [];
  const blocks: { cidr: Cidr; host: string }[] = [];
  for (const [index, zone] of zones.entries()) {
    const start = ipv4Value(parseIpv4(`100.${96 + index}.0.0`));
    for (const [place, host] of namesIn(zone).entries()) {
      const first = start + place * 8 * Math.ceil(perNode / 8);
      for (let block = 0; block < perNode / 8; block += 1) {
        blocks.push({ cidr: formatCidr(first + block * 8, 29), host });
      }
      for (let pod = 0; pod < perNode; pod += 1) {
        pods.push({ name: `${host}/${pod}`, address: first + pod, host, group: prefixOf(index) });
      }
    }
  }
  const hosts = [...cluster.nodes.values()];
  const tables = planHostTables({
    hosts,
    blocks,
    pods: pods.map(({ name, address, host }) => ({ name, address: formatIpv4(address), host })),
    routes: zones.map((zone, index) => ({ destination: prefixOf(index), gateway: namesIn(zone)[0] ?? "" })),
  });
  const walk = () => new ForwardingWalk(cluster.walkWorld(tables));
  return { ...world, pods, walk };
}

it("checks all ordered pairs when they are few, and finds them all reachable", () => {
  const { pods, walk } = setUp(6, 3);

  const report = checkPairs(walk(), pods, 1_000, new SeededRandom(1));

  expect(report).toEqual({ checked: 18 * 17, unreachable: 0, groupPairs: 4, causes: {}, examples: [] });
});

it("checks a sample of every ordered pair of groups when they are many", () => {
  const { pods, walk } = setUp(6, 16);

  const report = checkPairs(walk(), pods, 1_000, new SeededRandom(1));

  expect(report.groupPairs).toBe(4);
  expect(report.checked).toBe(1_000);
});

it("says how many pairs are out of reach, and why", () => {
  const { pods, walk, cluster } = setUp(6, 3);
  cluster.node("ip-10-0-8-4").instance.hung = true;
  const living = pods.filter(({ host }) => host !== "ip-10-0-8-4");

  const report = checkPairs(walk(), living, 1_000, new SeededRandom(1));

  // From each of the 9 pods of the first zone to the 6 living ones of the second, whose gateway is dead.
  expect(report).toMatchObject({ checked: 15 * 14, unreachable: 54, causes: { "target-dead": 54 } });
  expect(report.examples[0]?.result.why).toBe("ip-10-0-8-4 gets it and is dead");
});

it("sends packets to nobody from each group, which die without a loop", () => {
  const { pods, walk } = setUp(6, 3);
  const nobody = ["100.96.0.7", "100.96.255.255", "100.97.0.23", "100.127.255.255"].map((text) =>
    ipv4Value(parseIpv4(text)),
  );

  expect(checkStrays(walk(), pods, nobody)).toEqual({ checked: 8, loops: 0, delivered: 0, examples: [] });
});

it("follows 100,000 packets through 1,000 nodes", () => {
  const { pods, walk } = setUp(1_000, 3);

  const report = checkPairs(walk(), pods, 100_000, new SeededRandom(1));

  expect(report.checked).toBe(100_000);
  expect(report.unreachable).toBe(0);
});
