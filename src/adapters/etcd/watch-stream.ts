import { EtcdError } from "etcd3";

import type { CallOptions, EtcdClient, WatchDuplex } from "./client.ts";
import type { WatchAnswer } from "./messages.ts";
import { prefixRange } from "./transactions.ts";

type Interceptor = NonNullable<CallOptions["interceptors"]>[number];

/** Answers kept for a slow reader; beyond it the stream is ended, and the reader goes on from what it has read on another. */
const MOST_WAITING = 10_000;

/** etcd then ends the stream when its member has no leader any more: else a member that is cut off from the others is silent for ever. */
const requireLeader: CallOptions = {
  interceptors: [
    (options, nextCall) => {
      const call = nextCall(options);
      const start = call.start.bind(call);
      call.start = (metadata, listener) => {
        metadata.set("hasleader", "true");
        start(metadata, listener);
      };
      // What `nextCall` gives has all that gRPC calls; its type hides the rest of the class.
      return call as ReturnType<Interceptor>;
    },
  ],
};

/** One stream of one watch. It repeats nothing and resumes nothing: it ends with an error, or when it is closed. */
export class WatchStream {
  readonly #stream: WatchDuplex;
  readonly #answers: WatchAnswer[] = [];
  #failure: { readonly error: Error | undefined } | undefined;
  #overflowed = false;
  #wake: () => void = () => undefined;

  private constructor(stream: WatchDuplex) {
    this.#stream = stream;
    stream
      .on("data", (answer) => this.#take(answer))
      .on("error", (error) => this.#fail(error))
      .on("end", () => this.#fail(new EtcdError("etcd ended the stream")));
  }

  /** Asks for all changes under `prefix` from `startRevision` on. Resolves before etcd has answered. */
  static async open(client: EtcdClient, prefix: string, startRevision: number): Promise<WatchStream> {
    const stream = new WatchStream(await client.openWatch(requireLeader));
    stream.#stream.write({ create_request: { ...prefixRange(prefix), start_revision: startRevision } });
    return stream;
  }

  /** The next answer; undefined when it was closed on our side. Rejects with what etcd3 or gRPC said. One call at a time. */
  async next(): Promise<WatchAnswer | undefined> {
    while (this.#answers.length === 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const answer = this.#answers.shift();
    if (answer === undefined && this.#failure?.error !== undefined) {
      throw this.#failure.error;
    }
    return answer;
  }

  close(): void {
    this.#fail(undefined);
    this.#stream.end();
    this.#stream.cancel();
  }

  #take(answer: WatchAnswer): void {
    if (this.#overflowed) {
      return;
    }
    if (this.#answers.length >= MOST_WAITING) {
      this.#overflowed = true;
      this.close();
      return;
    }
    this.#answers.push(answer);
    this.#wake();
  }

  #fail(error: Error | undefined): void {
    this.#failure ??= { error };
    this.#wake();
  }
}
