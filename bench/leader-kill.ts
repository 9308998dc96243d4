import { setTimeout as sleep } from "node:timers/promises";

import { LeaderLab } from "../test/support/leader-lab.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";

/** The controller's default `--leader-ttl`, and two seconds in which the new leader reads, probes and writes. */
const BAR_S = 5 + 2;
const RUNS = 20;

interface Run {
  /** From the kill until the last route of the failed node led elsewhere, as an outside reader of moto saw it. */
  readonly movedMs: number;
  /** From the kill until another replica was elected. */
  readonly electedMs: number;
  readonly routes: number;
}

/**
 * Three controllers on one etcd. The leader is killed with -9 at a random moment of its lease, and with it a gateway falls silent; what counts is when the last
 * of that node's routes leads elsewhere, as an outside reader of moto sees it. Default settings, 24 instances, 12 groups of 2, three tables. A run in which a
 * write came in outside its sender's term fails the bench.
 */
export async function bench(): Promise<BenchRow[]> {
  const lab = await LeaderLab.start(
    { zones: 3, instancesPerZone: 8, groupsPerZone: 4 },
    "--hold-down=1s",
    "--hold-down-max=1s",
  );
  try {
    for (let index = 0; index < 3; index += 1) {
      await lab.launch();
    }
    await lab.led();
    await lab.settled(120_000);
    const runs: Run[] = [];
    while (runs.length < RUNS) {
      runs.push(await killed(lab));
      const [stray] = lab.strays();
      if (stray !== undefined) {
        throw new Error(`a write by who does not lead: ${JSON.stringify({ stray, terms: lab.terms })}`);
      }
    }
    const moved = summarize(runs.map(({ movedMs }) => movedMs / 1000));
    const elected = summarize(runs.map(({ electedMs }) => electedMs / 1000));
    const after = summarize(runs.map(({ movedMs, electedMs }) => (movedMs - electedMs) / 1000));
    return [
      {
        id: "leader-kill",
        name:
          `leader killed while a node fails, kill to last route moved, max of ${moved.count}, no write by two leaders; ` +
          `median ${moved.median.toFixed(2)}, min ${moved.min.toFixed(2)} s; of it until elected ` +
          `median ${elected.median.toFixed(2)}, max ${elected.max.toFixed(2)} s, then ` +
          `median ${after.median.toFixed(2)}, max ${after.max.toFixed(2)} s`,
        ...bar(moved.max, "s", BAR_S, "at most"),
        peer: "",
        peerFigure: "",
      },
    ];
  } finally {
    await lab.close();
  }
}

async function killed(lab: LeaderLab): Promise<Run> {
  // Any phase between two renewals of the lease.
  await sleep(Math.random() * 2_000);
  const leader = await lab.led();
  const { node } = await lab.gateway((count) => Math.floor(Math.random() * count));
  const routes = (await lab.standing()).filter(({ target }) => target === node.interfaceId).length;
  lab.moto.silence(node.address);
  const killedAt = performance.now();
  await leader.controller.kill();
  await lab.successorOf(leader);
  const electedMs = (lab.terms.at(-1)?.startedMs ?? Number.NaN) - killedAt;
  await lab.moved(node);
  const movedMs = performance.now() - killedAt;
  lab.moto.heal();
  await lab.remove(leader);
  await lab.launch();
  await lab.led();
  await lab.settled();
  return { movedMs, electedMs, routes };
}
