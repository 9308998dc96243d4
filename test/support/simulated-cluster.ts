import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { SimulatedCluster } from "../../src/adapters/simulation/simulated-cluster.ts";
import { AWS_SETTINGS } from "../../src/adapters/simulation/simulated-ec2.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { parseCidr, type Cidr } from "../../src/core/net/cidr.ts";

export const PODS = parseCidr("100.96.0.0/11");
const ZONES = ["us-west-2a", "us-west-2b"];

/** A prefix of the network `PODS` per zone: 100.96.0.0/16 for the first, 100.97.0.0/16 for the second. */
export function prefixOf(zoneIndex: number): Cidr {
  return parseCidr(`100.${96 + zoneIndex}.0.0/16`);
}

/** A cluster of two zones whose routes somebody has written by hand: each zone's prefix leads to its first node, in both tables. */
export function createRoutedCluster(nodes = 6, seed = 1) {
  const clock = new VirtualClock();
  const cluster = new SimulatedCluster({
    clock,
    random: new SeededRandom(seed),
    region: "us-west-2",
    zones: ZONES,
    nodes,
    ec2: { ...AWS_SETTINGS, lagMs: 0 },
  });
  const inZone = (zone: string) => [...cluster.nodes.values()].filter((node) => node.zone === zone);
  for (const [index, zone] of ZONES.entries()) {
    for (const table of cluster.tables.values()) {
      const id = inZone(zone)[0]?.card.id ?? "";
      cluster.region.createRoute(table.id, prefixOf(index), { kind: "interface", id });
    }
  }
  for (const { card } of cluster.nodes.values()) {
    cluster.region.setSourceDestCheck(card.id, false);
  }
  const namesIn = (zone: string) => inZone(zone).map(({ name }) => name);
  return { clock, cluster, zones: ZONES, namesIn };
}
