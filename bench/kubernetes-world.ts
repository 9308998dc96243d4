import { readFileSync } from "node:fs";
import { get, type ClientRequest } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { clusterKinds, type ClusterKind } from "../src/core/cluster/objects.ts";
import { KubeLab, type KubeLabOptions, type LabFollower } from "../test/support/kube-lab.ts";
import { until } from "../test/support/moto-lab.ts";

const SYNC_MS = 120_000;
/** How often the metrics are read. */
const READ_EVERY_MS = 50;

/** Runs `work` in a lab, which ends with it. */
export async function withLab<T>(options: KubeLabOptions, work: (lab: KubeLab) => Promise<T>): Promise<T> {
  const lab = await KubeLab.start(options);
  try {
    const result = await work(lab);
    const [wrong] = lab.judge();
    if (wrong !== undefined) {
      throw new Error(wrong);
    }
    return result;
  } catch (error) {
    throw new Error(`${String(error)}; what the controllers said last:\n${lab.lastWords()}`, {
      cause: error,
    });
  } finally {
    await lab.close();
  }
}

/** Waits until every kind was listed and is followed, with so many objects of some kinds. Answers the milliseconds. */
export async function synced(
  { metrics }: LabFollower,
  counts: Partial<Record<ClusterKind, number>> = {},
): Promise<number> {
  return await until(
    "every kind is in sync",
    async () => {
      const metric = await metrics();
      return clusterKinds.every((kind) => {
        const wanted = counts[kind];
        return (
          // A kind is watched when its list is in.
          (metric("romana_cluster_watches_total", { kind }) ?? 0) > 0 &&
          metric("romana_cluster_problem", { kind }) === 0 &&
          (wanted === undefined || metric("romana_cluster_objects", { kind }) === wanted)
        );
      });
    },
    SYNC_MS,
    READ_EVERY_MS,
  );
}

/** How often each kind was listed so far. */
export async function listsOf({ metrics }: LabFollower): Promise<readonly number[]> {
  const metric = await metrics();
  return clusterKinds.map((kind) => metric("romana_cluster_lists_total", { kind }) ?? 0);
}

/** Waits until so many hosts have their place. Answers the milliseconds. */
export async function placed({ metrics }: LabFollower, hosts: number): Promise<number> {
  return await until(
    `${hosts} hosts are placed`,
    async () => (await metrics())("romana_hosts", { state: "placed" }) === hosts,
    SYNC_MS,
    READ_EVERY_MS,
  );
}

/** What `/proc/PID/status` says of the highest resident memory of a process, in bytes. */
export function highestMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes === undefined) {
    throw new Error(`/proc/${pid}/status has no VmHWM:\n${status}`);
  }
  return Number(kibibytes) * 1024;
}

interface Offer {
  /** The policy as JSON. */
  readonly text: string;
  readonly atMs: number;
}

/** `GET /watch/policies`, and when each policy came in last. */
export class PolicyStream {
  readonly #offers = new Map<string, Offer>();
  readonly #waiting = new Set<() => void>();
  readonly #call: ClientRequest;
  #failure: Error | undefined;

  constructor(port: number) {
    this.#call = get(
      { host: "127.0.0.1", port, path: "/watch/policies?revision=0", agent: false },
      (answer) => {
        if (answer.statusCode !== 200) {
          this.#fail(new Error(`GET /watch/policies: ${answer.statusCode}`));
        }
        let event = "";
        const lines = createInterface(answer);
        lines.on("line", (line) => {
          if (line.startsWith("event:")) {
            event = line.slice("event:".length).trim();
          } else if (line.startsWith("data:")) {
            this.#take(event, line.slice("data:".length).trim());
          }
        });
        lines.on("error", (error: Error) => this.#fail(error));
        lines.once("close", () => this.#fail(new Error("the stream of policies ended")));
      },
    );
    this.#call.once("error", (error) => this.#fail(error));
  }

  get size(): number {
    return this.#offers.size;
  }

  /** When the policy came in as `holds` wants it, or, with `undefined`, when it went; waits for that. */
  async seen(id: string, holds: ((text: string) => boolean) | undefined, withinMs = 30_000): Promise<number> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const offer = this.#offers.get(id);
      if (holds === undefined ? offer === undefined : offer !== undefined && holds(offer.text)) {
        return offer?.atMs ?? performance.now();
      }
      if (this.#failure !== undefined) {
        throw this.#failure;
      }
      if (performance.now() > deadline) {
        throw new Error(`not within ${withinMs} ms on the stream: ${id}; last: ${offer?.text}`);
      }
      await this.#next(deadline - performance.now());
    }
  }

  close(): void {
    this.#call.destroy();
  }

  async #next(withinMs: number): Promise<void> {
    const patience = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    await Promise.race([
      promise,
      sleep(Math.max(0, withinMs), undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
    this.#waiting.delete(resolve);
  }

  #take(event: string, data: string): void {
    if (event === "put" || event === "delete") {
      const { id } = JSON.parse(data) as { readonly id: string };
      if (event === "put") {
        this.#offers.set(id, { text: data, atMs: performance.now() });
      } else {
        this.#offers.delete(id);
      }
      this.#wake();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #wake(): void {
    this.#waiting.forEach((resolve) => resolve());
    this.#waiting.clear();
  }
}

/**
 * Calls `work` so many times a second until `signal` is aborted, with at most 32 calls in flight: a server that does not keep up gets fewer. Answers how many were made;
 * rejects with the first that failed.
 */
export async function repeatedly(
  perSecond: number,
  work: (index: number) => Promise<unknown>,
  signal: AbortSignal,
): Promise<number> {
  const started = performance.now();
  let count = 0;
  const worker = async (): Promise<void> => {
    while (!signal.aborted) {
      if (count < ((performance.now() - started) / 1000) * perSecond) {
        count += 1;
        await work(count);
      } else {
        await sleep(5);
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  return count;
}
