import { Etcd3, type IOptions, type WatchClient } from "etcd3";

import { txnCodec, watchCodec, type TxnAnswer, type TxnMessage } from "./messages.ts";

export type CallOptions = NonNullable<Parameters<WatchClient["watch"]>[0]>;
/** One stream of watches, of which `WatchStream` makes one. */
export type WatchDuplex = Awaited<ReturnType<EtcdClient["openWatch"]>>;

/** etcd3's client, with its connections, its login and its errors, and with messages of our own for the two calls that every change takes. */
export class EtcdClient extends Etcd3 {
  readonly #deadline: () => CallOptions;

  /** `deadline`: for each call. */
  constructor(options: IOptions, deadline: () => CallOptions) {
    super(options);
    this.#deadline = deadline;
  }

  /** As `kv.txn`, but what etcd refuses for a stale token is rejected instead of being repeated. */
  txn(transaction: TxnMessage): Promise<TxnAnswer> {
    return this.pool.withConnection("KV", ({ client, metadata }) => {
      const { promise, resolve, reject } = Promise.withResolvers<TxnAnswer>();
      const { path, write, read } = txnCodec;
      client.makeUnaryRequest(path, write, read, transaction, metadata, this.#deadline(), (error, answer) => {
        if (error !== null) {
          reject(error);
        } else if (answer === undefined) {
          reject(new TypeError("a call ended without an error and without an answer"));
        } else {
          resolve(answer);
        }
      });
      return promise;
    });
  }

  /** As `watchClient.watch`, but an error of the stream says nothing about the connection: whoever reads it decides. */
  openWatch(options: CallOptions) {
    const { path, write, read } = watchCodec;
    return this.pool.withConnection("Watch", ({ client, metadata }) =>
      client.makeBidiStreamRequest(path, write, read, metadata, options),
    );
  }
}
