import { expect, it } from "vitest";

import { foreignDifferences } from "../../../src/adapters/simulation/judge-simulation.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { createRoutedCluster, PODS, prefixOf } from "../../support/simulated-cluster.ts";

/** What is told of a change that somebody makes in the region. */
function changesBy(
  work: (world: ReturnType<typeof createRoutedCluster>) => void,
  nodes = 6,
): readonly string[] {
  const world = createRoutedCluster(nodes);
  const before = world.cluster.foreignState([PODS]);
  work(world);
  return foreignDifferences(before, world.cluster.foreignState([PODS]));
}

it("is not changed by what is ours: routes in our networks, checks of nodes, nodes that come and go", () => {
  const changes = changesBy(({ cluster, namesIn }) => {
    const [table] = cluster.tables.values();
    cluster.region.deleteRoute(table?.id ?? "", prefixOf(0));
    cluster.region.setSourceDestCheck(cluster.node("ip-10-0-0-4").card.id, true);
    for (let count = 0; count < 10; count += 1) {
      cluster.addNode("us-west-2a");
    }
    cluster.removeNode(namesIn("us-west-2b")[0] ?? "");
  });

  expect(changes).toEqual([]);
});

it("is changed by a route outside our networks, in any table", () => {
  const changes = changesBy(({ cluster }) => {
    const [table] = cluster.tables.values();
    cluster.region.deleteRoute(table?.id ?? "", parseCidr("192.168.0.0/16"));
  });

  expect(changes).toEqual(["gone: rtb-00000003 192.168.0.0/16 → pcx-1"]);
});

it("is changed by a route of ours in a table that serves no node", () => {
  const changes = changesBy(({ cluster }) => {
    const main = [...cluster.region.routeTables.values()].find((table) => table.main);
    cluster.region.createRoute(main?.id ?? "", prefixOf(0), { kind: "other", id: "pcx-1" });
  });

  expect(changes).toEqual(["new: rtb-00000001 100.96.0.0/16 → pcx-1"]);
});

it("is changed by the check of an interface that owns no node's address", () => {
  const changes = changesBy(({ cluster }) => {
    const second = [...cluster.nodes.values()].flatMap(({ instance }) => instance.interfaces.slice(1))[0];
    cluster.region.setSourceDestCheck(second?.id ?? "", false);
  }, 20);

  expect(changes).toHaveLength(2);
  expect(changes[1]).toMatch(/^new: eni-\w+ source\/dest check off$/);
});
