import { type Etcd3, EtcdError, type ILeaseKeepAliveResponse } from "etcd3";

import { NetworkError } from "../../core/errors.ts";
import { leaseNotFound } from "./classify-error.ts";
import type { EtcdConnections } from "./connections.ts";
import { isLeaseId } from "./transactions.ts";

/**
 * Leases by single calls, each with its bound in time. etcd counts in whole seconds and grants none shorter than one and a half election time-outs
 * (2 s by default); it deletes the keys up to a second after the end.
 */
export class EtcdLeases {
  readonly #connections: EtcdConnections;

  constructor(connections: EtcdConnections) {
    this.#connections = connections;
  }

  /** Repeated when there was no answer: a lease that nobody knows of ends by itself. */
  async grant(ttlMs: number, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    if (!(Number.isFinite(ttlMs) && ttlMs > 0)) {
      throw new NetworkError(
        "invalid",
        "LEASE_INVALID",
        `not a time to live: ${ttlMs} ms; it must be above 0`,
        { ttlMs },
      );
    }
    const request = { TTL: Math.ceil(ttlMs / 1000), ID: 0 };
    const answer = await this.#connections.call("grant a lease", "always", signal, ({ leaseClient }) =>
      leaseClient.leaseGrant(request),
    );
    return answer.ID;
  }

  async keepAlive(lease: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#connections.call("keep a lease", "always", signal, async (client) =>
      isLeaseId(lease) ? keepAliveOnce(client, lease) : undefined,
    );
    // A lease that is gone has no time to live.
    if (answer === undefined || Number(answer.TTL) <= 0) {
      throw leaseNotFound(lease);
    }
  }

  async revoke(lease: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#connections.call("end a lease", "always", signal, async ({ leaseClient }) =>
        isLeaseId(lease) ? leaseClient.leaseRevoke({ ID: lease }) : undefined,
      );
    } catch (error) {
      if (!(error instanceof NetworkError && error.code === "LEASE_NOT_FOUND")) {
        throw error;
      }
    }
  }
}

/** etcd takes keep-alives on a stream alone: one is opened for each, as a call that can fail by itself. */
async function keepAliveOnce({ leaseClient }: Etcd3, lease: string): Promise<ILeaseKeepAliveResponse> {
  const stream = await leaseClient.leaseKeepAlive();
  const { promise, resolve, reject } = Promise.withResolvers<ILeaseKeepAliveResponse>();
  stream
    .on("data", resolve)
    .on("error", reject)
    .on("end", () => reject(new EtcdError("etcd ended the stream without an answer")));
  stream.write({ ID: lease });
  try {
    return await promise;
  } finally {
    // Ended before it is cancelled: etcd3 takes the error of a stream that can still be written to for one of the connection.
    stream.end();
    stream.cancel();
  }
}
