import { createProber } from "../src/adapters/probe/create-prober.ts";
import { bar, type BenchRow } from "./bench-row.ts";
import { ScaleWorld } from "./scale-world.ts";

const WRITES = ["CreateRoute", "ReplaceRoute", "DeleteRoute"];
const IDLE_PASSES = 3;
const RSS_PASSES = 20;
const ADDRESSES = 20_000;
const TENANTS = 20;
const TENANTS_PER_HOST = 5;
const ALLOCATIONS_AT_ONCE = 16;
const SAMPLE_MS = 50;
const MEGABYTE = 1e6;
/** No probes and no passes but those that are asked for or follow a write: every call has a known cause. */
const QUIET = ["--probe=none", "--interval=0s", "--log-level=warn"];

/**
 * How many calls the real controller makes, and how much memory it takes, on a simulated region of up to 1,000 instances behind an HTTP endpoint: the SDK's own
 * signing and XML parsing are in the way (`scale-world.ts`).
 */
export async function bench(ids: readonly string[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  if (ids.includes("calls-idle")) {
    rows.push(await callsIdle());
  }
  if (ids.includes("writes-500")) {
    rows.push(
      await writes("writes-500", 8, 144, {
        peer: "a route per node, as the cloud provider's route controller makes (computed, × 6 tables)",
        peerFigure: "3,000",
      }),
    );
  }
  if (ids.includes("writes-500-coarse")) {
    rows.push(await writes("writes-500-coarse", 1, 18, { peer: "", peerFigure: "" }));
  }
  if (ids.includes("rss-1000")) {
    rows.push(await rss());
  }
  return rows;
}

interface Describes {
  /** Of the costliest pass. */
  readonly calls: number;
  readonly pages: number;
}

async function callsIdle(): Promise<BenchRow> {
  const small = await idleDescribes(24);
  const large = await idleDescribes(1000);
  const pages = `pages beyond the first: ${small.pages} and ${large.pages}`;
  return {
    id: "calls-idle",
    name:
      `Describe calls of an idle pass: ${small.calls} at 24 and ${large.calls} at 1,000 nodes (${pages}); ` +
      "one more in two passes of 10 minutes, for the VPC and for its subnets",
    ...bar(Math.max(small.calls, large.calls), "calls", 3, "at most"),
    peer: "",
    peerFigure: "",
  };
}

async function idleDescribes(nodes: number): Promise<Describes> {
  const world = await ScaleWorld.start({ nodes, groupsPerZone: 8, store: "memory", flags: QUIET });
  try {
    await world.settled();
    const passes: Describes[] = [];
    for (let pass = 0; pass < IDLE_PASSES; pass += 1) {
      const before = describesOf(world.endpoint.calls());
      await world.client.reconcile();
      const after = describesOf(world.endpoint.calls());
      passes.push({ calls: after.calls - before.calls, pages: after.pages - before.pages });
    }
    return {
      calls: Math.max(...passes.map(({ calls }) => calls)),
      pages: Math.max(...passes.map(({ pages }) => pages)),
    };
  } finally {
    await world.close();
  }
}

function describesOf(calls: Readonly<Record<string, number>>): Describes {
  const counts = Object.entries(calls).filter(([action]) => action.startsWith("Describe"));
  const sum = (wanted: boolean): number =>
    counts
      .filter(([action]) => action.endsWith(":page") === wanted)
      .reduce((total, [, count]) => total + count, 0);
  return { calls: sum(false), pages: sum(true) };
}

async function writes(
  id: string,
  groupsPerZone: number,
  limit: number,
  peer: Pick<BenchRow, "peer" | "peerFigure">,
): Promise<BenchRow> {
  const nodes = 500;
  const world = await ScaleWorld.start({ nodes, groupsPerZone, store: "memory", flags: QUIET });
  try {
    await world.settled();
    const calls = world.endpoint.calls();
    const { routes } = await world.client.status();
    const expected = 3 * groupsPerZone * 6;
    if (routes.active !== expected) {
      throw new Error(`${routes.active} routes stand where ${expected} should`);
    }
    const count = WRITES.reduce((sum, action) => sum + (calls[action] ?? 0), 0);
    const checks = calls["ModifyNetworkInterfaceAttribute"] ?? 0;
    return {
      id,
      name:
        `route writes until a pass plans nothing: ${nodes} nodes, 3 zones of ${groupsPerZone} group${groupsPerZone === 1 ? "" : "s"}, 6 tables ` +
        `(${checks} ModifyNetworkInterfaceAttribute besides)`,
      ...bar(count, "writes", limit, "at most"),
      ...peer,
    };
  } finally {
    await world.close();
  }
}

async function rss(): Promise<BenchRow> {
  // `bin/romana` keeps compiled code from the first start on.
  await (await ScaleWorld.start({ nodes: 24, groupsPerZone: 1, store: "sqlite", flags: QUIET })).close();
  const probe = (await canPing()) ? "icmp" : "none";
  const world = await ScaleWorld.start({
    nodes: 1000,
    groupsPerZone: 8,
    store: "sqlite",
    flags: [`--probe=${probe}`],
  });
  try {
    await world.settled();
    const settled = world.memory("VmRSS");
    await allocate(world);
    const allocated = world.memory("VmRSS");
    const samples: number[] = [];
    const sampler = setInterval(() => samples.push(world.memory("VmRSS")), SAMPLE_MS);
    try {
      for (let pass = 0; pass < RSS_PASSES; pass += 1) {
        await world.client.reconcile();
      }
    } finally {
      clearInterval(sampler);
    }
    const highest = world.memory("VmHWM");
    const { blocks } = await world.client.blocks();
    const addresses = blocks.reduce((sum, block) => sum + block.allocated_ip_count, 0);
    if (addresses !== ADDRESSES) {
      throw new Error(`${addresses} addresses are allocated where ${ADDRESSES} should be`);
    }
    const inPasses = Math.max(...samples);
    return {
      id: "rss-1000",
      name:
        `highest RSS since the start (not the first one), ${RSS_PASSES} passes, 1,000 instances, ${grouped(addresses)} addresses in ${grouped(blocks.length)} ` +
        `blocks, sqlite, ${probe === "icmp" ? "ICMP probes" : "no probes"} (${megabytes(settled)} MB before the addresses, ${megabytes(allocated)} after, ` +
        `up to ${megabytes(inPasses)} in the passes)`,
      ...bar(highest / MEGABYTE, "MB", 200, "at most"),
      peer: "",
      peerFigure: "",
    };
  } finally {
    await world.close();
  }
}

function grouped(value: number): string {
  return value.toLocaleString("en");
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(0);
}

/** Whether ICMP probes work here: root, or the right to open raw sockets, and the module that was built for it. */
async function canPing(): Promise<boolean> {
  try {
    const prober = await createProber({ kind: "icmp" });
    prober.close();
    return true;
  } catch {
    return false;
  }
}

/** Of 20 tenants, every host has pods of five, four of each: a block for each tenant on each host. */
async function allocate(world: ScaleWorld): Promise<void> {
  const { hosts } = await world.client.hosts();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < ADDRESSES) {
      const index = next;
      next += 1;
      const host = index % hosts.length;
      const tenant = (host + (Math.floor(index / hosts.length) % TENANTS_PER_HOST)) % TENANTS;
      await world.client.allocate({
        name: `pod-${index}`,
        host: hosts[host]?.name ?? "",
        tenant: `tenant-${tenant}`,
        segment: "default",
      });
    }
  };
  await Promise.all(Array.from({ length: ALLOCATIONS_AT_ONCE }, worker));
}
