import { readFileSync } from "node:fs";

import { EtcdServer } from "../test/support/etcd.ts";
import { populate, type Replica, ReplicaLab } from "../test/support/replica-lab.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";
import { buildLoad, load, type LoadResult } from "./load.ts";

const HOSTS = 1000;
const GROUPS = 12;
const IN_FLIGHT = 64;
const ROUNDS = 5;
const ROUND_COUNT = 8_000;
const IDLE_COUNT = 1_000;
const RECORDED = 250_000;
const LOAD_SECONDS = 60;
const MEGABYTE = 1e6;

/**
 * How quickly addresses are given over REST, beside the raw rate of the very etcd that keeps them: one etcd with fsync, the replicas and the load share the
 * machine. Raw and REST alternate; the bar holds for the median of the ratios.
 */
export async function bench(ids: readonly string[]): Promise<BenchRow[]> {
  const program = buildLoad();
  const rows: BenchRow[] = [];
  if (ids.includes("rest-alloc-1")) {
    rows.push(await ratio(program, "rest-alloc-1", 1, 1));
  }
  if (ids.includes("rest-alloc-3")) {
    rows.push(await ratio(program, "rest-alloc-3", 3, 0.6));
  }
  if (ids.includes("rest-alloc-idle")) {
    rows.push(await idle(program));
  }
  if (["rest-alloc-250k", "start-250k", "rss-250k"].some((id) => ids.includes(id))) {
    rows.push(...(await large(program)));
  }
  return rows;
}

/** An etcd, replicas on it, and 1,000 hosts in 12 groups. */
async function withReplicas<T>(
  count: number,
  work: (lab: ReplicaLab, etcd: EtcdServer) => Promise<T>,
): Promise<T> {
  const etcd = await EtcdServer.start({ flags: ["--quota-backend-bytes=4294967296"] });
  try {
    const flags = ["--store=etcd", `--etcd-endpoints=${etcd.endpoint}`, "--log-level=warn"];
    const lab = await ReplicaLab.start(Array.from({ length: count }, () => ({ flags, asShipped: true })));
    try {
      await populate(lab.at(0), GROUPS, HOSTS);
      return await work(lab, etcd);
    } finally {
      await lab.stop();
    }
  } finally {
    await etcd.stop();
  }
}

const urlsOf = (replicas: readonly Replica[]) => replicas.map(({ port }) => `http://127.0.0.1:${port}`);

async function ratio(program: string, id: string, replicas: number, atLeast: number): Promise<BenchRow> {
  return withReplicas(replicas, async (lab, etcd) => {
    const ratios: number[] = [];
    const raws: number[] = [];
    const rests: number[] = [];
    const run = { inFlight: IN_FLIGHT, count: ROUND_COUNT, hosts: HOSTS };
    // Once without counting, as much for each replica: code is compiled, connections are made.
    const warmCount = replicas * ROUND_COUNT;
    await load(program, {
      ...run,
      count: warmCount,
      mode: "rest",
      urls: urlsOf(lab.replicas),
      prefix: "warm",
    });
    for (let round = 0; round < ROUNDS; round += 1) {
      const raw = await load(program, {
        ...run,
        mode: "raw",
        urls: [etcd.endpoint],
        prefix: `/raw/${round}`,
      });
      const rest = await load(program, {
        ...run,
        mode: "rest",
        urls: urlsOf(lab.replicas),
        prefix: `round${round}`,
      });
      raws.push(raw.rate);
      rests.push(rest.rate);
      ratios.push(rest.rate / raw.rate);
    }
    await checkNoDouble(lab.at(0), warmCount + ROUND_COUNT * ROUNDS);
    const counters = await counted(lab.replicas);
    const { median } = summarize(ratios);
    return {
      id,
      name:
        `allocations a second over REST, ${replicas} ${replicas === 1 ? "replica" : "replicas"}, ${IN_FLIGHT} in flight, as a part of the raw rate of the same etcd; ` +
        `${Math.round(summarize(rests).median)}/s, ratios ${ratios.map((each) => each.toFixed(2)).join(" ")}` +
        (replicas === 1 ? "" : `, lost compares ${(100 * counters.lost).toFixed(1)} % of allocations`),
      ...bar(median, "× raw", atLeast, "at least"),
      peer: "etcd's own Go client, two puts a transaction",
      peerFigure: `${Math.round(summarize(raws).median)}/s`,
    };
  });
}

async function idle(program: string): Promise<BenchRow> {
  return withReplicas(1, async (lab, etcd) => {
    const ratios: number[] = [];
    let last: { raw: LoadResult; rest: LoadResult } | undefined;
    const run = { inFlight: 1, count: IDLE_COUNT, hosts: HOSTS, pauseMs: 2 };
    const urls = urlsOf(lab.replicas);
    await load(program, { ...run, mode: "rest", urls, prefix: "warm" });
    for (let round = 0; round < ROUNDS; round += 1) {
      const raw = await load(program, {
        ...run,
        mode: "raw",
        urls: [etcd.endpoint],
        prefix: `/raw/${round}`,
      });
      const rest = await load(program, { ...run, mode: "rest", urls, prefix: `idle${round}` });
      ratios.push(rest.p99Ms / raw.p99Ms);
      last = { raw, rest };
    }
    return {
      id: "rest-alloc-idle",
      name: `99th percentile of one allocation on an idle system, as a multiple of a raw transaction's; last round p50 ${last?.rest.p50Ms} ms, p99 ${last?.rest.p99Ms} ms`,
      ...bar(summarize(ratios).median, "× raw", 3, "at most"),
      peer: "etcd's own Go client",
      peerFigure: `p50 ${last?.raw.p50Ms} ms, p99 ${last?.raw.p99Ms} ms`,
    };
  });
}

/** 250,000 addresses: how quickly more are given, how long a start takes, how much memory is used. */
async function large(program: string): Promise<BenchRow[]> {
  return withReplicas(1, async (lab) => {
    const replica = lab.at(0);
    const urls = urlsOf([replica]);
    const run = { mode: "rest", urls, inFlight: IN_FLIGHT, hosts: HOSTS } as const;
    await load(program, { ...run, count: ROUND_COUNT, prefix: "warm" });
    const empty = await load(program, { ...run, count: 2 * ROUND_COUNT, prefix: "empty" });
    const left = RECORDED - 3 * ROUND_COUNT;
    await load(program, { ...run, count: left, prefix: "fill" });
    const full = await load(program, { ...run, count: 2 * ROUND_COUNT, prefix: "full" });

    await replica.kill("SIGTERM");
    replica.launch();
    const readyMs = await replica.ready();

    const until = performance.now() + 1000 * LOAD_SECONDS;
    for (let round = 0; performance.now() < until; round += 1) {
      await load(program, { ...run, count: ROUND_COUNT, prefix: `rss${round}` });
    }
    return [
      {
        id: "rest-alloc-250k",
        name: `allocations a second with 250,000 addresses recorded, as a part of the rate of the empty system (${Math.round(full.rate)} and ${Math.round(empty.rate)}/s)`,
        ...bar(full.rate / empty.rate, "× empty", 0.8, "at least"),
        peer: "",
        peerFigure: "",
      },
      {
        id: "start-250k",
        name: "start of one replica to ready, 250,000 addresses in etcd",
        ...bar(readyMs / 1000, "s", 10, "at most"),
        peer: "",
        peerFigure: "",
      },
      {
        id: "rss-250k",
        name: `highest RSS from its start over ${LOAD_SECONDS} s of load, 250,000 addresses and more`,
        ...bar(highestRss(replica.pid) / MEGABYTE, "MB", 500, "at most"),
        peer: "",
        peerFigure: "",
      },
    ];
  });
}

async function checkNoDouble(replica: Replica, expected: number): Promise<void> {
  const addresses = await replica.addresses();
  const distinct = new Set(addresses.map(({ address }) => address)).size;
  if (distinct !== addresses.length || addresses.length !== expected) {
    throw new Error(`${addresses.length} names hold ${distinct} addresses, and ${expected} were given`);
  }
}

/** Lost compares per allocation, over all replicas, from their metrics. */
async function counted(replicas: readonly Replica[]): Promise<{ readonly lost: number }> {
  let allocations = 0;
  let lost = 0;
  for (const { port } of replicas) {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(10_000) });
    const text = await answer.text();
    allocations += metric(text, "romana_ipam_allocations_total");
    lost += metric(text, "romana_ipam_lost_compares_total");
  }
  return { lost: lost / allocations };
}

function metric(text: string, name: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${name} `) || each.startsWith(`${name}{`));
  if (line === undefined) {
    throw new Error(`/metrics has no ${name}`);
  }
  return Number(line.slice(line.lastIndexOf(" ") + 1));
}

/** VmHWM of a process, in bytes. */
function highestRss(pid: number): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return 1024 * Number(line?.[1]);
}
