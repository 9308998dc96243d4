import { accessSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, it } from "vitest";

import { requireEtcd } from "../../support/etcd.ts";
import {
  addressLoad,
  etcdFlags,
  moreRequests,
  populatedLab,
  problemsAfter,
} from "../../support/replica-faults.ts";
import { skipUnless } from "../../support/skip.ts";
import { sharedEtcd } from "./support.ts";

const TTL_MS = 5_000;
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

describe.skipIf(requireEtcd())("clocks that jump", () => {
  const etcd = sharedEtcd();

  it.skipIf(
    skipUnless(FAKETIME !== undefined, "libfaketime (Debian: libfaketime; `make test` installs it as root)"),
  )(
    "nothing is lost and the leader stays when the clocks of all replicas jump by an hour either way",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "romana-clock-"));
      etcd.ends.push(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "offset");
      writeFileSync(file, "+0\n");
      const environment = {
        LD_PRELOAD: FAKETIME ?? "",
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      };
      const options = { flags: etcdFlags(etcd.server.endpoints, "clock"), environment };
      const lab = await populatedLab([options, options, options]);
      etcd.ends.push(() => lab.stop());
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
