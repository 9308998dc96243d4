import { expect, it } from "vitest";

import { AddressAudit } from "../../src/controllers/address-audit.ts";
import { signal } from "../services/support.ts";
import { CollectorWorld } from "./collector-world.ts";

it("says that there is no cluster, and that the leader has not begun", async () => {
  const without = new AddressAudit({ followsCluster: false, collector: () => undefined });
  const early = new AddressAudit({ followsCluster: true, collector: () => undefined });

  await expect(without.check(signal)).rejects.toMatchObject({
    kind: "conflict",
    code: "CLUSTER_NOT_FOLLOWED",
  });
  await expect(early.releaseLeaked({ dryRun: true }, signal)).rejects.toMatchObject({
    kind: "transient",
    code: "LEADER_NONE",
  });
});

it("asks the collector of the term, whichever that is", async () => {
  const world = await CollectorWorld.create();
  const audit = new AddressAudit({ followsCluster: true, collector: () => world.collector });
  world.pods.replace([]);

  await world.changeLeader();

  expect(await audit.check(signal)).toMatchObject({ clean: true });
});
