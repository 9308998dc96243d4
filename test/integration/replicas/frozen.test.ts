import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, it } from "vitest";

import { requireEtcd } from "../../support/etcd.ts";
import {
  addressLoad,
  etcdFlags,
  moreRequests,
  nextLeader,
  populatedLab,
  problemsAfter,
  watchLeaders,
  whoLeads,
} from "../../support/replica-faults.ts";
import { sharedEtcd } from "./support.ts";

const TTL_MS = 5_000;
const STOPPED_MS = 10_000;

describe.skipIf(requireEtcd())("a replica that stands still", () => {
  const etcd = sharedEtcd();

  it("a leader that stood still for 10 s leads no longer when it wakes, and at no time do two say that they lead", async () => {
    const options = { flags: etcdFlags(etcd.server.endpoints, "stopped", `--leader-ttl=${TTL_MS}ms`) };
    const lab = await populatedLab([options, options, options]);
    etcd.ends.push(() => lab.stop());
    const leader = await lab.leader();
    const others = lab.replicas.filter((replica) => replica !== leader);
    // Its clients give up before it wakes: it then finds what they had sent.
    const load = addressLoad(lab.replicas, { seed: 21, requests: 2_000, timeoutMs: 4_000 });
    const looking = new AbortController();
    const looks = watchLeaders(lab.replicas, looking.signal);
    etcd.ends.push(() => looking.abort());
    let without = 0;
    await load.run(async () => {
      await moreRequests(load, 500);
      const before = load.count("allocated");
      const stopped = performance.now();
      await leader.kill("SIGSTOP");
      const next = await nextLeader(others, 30_000);
      expect(next.afterMs).toBeLessThan(TTL_MS + 2_000);
      await sleep(stopped + STOPPED_MS - performance.now());
      without = load.count("allocated") - before;
      // Sent while it sleeps, and among the first things that it sees.
      const first = leader.call("GET", "/status", undefined, 15_000);
      const ready = leader.call("GET", "/readyz", undefined, 15_000);
      await sleep(50);
      await leader.kill("SIGCONT");
      expect((await first).body).toMatchObject({ leader: false });
      expect((await ready).body).toMatchObject({ leader: false });
      await moreRequests(load, 500);
      expect((await whoLeads(lab.replicas)).ids).toEqual([next.id]);
    });
    looking.abort();

    const { looks: count, doubles } = await looks;
    expect(doubles).toEqual([]);
    expect(count).toBeGreaterThan(50);
    expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
    expect(without).toBeGreaterThan(200);
  });
});
