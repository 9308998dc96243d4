import { accessSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
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
import { skipUnless } from "../../support/skip.ts";

const TTL_MS = 5_000;
const STOPPED_MS = 10_000;
const HOUR_S = 3_600;

const FAKETIME = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => {
    try {
      accessSync(file);
      return true;
    } catch {
      // Not this machine's, or not installed.
      return false;
    }
  });

describe.skipIf(requireEtcd())("time that passes differently for a replica", () => {
  let etcd: EtcdServer;
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    etcd = await EtcdServer.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) {
      await end();
    }
  });
  afterAll(() => etcd.stop());

  it("a leader that stood still for 10 s leads no longer when it wakes, and at no time do two say that they lead", async () => {
    const options = { flags: etcdFlags(etcd.endpoints, "stopped", `--leader-ttl=${TTL_MS}ms`) };
    const lab = await populatedLab([options, options, options]);
    ends.push(() => lab.stop());
    const leader = await lab.leader();
    const others = lab.replicas.filter((replica) => replica !== leader);
    // Its clients give up before it wakes: it then finds what they had sent.
    const load = addressLoad(lab.replicas, { seed: 21, requests: 2_000, timeoutMs: 4_000 });
    const looking = new AbortController();
    const looks = watchLeaders(lab.replicas, looking.signal);
    ends.push(() => looking.abort());
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

  it.skipIf(
    skipUnless(FAKETIME !== undefined, "libfaketime (Debian: libfaketime; `make test` installs it as root)"),
  )(
    "nothing is lost and the leader stays when the clocks of all replicas jump by an hour either way",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "romana-clock-"));
      ends.push(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "offset");
      writeFileSync(file, "+0\n");
      const environment = {
        LD_PRELOAD: FAKETIME ?? "",
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      };
      const options = { flags: etcdFlags(etcd.endpoints, "clock"), environment };
      const lab = await populatedLab([options, options, options]);
      ends.push(() => lab.stop());
      const leader = await lab.leader();
      const epochOf = async (): Promise<unknown> => (await leader.call("GET", "/leader")).body;
      const before = await epochOf();
      const clockOf = async (): Promise<number> => {
        const { headers } = await leader.call("GET", "/healthz");
        return Date.parse(String(headers["date"])) / 1000;
      };
      const load = addressLoad(lab.replicas, { seed: 22, requests: 3_000, roams: true });
      const jumps: number[] = [];
      await load.run(async () => {
        for (const offset of [HOUR_S, -HOUR_S, 0]) {
          await moreRequests(load, 500);
          writeFileSync(file, `${offset < 0 ? "" : "+"}${offset}\n`);
          // Longer than a term lasts without being renewed.
          await sleep(TTL_MS + 500);
          jumps.push(Math.round(((await clockOf()) - Date.now() / 1000) / 60) + 0);
        }
      });

      expect(jumps).toEqual([60, -60, 0]);
      expect(await epochOf()).toEqual(before);
      expect(load.requests.map(({ answer }) => answer).filter(({ kind }) => kind === "unknown")).toEqual([]);
      expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
    },
  );
});
