import type { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { watchSources } from "../../src/api/watch-sources.ts";
import type { RouteView } from "../../src/core/views/route-views.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { ClusterPolicyStore } from "../../src/services/cluster-policy-store.ts";
import { PolicyService } from "../../src/services/policy-service.ts";
import { ResourceFeed, type ResourceFeedOptions } from "../../src/services/resource-feed.ts";
import { RouteFeedSource } from "../../src/services/route-feed-source.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { TenantService } from "../../src/services/tenant-service.ts";
import type { StreamSink } from "../../src/services/watch-channel.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { createLog, type LogLine } from "./support.ts";

const signal = new AbortController().signal;

/** One event of a stream. */
export interface SeenEvent {
  readonly id: number | undefined;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Reads complete events out of the text of a stream. */
export function parseEvents(text: string): readonly SeenEvent[] {
  return text
    .split("\n\n")
    .slice(0, -1)
    .map((block) => {
      const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/s) as [string, string]));
      const id = fields.get("id");
      return {
        id: id === undefined ? undefined : Number(id),
        event: fields.get("event") ?? "",
        data: JSON.parse(fields.get("data") ?? "{}") as SeenEvent["data"],
      };
    });
}

/** A reader that takes everything at once, until a test makes it stand still or breaks it off. */
export class MemorySink implements StreamSink {
  text = "";
  ended = false;
  destroyed = false;
  /** While true, what is written waits. */
  still = false;
  #pending = 0;
  #waiting: (() => void)[] = [];
  readonly #closers: (() => void)[] = [];

  get events(): readonly SeenEvent[] {
    return parseEvents(this.text);
  }

  write(bytes: Uint8Array): boolean {
    if (this.destroyed || this.ended) {
      return true;
    }
    this.text += new TextDecoder().decode(bytes);
    this.#pending += this.still ? bytes.length : 0;
    return !this.still;
  }

  drained(): Promise<void> {
    return this.still && !this.destroyed
      ? new Promise((resolve) => {
          this.#waiting.push(resolve);
        })
      : Promise.resolve();
  }

  pendingBytes(): number {
    return this.#pending;
  }

  end(): void {
    this.ended = true;
    if (!this.still) {
      this.#close();
    }
  }

  destroy(): void {
    this.destroyed = true;
    this.#close();
  }

  onClose(listener: () => void): void {
    this.#closers.push(listener);
  }

  /** The reader goes on. */
  go(): void {
    this.still = false;
    this.#pending = 0;
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }

  #close(): void {
    this.#waiting.splice(0).forEach((resolve) => resolve());
    this.#closers.splice(0).forEach((listener) => listener());
  }
}

/** A replica on a store: the services that streams are fed by, and the feed. */
export async function openReplica(
  store: MemoryStore,
  options: Partial<ResourceFeedOptions> = {},
  clock: Clock = new FakeClock(),
) {
  const lines: LogLine[] = [];
  const common = { store, clock, log: createLog(lines), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const addressing = await AddressingService.open({ ...common, follower }, signal);
  const policies = new PolicyService({ ...common, follower });
  const clusterPolicies = new ClusterPolicyStore({ ...common, follower });
  const tenants = new TenantService({ ...common, follower, usage: addressing });
  follower.start();
  const shown: { routes: readonly RouteView[] | undefined } = { routes: [] };
  const routes = new RouteFeedSource({
    status: () =>
      shown.routes && { granularity: "", readAt: null, tables: [], routes: shown.routes, skipped: [] },
    clock,
  });
  const feed = new ResourceFeed({
    sources: watchSources({ addressing, policies, clusterPolicies, routes }),
    reached: (revision, abort) => follower.reached(revision, abort),
    clock,
    log: common.log,
    ...options,
  });
  return { store, follower, addressing, policies, clusterPolicies, tenants, routes, shown, feed, lines };
}

/** A stream into memory. */
export async function watching(
  feed: ResourceFeed,
  request: Partial<Parameters<ResourceFeed["open"]>[0]>,
  sink = new MemorySink(),
): Promise<MemorySink> {
  await feed.open({ kind: "policy-documents", after: undefined, host: undefined, ...request }, () => sink, signal);
  await turns();
  return sink;
}

/** Lets everything that only waits for promises come to its end. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** A policy that is told apart by its id and description. */
export function policy(id: string, description = "") {
  return {
    id,
    direction: "ingress",
    ...(description === "" ? {} : { description }),
    applied_to: [{ tenant_id: "t" }],
    ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "any" }] }],
  };
}
