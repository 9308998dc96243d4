import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { cutOff, ElectionLab, TTL_MS } from "../support/election-lab.ts";

/** What every `Election` does, on virtual time. */
export function electionContract(name: string, kind: "store" | "lease"): void {
  const elected = async (count: number): Promise<ElectionLab> => {
    const lab = await ElectionLab.of(kind, count);
    lab.standAll();
    await lab.clock.runFor(1_500);
    return lab;
  };

  describe(`an election: ${name}`, () => {
    it("elects one of several candidates, and tells all of them who it is", async () => {
      const lab = await elected(3);

      expect(lab.leading()).toHaveLength(1);
      const [term] = lab.leading();
      expect(lab.replicas.map(({ election }) => election.leader()?.epoch)).toEqual(
        lab.replicas.map(() => term?.epoch),
      );
      const { id } = lab.leader();
      expect(lab.replicas[0]?.election.leader()).toMatchObject({ id, url: `https://${id}:9600` });
    });

    it("keeps the leader as long as it renews its term", async () => {
      const lab = await elected(2);
      const [term] = lab.leading();
      await lab.clock.runFor(10 * 60_000);

      expect(lab.leading()).toEqual([term]);
      expect(term?.ended.aborted).toBe(false);
      expect(lab.replicas.map(({ election }) => election.leader()?.epoch)).toEqual([
        term?.epoch,
        term?.epoch,
      ]);
    });

    it("hands over at once when the leader resigns", async () => {
      const lab = await elected(3);
      const [first] = lab.leading();
      await first?.resign();
      await lab.clock.runFor(100);

      const [second] = lab.leading();
      expect(first?.ended.aborted).toBe(true);
      expect(first?.remainingMs()).toBe(0);
      expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Infinity);
    });

    it("ends the term of a leader that is cut off before anybody else is elected", async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: 20_000 }), async (cutAt) => {
          const lab = await elected(2);
          await lab.clock.runFor(cutAt);
          const cut = lab.leader();
          cutOff(cut);
          let together = 0;
          for (let step = 0; step < 160; step += 1) {
            await lab.clock.runFor(50);
            together += lab.leading().length > 1 ? 1 : 0;
          }

          expect(together).toBe(0);
          expect(cut.terms[0]?.ended.aborted).toBe(true);
          expect(lab.leading()).toHaveLength(1);
          expect(lab.leading()[0]).not.toBe(cut.terms[0]);
        }),
        { numRuns: 40 },
      );
    });

    it("has a next leader within a time to live and a half after one died", async () => {
      const lab = await elected(2);
      cutOff(lab.leader());
      const tookMs = await lab.clock.runUntilTrue(
        () => lab.replicas.every(({ terms }) => terms.length === 1),
        1.5 * TTL_MS,
      );

      expect(tookMs).toBeGreaterThan(0.6 * TTL_MS);
    });

    it("says of itself that it leads only while its own term may act, however long its key still stands", async () => {
      const lab = await elected(1);
      const [first] = lab.replicas;
      expect(first?.election.leader()?.id).toBe("replica-0");
      if (first !== undefined) {
        cutOff(first);
      }
      await lab.clock.runFor(4_600);

      expect(first?.terms[0]?.remainingMs()).toBeLessThanOrEqual(0);
      expect(first?.election.leader()).toBeUndefined();
    });

    it("does not take the key that an earlier process of its name left behind for a term of its own", async () => {
      const lab = await elected(1);
      const again = await lab.add("replica-0");
      again.stands();
      await lab.clock.runFor(1_000);

      expect(lab.replicas[0]?.election.leader()?.id).toBe("replica-0");
      expect(again.terms).toEqual([]);
      expect(again.election.leader()).toBeUndefined();
    });

    it("lets no transaction of an earlier term through", async () => {
      const lab = await elected(2);
      const [first] = lab.leading();
      expect(first !== undefined && (await lab.write(first))).toBe(true);
      await first?.resign();
      await lab.clock.runFor(300);

      const [second] = lab.leading();
      expect(first !== undefined && (await lab.write(first))).toBe(false);
      expect(second !== undefined && (await lab.write(second))).toBe(true);
    });

    it("counts time in which the machine was suspended, if it is told of it", async () => {
      const lab = new ElectionLab(kind);
      let suspendedMs = 0;
      const replica = await lab.add("one", { uptimeMs: () => lab.clock.monotonic() + suspendedMs });
      replica.stands();
      await lab.clock.runFor(10);
      const [term] = replica.terms;
      expect(term?.remainingMs()).toBeCloseTo(4490, -2);
      suspendedMs = 4600;

      expect(term?.remainingMs()).toBeLessThanOrEqual(0);
      await term?.resign();
    });

    it("gives a candidacy up when it is told to", async () => {
      const lab = await elected(2);
      const waiting = lab.replicas.find(({ terms }) => terms.length === 0);
      const candidacy = waiting?.election.campaign(waiting.stop.signal);
      waiting?.stop.abort(new Error("enough"));

      await expect(candidacy).rejects.toThrow("enough");
    });

    it("tells its listeners of each change of leader", async () => {
      const lab = await elected(2);
      const other = lab.replicas.find((replica) => replica !== lab.leader());
      const seen: (string | undefined)[] = [];
      const forget = other?.election.onChange(() => seen.push(other.election.leader()?.id));
      await lab.leading()[0]?.resign();
      await lab.clock.runFor(100);
      forget?.();
      await lab.leading()[0]?.resign();

      expect(seen).toEqual([undefined, other?.id]);
    });
  });
}
