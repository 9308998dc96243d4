import { describe, expect, it } from "vitest";

import { requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import {
  addressLoad,
  moreRequests,
  nextLeader,
  problemsAfter,
  readViews,
} from "../../support/replica-faults.ts";
import type { ApiAnswer, Replica } from "../../support/replica-lab.ts";
import { cuttable, isStale, sharedEtcd } from "./support.ts";

/** After which a replica says that what it knows may be old. */
const SILENT_MS = 7_000;
/** Longer than every wait for the store, so that all of them end: what 30 s would do takes the same way. */
const CUT_MS = 13_000;

const ask = (replica: Replica, name: string): Promise<ApiAnswer> =>
  replica.call("POST", "/address", { name, host: "host-0", tenant: "t", segment: "" });

describe.skipIf(requireEtcd())("a replica that is cut off from etcd for a while", () => {
  const etcd = sharedEtcd();

  it("answers reads as stale, refuses changes, leads no longer, and has everything soon after", async () => {
    const { lab, relay, options, cut, others } = await cuttable(etcd, "silent");
    expect((await lab.leader()).id).toBe(cut.id);
    const load = addressLoad(lab.replicas, { seed: 11, requests: 2_000 });
    const working = addressLoad(others, {
      seed: 12,
      requests: 1_000,
      clients: 4,
      names: "others-",
    });
    await load.run(async () => {
      await moreRequests(load, 500);
      relay.hold("requests", "answers");
      const held = performance.now();
      const during = working.run();
      const next = await nextLeader(others, 30_000);
      expect(next.afterMs).toBeLessThan(7_000);
      await until("its answers are stale", async () => isStale(await cut.call("GET", "/hosts")));
      expect(performance.now() - held).toBeGreaterThan(SILENT_MS - 2_500);

      const read = await cut.call("GET", "/addresses");
      expect(read.status).toBe(200);
      expect(Number(read.headers["romana-stale"])).toBeGreaterThanOrEqual(SILENT_MS / 1000);
      const ready = await cut.call("GET", "/readyz");
      expect([ready.status, ready.body]).toEqual([
        200,
        { ready: true, reasons: [], stale: true, leader: false },
      ]);
      expect((await cut.call("GET", "/status")).body).toMatchObject({ leader: false });
      const asked = performance.now();
      const refused = await ask(cut, "refused");
      expect(performance.now() - asked).toBeLessThan(1_000);
      expect([refused.status, (refused.body as { readonly type: string }).type]).toEqual([
        503,
        "urn:romana:error:transient:STORE_SILENT",
      ]);
      expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
      await until("it was cut off for long enough", () => performance.now() - held > CUT_MS);

      relay.release();
      await until("it is not stale", async () => !isStale(await cut.call("GET", "/hosts")), 10_000);
      const { revision } = (await readViews(others[0] as Replica)).blocks;
      await until(
        "it has what was done",
        async () => (await readViews(cut)).blocks.revision >= revision,
        10_000,
      );
      expect((await ask(cut, "taken")).status).toBe(200);
      expect((await cut.call("DELETE", "/address?addressName=taken")).status).toBe(200);
      await during;
    });

    expect(await problemsAfter(lab, [...load.requests, ...working.requests], options)).toEqual([]);
    expect(working.count("allocated")).toBeGreaterThan(300);
  });
});
