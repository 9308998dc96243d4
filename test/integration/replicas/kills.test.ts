import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { EtcdCluster, EtcdServer, requireEtcd } from "../../support/etcd.ts";
import {
  addressLoad,
  etcdFlags,
  moreRequests,
  nextLeader,
  populatedLab,
  problemsAfter,
} from "../../support/replica-faults.ts";
import type { Replica, ReplicaLab } from "../../support/replica-lab.ts";

const TTL_MS = 3_000;

describe.skipIf(requireEtcd())("replicas under 5,000 allocations and releases by 16 clients", () => {
  let etcd: EtcdServer;
  const ends: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    etcd = await EtcdServer.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) {
      await end();
    }
  });
  afterAll(() => etcd.stop());

  async function labOn(endpoints: readonly string[], prefix: string) {
    const options = { flags: etcdFlags(endpoints, prefix, `--leader-ttl=${TTL_MS}ms`) };
    const lab = await populatedLab([options, options, options]);
    ends.push(() => lab.stop());
    return { lab, options };
  }

  async function leaderAndOthers(lab: ReplicaLab): Promise<readonly [Replica, readonly Replica[]]> {
    const leader = await lab.leader();
    return [leader, lab.replicas.filter((replica) => replica !== leader)];
  }

  it("lose nothing and give nothing out twice when the leader is killed, and another one leads within the TTL and 2 s", async () => {
    const { lab, options } = await labOn(etcd.endpoints, "leader");
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

  it("lose nothing and give nothing out twice when a follower is killed, and the leader stays", async () => {
    const { lab, options } = await labOn(etcd.endpoints, "follower");
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
    const { lab, options } = await labOn(etcd.endpoints, "etcd");
    const load = addressLoad(lab.replicas, { seed: 3, roams: true });
    let answersAfter = 0;
    await load.run(async () => {
      await moreRequests(load, 1_500);
      await etcd.kill("SIGKILL");
      await moreRequests(load, 30);
      await etcd.restart();
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
    ends.push(() => cluster.stop());
    const { lab, options } = await labOn(cluster.endpoints, "member");
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

  it("end what they took on when they are told to stop, and hand the lead over at once", async () => {
    const { lab, options } = await labOn(etcd.endpoints, "stop");
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
});
