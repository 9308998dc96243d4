import { afterAll, afterEach, beforeAll } from "vitest";

import { EtcdServer } from "../../support/etcd.ts";
import { Relay } from "../../support/relay.ts";
import { etcdFlags, populatedLab } from "../../support/replica-faults.ts";
import type { ApiAnswer, Replica, ReplicaLab, ReplicaOptions } from "../../support/replica-lab.ts";

/** One etcd for the tests of a `describe`. */
export interface SharedEtcd {
  readonly server: EtcdServer;
  /** What a test began: called when it ends, the last one first. */
  readonly ends: (() => unknown)[];
}

/** Starts an etcd before the tests of the `describe` that calls this, and stops it after them. */
export function sharedEtcd(): SharedEtcd {
  let server: EtcdServer | undefined;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    server = await EtcdServer.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) {
      await end();
    }
  });
  afterAll(() => server?.stop());
  return {
    ends,
    get server(): EtcdServer {
      if (server === undefined) {
        throw new Error("etcd is there in tests only");
      }
      return server;
    },
  };
}

/** Three replicas on these endpoints, under a prefix of their own. */
export async function threeReplicas(
  { ends }: SharedEtcd,
  endpoints: readonly string[],
  prefix: string,
  ttlMs: number,
): Promise<{ readonly lab: ReplicaLab; readonly options: ReplicaOptions }> {
  const options = { flags: etcdFlags(endpoints, prefix, `--leader-ttl=${ttlMs}ms`) };
  const lab = await populatedLab([options, options, options]);
  ends.push(() => lab.stop());
  return { lab, options };
}

/** The one that leads, and the others. */
export async function leaderAndOthers(lab: ReplicaLab): Promise<readonly [Replica, readonly Replica[]]> {
  const leader = await lab.leader();
  return [leader, lab.replicas.filter((replica) => replica !== leader)];
}

/** Three replicas; the first reaches etcd through the relay, and leads. */
export async function cuttable({ server, ends }: SharedEtcd, prefix: string) {
  const relay = await Relay.start(server.clientPort);
  ends.push(() => relay.stop());
  const direct = { flags: etcdFlags(server.endpoints, prefix) };
  const through = { flags: etcdFlags([`http://127.0.0.1:${relay.port}`], prefix) };
  const lab = await populatedLab([through, direct, direct]);
  ends.push(() => lab.stop());
  return { lab, relay, options: direct, cut: lab.at(0), others: lab.replicas.slice(1) };
}

/** What it knows may be old, and it says so. */
export function isStale({ headers }: ApiAnswer): boolean {
  return headers["romana-stale"] !== undefined;
}
