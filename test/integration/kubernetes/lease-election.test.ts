import { randomUUID } from "node:crypto";
import { uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { createKubernetes, type Kubernetes } from "../../../src/adapters/kubernetes/create-kubernetes.ts";
import { MemoryStore } from "../../../src/adapters/memory/memory-store.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import type { Leadership } from "../../../src/ports/election.ts";
import type { Store } from "../../../src/ports/store.ts";
import { LeaseElection } from "../../../src/services/lease-election.ts";
import { StoreFollower } from "../../../src/services/store-follower.ts";
import { leaseLockContract } from "../../contracts/lease-lock.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { silentLog } from "../../support/silent-log.ts";

const never = new AbortController().signal;
const TTL_MS = 3_000;
const clock = new SystemClock();

describe.skipIf(requireKubeApi())("an election on a real Lease", () => {
  let server: KubeApiServer;
  const closers: (() => Promise<void> | void)[] = [];
  beforeAll(async () => {
    server = await KubeApiServer.start();
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) {
      await close();
    }
  });

  function connect(name: string, token?: string): Kubernetes {
    const kubernetes = createKubernetes({
      source: { kind: "kubeconfig", path: server.writeKubeconfig(token) },
      version: "test",
      clock,
      log: silentLog,
      lease: { namespace: "kube-system", name },
    });
    closers.push(() => kubernetes.close());
    return kubernetes;
  }

  async function candidate(id: string, lease: string, store: Store) {
    const election = new LeaseElection({
      lock: connect(lease).lease,
      store,
      clock,
      log: silentLog,
      prefix: "/romana",
      id,
      url: `https://${id}:9600`,
      ttlMs: TTL_MS,
      random: Math.random,
      uptimeMs: () => uptime() * 1000,
    });
    const follower = await StoreFollower.open({ store, clock, log: silentLog, prefix: "/romana" }, never);
    follower.add(election);
    follower.start();
    const stop = new AbortController();
    const terms: Leadership[] = [];
    closers.push(async () => {
      stop.abort(new Error("the test is over"));
      await terms.at(-1)?.resign();
      await follower.stop();
    });
    const stand = (): void => {
      election.campaign(stop.signal).then(
        (term) => terms.push(term),
        () => undefined,
      );
    };
    stand();
    return { id, election, terms, stand };
  }

  leaseLockContract("of an API server", async () => {
    const name = `contract-${randomUUID()}`;
    return {
      lock: connect(name).lease,
      remove: async () => {
        await server.call("DELETE", leasePath(name));
      },
    };
  });

  it("elects one of two, who hands over at once, and whose successor is found when the API server is back", async () => {
    const store = new MemoryStore({ clock });
    const both = [
      await candidate("one", "romana-controller", store),
      await candidate("two", "romana-controller", store),
    ];
    await until(
      () => leading(both).length === 1 && both.every(({ election }) => election.leader() !== undefined),
    );
    const [first] = leading(both);
    const lease = await server.call("GET", leasePath("romana-controller"));
    const leader = both.find(({ terms }) => terms[0] === first);
    expect(lease).toMatchObject({
      metadata: { annotations: { "romana.io/url": `https://${leader?.id}:9600` } },
      spec: { leaseDurationSeconds: 3, holderIdentity: expect.stringMatching(`^${leader?.id}_`) as string },
    });
    expect(new Set(both.map(({ election }) => election.leader()?.id))).toEqual(new Set([leader?.id]));

    const resigned = performance.now();
    await first?.resign();
    await until(() => leading(both).length === 1);
    expect(performance.now() - resigned).toBeLessThan(TTL_MS);
    const [second] = leading(both);
    expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Infinity);
    expect(await writes(store, first)).toBe(false);
    expect(await writes(store, second)).toBe(true);

    await server.kill("SIGKILL");
    const killed = performance.now();
    await until(() => second?.ended.aborted === true);
    expect(performance.now() - killed).toBeLessThan(TTL_MS);
    await until(() => both.every(({ election }) => election.leader() === undefined));
    void second?.resign();
    expect(leading(both)).toEqual([]);

    server.spawn();
    await server.ready();
    both.forEach(({ stand }) => stand());
    await until(() => leading(both).length === 1);
    expect(leading(both)[0]?.epoch).toBeGreaterThan(second?.epoch ?? Infinity);
  });

  it("keeps a term over a restart of the API server that is shorter than it, or has one soon after", async () => {
    const store = new MemoryStore({ clock });
    const one = await candidate("one", "restart", store);
    await until(() => leading([one]).length === 1);
    await server.restart();
    await until(() => leading([one]).length === 1 || one.terms[0]?.ended.aborted === true);
    if (one.terms[0]?.ended.aborted === true) {
      one.stand();
    }
    await until(() => leading([one]).length === 1);

    expect(await writes(store, leading([one])[0])).toBe(true);
  });

  it("takes over from a leader that fell silent, after the Lease's duration and soon after it", async () => {
    const store = new MemoryStore({ clock });
    const { lease } = connect("silent");
    const wallMs = Date.now();
    await lease.create(
      { holder: "dead", durationMs: TTL_MS, acquireMs: wallMs, renewMs: wallMs, transitions: 4, url: "" },
      never,
    );
    const began = performance.now();
    const one = await candidate("one", "silent", store);
    await until(() => leading([one]).length === 1);
    const tookMs = performance.now() - began;

    expect(tookMs).toBeGreaterThanOrEqual(TTL_MS);
    expect(tookMs).toBeLessThan(2 * TTL_MS);
    expect(await lease.read(never)).toMatchObject({ transitions: 5 });
  });
});

function leasePath(name: string): string {
  return `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/${name}`;
}

function leading(all: readonly { readonly terms: readonly Leadership[] }[]): readonly Leadership[] {
  return all.flatMap(({ terms }) => terms).filter((term) => term.remainingMs() > 0);
}

async function writes(store: Store, term: Leadership | undefined): Promise<boolean> {
  const compare = term === undefined ? [] : [term.guard];
  const operations = [{ kind: "put" as const, key: "/romana/journal/x", value: "1" }];
  return (await store.commit({ compare, operations }, never)).ok;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new Error("it did not come true within 30 s");
    }
    await sleep(20);
  }
}
