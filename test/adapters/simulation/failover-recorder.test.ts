import { expect, it } from "vitest";

import { FailoverRecorder } from "../../../src/adapters/simulation/failover-recorder.ts";
import { createRoutedCluster, PODS, prefixOf } from "../../support/simulated-cluster.ts";

function setUp() {
  const world = createRoutedCluster();
  const { cluster, clock } = world;
  const down = new Set<string>();
  const detected: string[] = [];
  const recorder = new FailoverRecorder({
    clock,
    cluster,
    networks: [PODS],
    isDown: (node) => down.has(node),
    onDetected: (node, afterMs) => void detected.push(`${node} ${afterMs}`),
  });
  const kill = (name: string) => {
    const node = cluster.node(name);
    node.instance.hung = true;
    recorder.onDeath([node]);
  };
  const heal = (name: string) => {
    const node = cluster.node(name);
    node.instance.hung = false;
    recorder.onHeal([node]);
  };
  const move = (tableIndex: number, name: string, prefix = prefixOf(0)) => {
    const table = [...cluster.tables.values()][tableIndex];
    cluster.region.replaceRoute(table?.id ?? "", prefix, {
      kind: "interface",
      id: cluster.node(name).card.id,
    });
  };
  return { ...world, recorder, down, detected, kill, heal, move };
}

it("measures the verdict and the moment when the last route leads to a living node", async () => {
  const { clock, recorder, kill, move, down, detected } = setUp();
  await clock.runFor(1_000);
  kill("ip-10-0-0-4");
  await clock.runFor(600);
  down.add("ip-10-0-0-4");
  await clock.runFor(50);
  move(0, "ip-10-0-0-5");
  await clock.runFor(30);
  move(1, "ip-10-0-0-5");
  await clock.runFor(1_000);

  expect(recorder.failovers()).toEqual([
    { node: "ip-10-0-0-4", routes: 2, detectedMs: 605, routesMovedMs: 680 },
  ]);
  expect(detected).toEqual(["ip-10-0-0-4 605"]);
  expect(recorder.moves()).toBe(2);
});

it("does not take a route that leads to another dead node for moved", async () => {
  const { clock, recorder, kill, move, down } = setUp();
  kill("ip-10-0-0-4");
  kill("ip-10-0-0-5");
  down.add("ip-10-0-0-4");
  await clock.runFor(100);
  move(0, "ip-10-0-0-5");
  move(1, "ip-10-0-0-5");
  await clock.runFor(100);

  expect(recorder.failovers()).toMatchObject([{ node: "ip-10-0-0-4", routesMovedMs: null }]);
});

it("leaves out nodes without routes and silences that nobody noticed", async () => {
  const { clock, recorder, kill, heal, down } = setUp();
  kill("ip-10-0-0-5");
  kill("ip-10-0-8-4");
  await clock.runFor(300);
  heal("ip-10-0-8-4");
  await clock.runFor(1_000);
  down.add("ip-10-0-8-4");
  await clock.runFor(1_000);

  expect(recorder.failovers()).toEqual([]);
});

it("keeps a node that stayed dead and was never found", async () => {
  const { clock, recorder, kill } = setUp();
  kill("ip-10-0-8-4");

  await clock.runFor(120_000);

  expect(recorder.failovers()).toEqual([
    { node: "ip-10-0-8-4", routes: 2, detectedMs: null, routesMovedMs: null },
  ]);
  expect(clock.pending()).toBe(0);
});

it("counts no move when a route is written as it stands", () => {
  const { recorder, move } = setUp();
  move(0, "ip-10-0-0-4");

  expect(recorder.moves()).toBe(0);
});
