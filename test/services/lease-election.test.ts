import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import type { Leadership } from "../../src/ports/election.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { electionContract } from "../contracts/election.ts";
import { leaseLockContract } from "../contracts/lease-lock.ts";
import { cutOff, ElectionLab, TTL_MS } from "../support/election-lab.ts";
import { MemoryLease } from "../support/memory-lease.ts";

electionContract("on a Lease", "lease");

leaseLockContract("in memory", async () => {
  const lock = new MemoryLease();
  return { lock, remove: async () => lock.edit(undefined) };
});

/** Two replicas, of which the first leads. */
async function led(log?: Logger): Promise<ElectionLab> {
  const lab = new ElectionLab("lease");
  await lab.add("replica-0", { log });
  await lab.add("replica-1", { log });
  lab.replicas[0]?.stands();
  await lab.clock.runFor(100);
  lab.replicas[1]?.stands();
  await lab.clock.runFor(2_000);
  expect(lab.leader().id).toBe("replica-0");
  return lab;
}

const epochs = (terms: readonly Leadership[]) => terms.map(({ epoch }) => epoch);

/** The two replicas of `led`. */
function pair(lab: ElectionLab) {
  const [first, second] = lab.replicas;
  if (first === undefined || second === undefined) {
    throw new Error("there are no two");
  }
  return { first, second };
}

/** What was logged above debug, by message. */
function recorder() {
  const lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields });
  const log: Logger = {
    child: () => log,
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: () => undefined,
  };
  return { log, lines };
}

describe("an election on a Lease", () => {
  it("writes the Lease so that people see who leads and where", async () => {
    const lab = await led();

    expect(lab.lease.state).toMatchObject({
      durationMs: TTL_MS,
      transitions: 0,
      url: "https://replica-0:9600",
    });
    expect(lab.lease.state?.holder).toMatch(/^replica-0_[a-z0-9]{10}$/);
  });

  it("counts how often the Lease changed hands", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    await first.terms[0]?.resign();
    await lab.clock.runFor(100);

    expect(lab.leader().id).toBe(second.id);
    expect(lab.lease.state).toMatchObject({ transitions: 1, url: "https://replica-1:9600" });
  });

  it("no longer names a leader that died, though nobody can follow him", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    cutOff(first);
    second.toStore.cut = true;
    await lab.clock.runFor(TTL_MS - 500);
    expect(second.election.leader()?.id).toBe("replica-0");
    await lab.clock.runFor(1_000 + TTL_MS / 3);

    expect(second.election.leader()).toBeUndefined();
  });

  it("names nobody of whom only an old key is left", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    cutOff(first);
    second.stop.abort(new Error("stopped"));
    await lab.clock.runFor(60_000);
    const third = await lab.add("replica-2");

    expect(third.election.leader()).toBeUndefined();
  });

  it("lets the term end while the API server is away, and somebody leads again when it is back", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    first.toCluster.cut = true;
    second.toCluster.cut = true;
    await lab.clock.runFor(2 * TTL_MS);
    expect(first.terms[0]?.ended.aborted).toBe(true);
    expect(lab.leading()).toEqual([]);
    expect(second.election.leader()).toBeUndefined();
    void first.terms[0]?.resign();
    first.stands();
    await lab.clock.runFor(10_000);
    expect(lab.leading()).toEqual([]);

    first.toCluster.cut = false;
    second.toCluster.cut = false;
    await lab.clock.runUntilTrue(() => lab.leading().length === 1, TTL_MS);
    expect(lab.leading()[0]?.epoch).toBeGreaterThan(first.terms[0]?.epoch ?? Infinity);
  });

  it("goes on leading while the store is away for a minute", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    first.toStore.cut = true;
    second.toStore.cut = true;
    await lab.clock.runFor(60_000);

    expect(epochs(lab.leading())).toEqual(epochs(first.terms));
    first.toStore.cut = false;
    second.toStore.cut = false;
    await lab.clock.runFor(200_000);
    expect(epochs(lab.leading())).toEqual(epochs(first.terms));
  });

  it("gives the lead up when the store does not answer this replica alone", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    first.toStore.cut = true;
    await lab.clock.runFor(130_000);
    expect(first.terms[0]?.ended.aborted).toBe(true);
    void first.terms[0]?.resign();
    await lab.clock.runFor(2 * TTL_MS);

    expect(lab.leader().id).toBe(second.id);
  });

  it("does not ask for the Lease without the store", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    second.toStore.cut = true;
    cutOff(first);
    const { holder } = lab.lease.state ?? {};
    await lab.clock.runFor(30_000);

    expect(lab.lease.state?.holder).toBe(holder);
  });

  it("gives the Lease back when the store does not take the leader's key", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    cutOff(first);
    // The key is read, and then nothing goes through any more.
    second.toStore.failChanges = true;
    await lab.clock.runFor(2 * TTL_MS);
    expect(lab.leading()).toEqual([]);
    expect(lab.lease.state?.holder).toBe("");

    second.toStore.failChanges = false;
    await lab.clock.runFor(3 * TTL_MS);
    expect(lab.leader().id).toBe(second.id);
  });

  it("keeps the leader when the Lease is deleted, and writes it again", async () => {
    const lab = await led();
    const { first } = pair(lab);
    lab.lease.edit(undefined);
    await lab.clock.runFor(60_000);

    expect(epochs(lab.leading())).toEqual(epochs(first.terms));
    expect(lab.lease.state?.holder).toMatch(/^replica-0_/);
  });

  it("keeps the leader when the Lease gets a label, and does not take that for a sign of life", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    lab.lease.edit({});
    await lab.clock.runFor(10_000);
    expect(epochs(lab.leading())).toEqual(epochs(first.terms));
    cutOff(first);
    for (let step = 0; step < 20; step += 1) {
      lab.lease.edit({});
      await lab.clock.runFor(TTL_MS / 10);
    }

    expect(lab.leader().id).toBe(second.id);
  });

  it.for([{ holder: "" }, { holder: "somebody" }])(
    "ends the term when the Lease is taken away ($holder), and nobody else leads before it is over",
    async (edit) => {
      const lab = await led();
      const { first } = pair(lab);
      lab.lease.edit(edit);
      let together = 0;
      for (let step = 0; step < 200; step += 1) {
        await lab.clock.runFor(10);
        together += lab.leading().length > 1 ? 1 : 0;
      }

      expect(together).toBe(0);
      expect(first.terms[0]?.ended.aborted).toBe(true);
      expect(lab.leading()).toEqual([]);
      await lab.clock.runFor(2 * TTL_MS);
      expect(lab.leading()).toHaveLength(1);
    },
  );

  it.for([
    { what: "nothing in it", state: {} },
    { what: "a duration below zero", state: { holder: "x", durationMs: -5 } },
    { what: "a duration that is no number", state: { holder: "x", durationMs: Number.NaN } },
    { what: "a duration of a year", state: { holder: "x", durationMs: 31_536_000_000 } },
    {
      what: "times in the far future",
      state: { holder: "x", durationMs: 5_000, renewMs: 9e15, acquireMs: 9e15 },
    },
  ])("waits its own time, and no longer, for a Lease with $what", async ({ state }) => {
    const lab = new ElectionLab("lease");
    lab.lease.edit(state);
    const replica = await lab.add("one");
    replica.stands();
    const tookMs = await lab.clock.runUntilTrue(() => replica.terms.length > 0, TTL_MS + 100);

    expect(tookMs >= TTL_MS).toBe("holder" in state);
  });

  it("waits for whoever holds the Lease as long as he renews it, and as long as he says", async () => {
    const lab = new ElectionLab("lease");
    lab.lease.edit({ holder: "stranger", durationMs: 20_000 });
    const replica = await lab.add("one");
    replica.stands();
    for (let renewMs = 1; renewMs < 20; renewMs += 1) {
      lab.lease.edit({ renewMs });
      await lab.clock.runFor(4_000);
    }
    expect(replica.terms).toEqual([]);
    const tookMs = await lab.clock.runUntilTrue(() => replica.terms.length > 0, 30_000);

    expect(tookMs).toBeGreaterThan(20_000 - 4_000 - 1_500);
  });

  it("is elected when the answer was lost by which it got the Lease", async () => {
    const lab = new ElectionLab("lease");
    const replica = await lab.add("one");
    replica.toCluster.loseAnswers = 2;
    replica.stands();
    await lab.clock.runFor(2 * TTL_MS);

    expect(lab.leading()).toHaveLength(1);
    expect(lab.leading()[0]?.ended.aborted).toBe(false);
  });

  it("leads when the answer was lost that its key was written, by the revision of the key", async () => {
    const lab = new ElectionLab("lease");
    const replica = await lab.add("one");
    replica.toStore.loseAnswers = 1;
    replica.stands();
    await lab.clock.runFor(TTL_MS);

    const [term] = lab.leading();
    expect(term !== undefined && (await lab.write(term))).toBe(true);
  });

  it("stands back for replicas that elect by the store alone, and they for it", async () => {
    const lab = new ElectionLab("lease");
    const old = await lab.add("old", { kind: "store" });
    old.stands();
    await lab.clock.runFor(300);
    const { log, lines } = recorder();
    const young = await lab.add("young", { log });
    young.stands();
    await lab.clock.runFor(60_000);
    expect(epochs(lab.leading())).toEqual(epochs(old.terms));
    expect(young.election.leader()?.id).toBe("old");
    expect(lines.map(({ fields }) => (fields as { err?: NetworkError }).err?.code)).toEqual([
      "LEADER_KEY_FOREIGN",
    ]);

    await old.terms[0]?.resign();
    await lab.clock.runFor(2 * TTL_MS);
    expect(epochs(lab.leading())).toEqual(epochs(young.terms));
    old.stands();
    await lab.clock.runFor(60_000);
    expect(epochs(lab.leading())).toEqual(epochs(young.terms));
  });

  it("says once what the role lacks, and once that it is back", async () => {
    const { log, lines } = recorder();
    const lab = new ElectionLab("lease");
    const replica = await lab.add("one", { log });
    replica.toCluster.refuse = new NetworkError(
      "invalid",
      "CLUSTER_FORBIDDEN",
      'the API server refused to create leases: its role lacks the verb "create"',
      { verb: "create", resource: "leases" },
    );
    replica.stands();
    await lab.clock.runFor(10 * TTL_MS);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "error", fields: { verb: "create", resource: "leases" } });

    replica.toCluster.refuse = undefined;
    await lab.clock.runFor(TTL_MS);
    expect(lab.leading()).toHaveLength(1);
    expect(lines.slice(1).map(({ level }) => level)).toEqual(["info"]);
  });

  it("leads to the end of its term when the right to renew is taken away, and longer when it is given back", async () => {
    const { log, lines } = recorder();
    const lab = await led(log);
    const { first } = pair(lab);
    const refused = new NetworkError("invalid", "CLUSTER_FORBIDDEN", "no", { verb: "update" });
    first.toCluster.refuse = refused;
    await lab.clock.runFor(0.5 * TTL_MS);
    first.toCluster.refuse = undefined;
    await lab.clock.runFor(TTL_MS);
    expect(epochs(lab.leading())).toEqual(epochs(first.terms));
    expect(lines.filter(({ level }) => level === "warn")).toHaveLength(1);

    first.toCluster.refuse = refused;
    await lab.clock.runFor(TTL_MS);
    expect(first.terms[0]?.ended.aborted).toBe(true);
  });

  it("counts its term from before the Lease was asked for, and each renewal from before it was sent", async () => {
    const lab = new ElectionLab("lease");
    const replica = await lab.add("one");
    replica.toCluster.answersAfter = (signal) => lab.clock.sleep(1_000, signal);
    replica.stands();
    await lab.clock.runUntilTrue(() => replica.terms.length > 0, TTL_MS);
    const [term] = replica.terms;
    expect(term?.remainingMs()).toBeLessThanOrEqual(0.9 * TTL_MS - 1_000);
    await lab.clock.runUntilTrue(() => (term?.remainingMs() ?? 0) > 0.9 * TTL_MS - 1_300, TTL_MS);

    expect(term?.remainingMs()).toBeLessThanOrEqual(0.9 * TTL_MS - 1_000);
  });

  it("follows a process of its own name as it follows any other", async () => {
    const lab = await led();
    const { first, second } = pair(lab);
    second.stop.abort(new Error("stopped"));
    cutOff(first);
    const again = await lab.add("replica-0");
    again.stands();
    const tookMs = await lab.clock.runUntilTrue(() => again.terms.length > 0, 1.5 * TTL_MS);

    expect(tookMs).toBeGreaterThan(0.9 * TTL_MS);
    expect(again.election.leader()?.id).toBe("replica-0");
  });
});
