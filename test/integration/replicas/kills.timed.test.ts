import { describe, expect, it } from "vitest";

import { requireEtcd } from "../../support/etcd.ts";
import { addressLoad, moreRequests, nextLeader, problemsAfter } from "../../support/replica-faults.ts";
import { leaderAndOthers, sharedEtcd, threeReplicas } from "./support.ts";

const TTL_MS = 3_000;

describe.skipIf(requireEtcd())(
  "replicas whose leader ends under 5,000 allocations and releases by 16 clients",
  () => {
    const etcd = sharedEtcd();

    it("lose nothing and give nothing out twice when the leader is killed, and another one leads within the TTL and 2 s", async () => {
      const { lab, options } = await threeReplicas(etcd, etcd.server.endpoints, "leader", TTL_MS);
      const [leader, others] = await leaderAndOthers(lab);
      const load = addressLoad(lab.replicas, { seed: 1, roams: true });
      let takenOverMs = Infinity;
      await load.run(async () => {
        await moreRequests(load, 1_500);
        await leader.kill("SIGKILL");
        takenOverMs = (await nextLeader(others, 30_000)).afterMs;
        await leader.start();
        await moreRequests(load, 500);
      });

      expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
      expect(takenOverMs).toBeLessThan(TTL_MS + 2_000);
      expect(load.count("allocated")).toBeGreaterThan(1_000);
    });

    it("end what they took on when they are told to stop, and hand the lead over at once", async () => {
      const { lab, options } = await threeReplicas(etcd, etcd.server.endpoints, "stop", TTL_MS);
      const [leader, others] = await leaderAndOthers(lab);
      const load = addressLoad(lab.replicas, { seed: 5, roams: true });
      let handedOverMs = Infinity;
      let stoppedMs = Infinity;
      await load.run(async () => {
        await moreRequests(load, 1_500);
        const told = performance.now();
        const stopped = leader.kill("SIGTERM");
        handedOverMs = (await nextLeader(others, 30_000)).afterMs;
        await stopped;
        stoppedMs = performance.now() - told;
        await leader.start();
        await moreRequests(load, 500);
      });

      expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
      expect(handedOverMs).toBeLessThan(1_500);
      expect(stoppedMs).toBeLessThan(5_000);
      // What was taken was answered: whatever else its callers got says that it was not taken, or the connection was closed before it was asked.
      const open = load.requests.flatMap(({ answer }) => (answer.kind === "unknown" ? [answer.why] : []));
      expect(open.filter((why) => !/SERVER_CLOSING|socket hang up|ECONNRESET/.test(why))).toEqual([]);
      const final = await lab.at(0).addresses();
      const done = load.requests.filter(
        ({ kind, name, answer }) =>
          kind === "allocate" &&
          answer.kind === "unknown" &&
          final.some((each) => each.name === name && !name.includes("shared")),
      );
      expect(done).toEqual([]);
    });
  },
);
