import type { IOptions } from "etcd3";

import { NetworkError } from "../../core/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import { storeClosed } from "../memory/transactions.ts";
import { classifyError, unavailable } from "./classify-error.ts";
import { EtcdClient } from "./client.ts";
import type { Credentials } from "./credentials.ts";

/** Whether a call may be sent a second time: always, or only when it surely was not sent the first time. */
export type Repeat = "always" | "if-not-sent";

export interface ConnectionOptions {
  readonly endpoints: readonly string[];
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

/**
 * gRPC's own deadline, which is by the wall clock: only a last bound on what a call holds, far enough away that a clock which is set ahead by hours ends no call. The time of a
 * call is `requestTimeoutMs`, by the monotonic clock; a silent connection is cut by its keepalive, and etcd itself answers what it cannot decide within seconds.
 */
const LAST_DEADLINE_MS = 24 * 60 * 60_000;

type FaultPolicy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

/** etcd3 sends each call once, and says what came of it: its own repeats would send again what may have been done. */
const noRepeats: FaultPolicy = {
  // Never read, here for the type alone (cockatiel, IPolicy).
  _altReturn: undefined as never,
  onSuccess: () => ({ dispose: () => undefined }),
  onFailure: () => ({ dispose: () => undefined }),
  execute: async (work, signal = new AbortController().signal) => work({ signal }),
};

/** The clients of one set of credentials, one for each endpoint. Retired, it is closed when the last call that began on it has ended, or its time is over. */
class Generation {
  readonly clients: readonly EtcdClient[];
  readonly #options: ConnectionOptions;
  readonly #retired = new AbortController();
  #underWay = 0;
  #lastResort: Timer | undefined;

  constructor(options: ConnectionOptions, credentials: Credentials) {
    this.#options = options;
    this.clients = options.endpoints.map((endpoint) => createClient(endpoint, options, credentials));
  }

  /** Aborted when newer credentials are there. */
  get retired(): AbortSignal {
    return this.#retired.signal;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
      this.#closeWhenIdle();
    }
  }

  retire(): void {
    const { clock, requestTimeoutMs } = this.#options;
    // etcd3 repeats for ever what etcd refuses for its token: such a call would never end by itself.
    this.#lastResort = clock.setTimer(2 * requestTimeoutMs, () => this.close());
    this.#retired.abort(new Error("newer credentials are in use"));
    this.#closeWhenIdle();
  }

  /** Ends what is under way. */
  close(): void {
    this.#lastResort?.cancel();
    this.clients.forEach((client) => client.close());
  }

  #closeWhenIdle(): void {
    if (this.#retired.signal.aborted && this.#underWay === 0) {
      this.close();
    }
  }
}

/** A place to make a call: a client, its endpoint, and a signal that tells to move on. */
export interface EtcdPlace {
  readonly client: EtcdClient;
  readonly endpoint: string;
  readonly retired: AbortSignal;
}

/**
 * Which endpoint is asked, with which credentials. One endpoint is used by all calls until it fails; then the next one is. A call that may be
 * repeated is tried at each endpoint once (with a single one, twice); one that may have been done is not, its outcome is the caller's to find out.
 */
export class EtcdConnections {
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  #credentials: Credentials;
  #generation: Generation;
  #at = 0;

  constructor(options: ConnectionOptions, credentials: Credentials) {
    this.#options = options;
    this.#credentials = credentials;
    this.#generation = new Generation(options, credentials);
  }

  /** Aborted with `STORE_CLOSED` as its reason. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  get endpoint(): string {
    return this.#options.endpoints[this.#at] ?? "";
  }

  /** For streams: where the next one is opened. The caller says `leave` when it fails. */
  place(): EtcdPlace {
    const client = this.#generation.clients[this.#at];
    if (client === undefined || this.closed.aborted) {
      throw storeClosed();
    }
    return { client, endpoint: this.endpoint, retired: this.#generation.retired };
  }

  /** Counts `work` as under way on the credentials of now, so that their connections stay until it ends. */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return this.#generation.use(work);
  }

  /** `doing` completes "cannot …". Rejects as `classifyError` says, or with the reason of `signal`. */
  async call<T>(
    doing: string,
    repeat: Repeat,
    signal: AbortSignal,
    work: (client: EtcdClient) => Promise<T>,
  ): Promise<T> {
    const attempts = Math.max(2, this.#options.endpoints.length);
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      this.closed.throwIfAborted();
      const { client, endpoint } = this.place();
      const outcome = this.hold(() => work(client));
      // Looked at even if the caller does not wait for it, so that the next call goes elsewhere.
      outcome.catch((error: unknown) => this.#learn(error, endpoint, doing));
      try {
        return await this.#withinTime(outcome, endpoint, doing, signal);
      } catch (error) {
        signal.throwIfAborted();
        this.closed.throwIfAborted();
        const failure = classifyError(error, endpoint, doing);
        const another = failure.notSent || (repeat === "always" && isTransient(failure.error));
        if (!another || attempt >= attempts) {
          throw failure.error;
        }
      }
    }
  }

  /** The next endpoint is used from now on, unless another one than `endpoint` is already. */
  leave(endpoint: string): void {
    if (endpoint === this.endpoint) {
      this.#at = (this.#at + 1) % this.#options.endpoints.length;
    }
  }

  /** New credentials for all calls from now on; calls under way end on the old ones, streams are told to move. */
  renew(credentials: Credentials = this.#credentials): void {
    if (!this.closed.aborted) {
      const old = this.#generation;
      this.#credentials = credentials;
      this.#generation = new Generation(this.#options, credentials);
      old.retire();
    }
  }

  /** Calls under way reject with `STORE_CLOSED`. */
  close(): void {
    if (!this.closed.aborted) {
      this.#closing.abort(storeClosed());
      this.#generation.close();
    }
  }

  #learn(error: unknown, endpoint: string, doing: string): void {
    const { elsewhere, loginStale } = classifyError(error, endpoint, doing);
    if (elsewhere) {
      this.leave(endpoint);
    }
    if (loginStale) {
      this.renew();
    }
  }

  /** The bound on a call, its login included. */
  async #withinTime<T>(
    outcome: Promise<T>,
    endpoint: string,
    doing: string,
    signal: AbortSignal,
  ): Promise<T> {
    const { requestTimeoutMs, clock } = this.#options;
    const { promise: left, reject } = Promise.withResolvers<never>();
    const timer = clock.setTimer(requestTimeoutMs, () => {
      this.leave(endpoint);
      reject(unavailable(endpoint, doing, `no answer within ${requestTimeoutMs} ms`));
    });
    const leave = (): void => reject(signal.aborted ? signal.reason : this.closed.reason);
    signal.addEventListener("abort", leave, { once: true });
    this.closed.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([outcome, left]);
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", leave);
      this.closed.removeEventListener("abort", leave);
    }
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof NetworkError && error.kind === "transient";
}

function createClient(endpoint: string, options: ConnectionOptions, credentials: Credentials): EtcdClient {
  const { tls, login } = credentials;
  const deadline = (): { readonly deadline: number } => ({ deadline: Date.now() + LAST_DEADLINE_MS });
  return new EtcdClient(
    {
      hosts: endpoint,
      ...(tls === undefined ? {} : { credentials: grpcCredentials(tls) }),
      ...(login === undefined
        ? {}
        : { auth: { username: login.user, password: login.password, callOptions: deadline } }),
      defaultCallOptions: ({ isStream }) => (isStream ? {} : deadline()),
      faultHandling: { global: noRepeats, host: () => noRepeats },
      grpcOptions: {
        "grpc.keepalive_time_ms": options.keepaliveMs,
        "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2_000,
        "grpc.max_receive_message_length": -1,
        // Each call is sent once; so much less work for each, too.
        "grpc.enable_retries": 0,
        "grpc.enable_channelz": 0,
        // etcd is asked directly, whatever http_proxy says.
        "grpc.enable_http_proxy": 0,
      },
    },
    deadline,
  );
}

function grpcCredentials(tls: NonNullable<Credentials["tls"]>): NonNullable<IOptions["credentials"]> {
  const { ca, cert, key } = tls;
  // Without a file of its own etcd3 passes `undefined` on, which means the system's authorities; its type does not say so.
  const rootCertificate = ca as Buffer;
  return { rootCertificate, ...(key && { privateKey: key }), ...(cert && { certChain: cert }) };
}
