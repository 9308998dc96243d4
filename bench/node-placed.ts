import { setTimeout as sleep } from "node:timers/promises";

import type { KubeLab, LabFollower } from "../test/support/kube-lab.ts";
import { create, node } from "../test/support/kube-objects.ts";
import { until } from "../test/support/moto-lab.ts";
import type { LabInstance } from "../test/support/moto-vpc.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";
import { placed, synced, withLab } from "./kubernetes-world.ts";

const ZONES = 3;
/** Nodes that stand before. */
const STANDING = 24;
const NODES = 200;
const LOOK_EVERY_MS = 5;
/** One node every so often: the controller's own bucket gives 5 writes to EC2 a second (`--ec2-rate`). */
const NODE_EVERY_MS = 250;

interface Times {
  /** From the API server's answer until `GET /hosts/NAME` says that the host is placed. */
  readonly placedMs: number;
  /** Until EC2 says that the Source/Dest check of its interface is off. */
  readonly uncheckedMs: number;
}

/** From a new Node until its host has its place and may forward packets: nodes created one after another, their instances run before. */
export async function bench(): Promise<BenchRow[]> {
  const times = await withLab({ zones: ZONES }, async (lab) => {
    const instances: LabInstance[] = [];
    for (let zone = 0; zone < ZONES; zone += 1) {
      const left = STANDING + NODES - instances.length;
      instances.push(...(await lab.vpc.runMany(zone, Math.ceil(left / (ZONES - zone)))));
    }
    // Their ids are random: the zones are mixed.
    const mixed = instances.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const [standing, coming] = [mixed.slice(0, STANDING), mixed.slice(STANDING)];
    for (const instance of standing) {
      await join(lab, instance);
    }
    const follower = await lab.controller({ store: "etcd", asShipped: true, flags: ["--probe=none"] });
    await synced(follower, { nodes: STANDING });
    await placed(follower, STANDING);
    const measured: Times[] = [];
    for (const instance of coming) {
      const [one] = await Promise.all([measure(lab, follower, instance), sleep(NODE_EVERY_MS)]);
      measured.push(one);
    }
    return measured;
  });
  const all = summarize(times.map(({ placedMs, uncheckedMs }) => Math.max(placedMs, uncheckedMs) / 1000));
  const hosts = summarize(times.map(({ placedMs }) => placedMs / 1000));
  return [
    {
      id: "node-placed",
      name:
        `Node created until its host is placed and its Source/Dest check is off, p99 of ${all.count} one after another, up to ${STANDING + NODES} instances ` +
        `(median ${all.median.toFixed(2)}, max ${all.max.toFixed(2)} s; placed after median ${hosts.median.toFixed(2)}, p99 ${hosts.p99.toFixed(2)} s)`,
      ...bar(all.p99, "s", 1, "at most"),
      peer: "the cloud provider's controller, to its route",
      peerFigure: "5.9 s",
    },
  ];
}

async function measure(lab: KubeLab, { client }: LabFollower, instance: LabInstance): Promise<Times> {
  if (!(await lab.vpc.checks(instance.interfaceId))) {
    throw new Error(`the Source/Dest check of ${instance.id} is off before it is a Node`);
  }
  await join(lab, instance);
  const answered = performance.now();
  const since = async (what: string, holds: () => Promise<boolean>): Promise<number> => {
    await until(`${instance.name}: ${what}`, holds, 30_000, LOOK_EVERY_MS);
    return performance.now() - answered;
  };
  const [placedMs, uncheckedMs] = await Promise.all([
    since("placed", async () => {
      // It is not known at first.
      const host = await client.host(instance.name).catch(() => undefined);
      return host?.placed === true;
    }),
    since("its Source/Dest check is off", async () => !(await lab.vpc.checks(instance.interfaceId))),
  ]);
  return { placedMs, uncheckedMs };
}

/** The instance's kubelet registers its Node. */
async function join(lab: KubeLab, { name, address, zone, id }: LabInstance): Promise<void> {
  await create(lab.kube, node({ name, ip: address, zone, instance: id }));
}
