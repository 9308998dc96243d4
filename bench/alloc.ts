import { performance } from "node:perf_hooks";

import { planAllocation } from "../src/core/ipam/allocate.ts";
import { commit } from "../src/core/ipam/commit.ts";
import type { AllocationRequest, CarvedTopology } from "../src/core/ipam/records.ts";
import { planRelease } from "../src/core/ipam/release.ts";
import { createState, type IpamState } from "../src/core/ipam/state.ts";
import { formatCidr, parseCidr } from "../src/core/net/cidr.ts";
import { formatIpv4 } from "../src/core/net/ipv4.ts";
import type { Group } from "../src/core/topology/topology.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";

const SIZES = [
  { id: "alloc-10k", inUse: 10_000 },
  { id: "alloc-250k", inUse: 250_000 },
] as const;
const TENANTS = 20;
const HOSTS = 1000;
const GROUPS = 16;
const FIRST = 0x0a_00_00_00;
const RUNS = 5;
const OPERATIONS = 400_000;
const BATCH = 1000;

const hosts = Array.from({ length: HOSTS }, (_, index) => `host-${index}`);
const tenants = Array.from({ length: TENANTS }, (_, index) => `tenant-${index}`);

/**
 * Allocations and releases per second in `core` at 10,000 and at 250,000 addresses in use: decide and commit, half allocate, half release, hosts and tenants at
 * random, every name new, and a bitmap that belongs to the measurement checks that no address is handed out twice.
 */
export async function bench(ids: readonly string[]): Promise<BenchRow[]> {
  return SIZES.filter(({ id }) => ids.includes(id)).map(({ id, inUse }) => measure(id, inUse));
}

function measure(id: string, inUse: number): BenchRow {
  const rates = summarize(Array.from({ length: RUNS }, (_, run) => runOnce(inUse, run + 1)));
  return {
    id,
    name: `allocate and release at ${inUse.toLocaleString("en")} addresses in use, median of ${rates.count} runs, least ${Math.round(rates.min).toLocaleString("en")}`,
    ...bar(Math.round(rates.median), "operations/s", 400_000, "at least"),
    peer: "Romana 2.0 (Go)",
    peerFigure: "65,000–95,000/s",
  };
}

function runOnce(inUse: number, seed: number): number {
  const state = createState(topology());
  commit(
    state,
    hosts.map((name, index) => ({
      kind: "put-host",
      host: {
        name,
        ip: formatIpv4(0xac_10_00_00 + index),
        agentPort: 9604,
        tags: {},
        origin: "api",
        sequence: index + 1,
        groups: [{ network: "pods", cidr: formatCidr(FIRST + (index % GROUPS) * 2 ** 20, 12), subnet: "" }],
        misplaced: false,
      },
    })),
  );
  const load = new Load(state, seed);
  for (let done = 0; done < inUse; done += BATCH) {
    load.run(0, BATCH);
  }
  let elapsedMs = 0;
  for (let done = 0; done < OPERATIONS; done += BATCH) {
    elapsedMs += load.run(BATCH / 2, BATCH / 2);
  }
  if (load.names.length !== inUse || state.names.size !== inUse || state.revision !== inUse + OPERATIONS) {
    throw new Error(`counts differ: ${load.names.length}, ${state.names.size}, ${state.revision}`);
  }
  return (OPERATIONS / elapsedMs) * 1000;
}

/** Asks for and gives back addresses, in batches of which only the work of `core` is timed: requests are made before, uniqueness is checked after. */
class Load {
  /** Names that hold an address. */
  readonly names: string[] = [];
  readonly #state: IpamState;
  readonly #used = new Uint8Array(2 ** 21);
  #random: number;
  #next = 0;

  constructor(state: IpamState, seed: number) {
    this.#state = state;
    this.#random = seed;
  }

  /** Releases and allocates by turns; returns milliseconds. */
  run(releases: number, allocations: number): number {
    const state = this.#state;
    const released = Array.from({ length: releases }, () => this.#pick());
    const requests = Array.from({ length: allocations }, () => this.#request());
    const freed: number[] = [];
    const taken: number[] = [];
    const start = performance.now();
    for (let index = 0; index < allocations; index += 1) {
      const name = released[index];
      if (name !== undefined) {
        const plan = planRelease(state, name);
        commit(state, plan.changes);
        freed.push(plan.allocation.address);
      }
      const request = requests[index];
      if (request !== undefined) {
        const plan = planAllocation(state, request);
        commit(state, plan.changes);
        taken.push(plan.address);
      }
    }
    const elapsedMs = performance.now() - start;
    for (let index = 0; index < allocations; index += 1) {
      if (index < releases) {
        this.#flip(freed[index] ?? 0, 1);
      }
      this.#flip(taken[index] ?? 0, 0);
    }
    this.names.push(...requests.map(({ name }) => name));
    return elapsedMs;
  }

  #pick(): string {
    const index = this.#below(this.names.length);
    const name = this.names[index] ?? "";
    this.names[index] = this.names.at(-1) ?? "";
    this.names.pop();
    return name;
  }

  #request(): AllocationRequest {
    const name = ["pod", this.#next, "namespace", this.#below(2 ** 30).toString(16)].join(".");
    this.#next += 1;
    const tenant = tenants[this.#below(TENANTS)] ?? "";
    const host = hosts[this.#below(HOSTS)] ?? "";
    return { name, host, tenant, segment: "default" };
  }

  /** Checks that the address was free (0) or in use (1), and turns it round. */
  #flip(address: number, before: 0 | 1): void {
    const offset = address - FIRST;
    const byte = this.#used[offset >>> 3] ?? 0;
    if (offset < 0 || offset >= 2 ** 24 || ((byte >>> (offset & 7)) & 1) !== before) {
      throw new Error(`${formatIpv4(address)} was handed out or released twice`);
    }
    this.#used[offset >>> 3] = byte ^ (1 << (offset & 7));
  }

  /** A linear congruential generator (Numerical Recipes): the same load in each measurement. */
  #below(limit: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * limit);
  }
}

function topology(): CarvedTopology {
  const common = { network: "pods", kind: "group", assignment: {}, routing: "" } as const;
  const children = Array.from({ length: GROUPS }, (_, index): Group => ({
    ...common,
    name: `group-${index}`,
    cidr: formatCidr(FIRST + index * 2 ** 20, 12),
    children: [],
  }));
  const cidr = parseCidr("10.0.0.0/8");
  const root: Group = { ...common, name: "/", cidr, children };
  const networks = [{ network: { name: "pods", cidr, blockMask: 29, tenants: [] }, root }];
  return { networks, entries: [{ networks }] };
}

if (import.meta.main) {
  for (const row of await bench(SIZES.map(({ id }) => id))) {
    console.log(
      `${row.id}: ${row.figure.toLocaleString("en")} ${row.unit} (bar ${row.bar.toLocaleString("en")})`,
    );
  }
}
