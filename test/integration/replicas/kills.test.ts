import { describe, expect, it } from "vitest";

import { EtcdCluster, requireEtcd } from "../../support/etcd.ts";
import { addressLoad, moreRequests, problemsAfter } from "../../support/replica-faults.ts";
import { leaderAndOthers, sharedEtcd, threeReplicas } from "./support.ts";

const TTL_MS = 3_000;

describe.skipIf(requireEtcd())("replicas under 5,000 allocations and releases by 16 clients", () => {
  const etcd = sharedEtcd();

  it("lose nothing and give nothing out twice when a follower is killed, and the leader stays", async () => {
    const { lab, options } = await threeReplicas(etcd, etcd.server.endpoints, "follower", TTL_MS);
    const [leader, [follower]] = await leaderAndOthers(lab);
    const load = addressLoad(lab.replicas, { seed: 2, roams: true });
    await load.run(async () => {
      await moreRequests(load, 1_500);
      await follower?.kill("SIGKILL");
      await moreRequests(load, 500);
      await follower?.start();
      await moreRequests(load, 500);
    });

    expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
    expect((await lab.leader()).id).toBe(leader.id);
    expect(load.count("allocated")).toBeGreaterThan(1_000);
  });

  it("lose nothing and give nothing out twice when the only etcd is killed and started again", async () => {
    const { lab, options } = await threeReplicas(etcd, etcd.server.endpoints, "etcd", TTL_MS);
    const load = addressLoad(lab.replicas, { seed: 3, roams: true });
    let answersAfter = 0;
    await load.run(async () => {
      await moreRequests(load, 1_500);
      await etcd.server.kill("SIGKILL");
      await moreRequests(load, 30);
      await etcd.server.restart();
      const before = load.count("allocated");
      await moreRequests(load, 500);
      answersAfter = load.count("allocated") - before;
    });

    expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
    expect(answersAfter).toBeGreaterThan(100);
    expect(load.count("unknown")).toBeGreaterThan(0);
  });

  it("lose nothing and give nothing out twice when one etcd of three is killed, and go on without it", async () => {
    const cluster = await EtcdCluster.start(3);
    etcd.ends.push(() => cluster.stop());
    const { lab, options } = await threeReplicas(etcd, cluster.endpoints, "member", TTL_MS);
    const load = addressLoad(lab.replicas, { seed: 4, roams: true });
    let without = 0;
    await load.run(async () => {
      await moreRequests(load, 1_500);
      // All replicas use the first endpoint until it fails.
      await cluster.members[0]?.kill("SIGKILL");
      const before = load.count("allocated");
      await moreRequests(load, 1_000);
      without = load.count("allocated") - before;
      await cluster.members[0]?.restart();
      await moreRequests(load, 500);
    });

    expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
    expect(without).toBeGreaterThan(200);
  });
});
