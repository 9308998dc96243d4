import protobuf from "protobufjs/light.js";

/**
 * The messages of the two calls that every change takes, a transaction and the watch, with the fields that are used: what else etcd sends is passed over unread. `etcd3` copies each
 * message on both ways and turns every number into text, which for these two is a third of what an allocation costs. Names and numbers are those of etcd's own definition
 * (`api/etcdserverpb/rpc.proto` and `api/mvccpb/kv.proto`, the same in 3.4 and 3.5).
 */
const root = protobuf.Root.fromJSON({
  nested: {
    Header: { fields: { revision: { id: 3, type: "int64" } } },
    KeyValue: {
      fields: {
        key: { id: 1, type: "bytes" },
        create_revision: { id: 2, type: "int64" },
        mod_revision: { id: 3, type: "int64" },
        value: { id: 5, type: "bytes" },
      },
    },
    Compare: {
      fields: {
        result: { id: 1, type: "int32" },
        target: { id: 2, type: "int32" },
        key: { id: 3, type: "bytes" },
        mod_revision: { id: 6, type: "int64" },
        range_end: { id: 64, type: "bytes" },
      },
    },
    Range: {
      fields: {
        key: { id: 1, type: "bytes" },
        range_end: { id: 2, type: "bytes" },
        limit: { id: 3, type: "int64" },
        sort_order: { id: 5, type: "int32" },
        sort_target: { id: 6, type: "int32" },
        keys_only: { id: 8, type: "bool" },
      },
    },
    Put: {
      fields: {
        key: { id: 1, type: "bytes" },
        value: { id: 2, type: "bytes" },
        lease: { id: 3, type: "int64" },
      },
    },
    Delete: { fields: { key: { id: 1, type: "bytes" } } },
    Operation: {
      fields: {
        request_range: { id: 1, type: "Range" },
        request_put: { id: 2, type: "Put" },
        request_delete_range: { id: 3, type: "Delete" },
      },
    },
    Txn: {
      fields: {
        compare: { id: 1, rule: "repeated", type: "Compare" },
        success: { id: 2, rule: "repeated", type: "Operation" },
        failure: { id: 3, rule: "repeated", type: "Operation" },
      },
    },
    RangeAnswer: { fields: { kvs: { id: 2, rule: "repeated", type: "KeyValue" } } },
    OperationAnswer: { fields: { response_range: { id: 1, type: "RangeAnswer" } } },
    TxnAnswer: {
      fields: {
        header: { id: 1, type: "Header" },
        succeeded: { id: 2, type: "bool" },
        responses: { id: 3, rule: "repeated", type: "OperationAnswer" },
      },
    },
    WatchCreate: {
      fields: {
        key: { id: 1, type: "bytes" },
        range_end: { id: 2, type: "bytes" },
        start_revision: { id: 3, type: "int64" },
      },
    },
    Watch: { fields: { create_request: { id: 1, type: "WatchCreate" } } },
    Event: { fields: { type: { id: 1, type: "int32" }, kv: { id: 2, type: "KeyValue" } } },
    WatchAnswer: {
      fields: {
        canceled: { id: 4, type: "bool" },
        compact_revision: { id: 5, type: "int64" },
        cancel_reason: { id: 6, type: "string" },
        events: { id: 11, rule: "repeated", type: "Event" },
      },
    },
  },
});

/** `Compare.CompareResult`. */
export const RESULT = { equal: 0, less: 2 } as const;
/** `Compare.CompareTarget`. */
export const TARGET_MOD = 2;
/** `RangeRequest.SortOrder`. */
export const SORT_DESCEND = 2;
/** `RangeRequest.SortTarget`. */
export const SORT_BY_MOD = 3;
/** `mvccpb.Event.EventType`. */
export const EVENT_DELETE = 1;

/** A 64-bit number as it was read; fields that were not sent have their default, 0. */
export type Int64 = number | { toNumber(): number };

export interface CompareMessage {
  readonly result: number;
  readonly target: number;
  readonly key: Buffer;
  readonly mod_revision: number;
  readonly range_end?: Buffer;
}

export interface RangeMessage {
  readonly key: Buffer;
  readonly range_end?: Buffer;
  readonly limit?: number;
  readonly sort_order?: number;
  readonly sort_target?: number;
  readonly keys_only?: boolean;
}

export type OperationMessage =
  | { readonly request_range: RangeMessage }
  /** `lease`: in decimal. */
  | { readonly request_put: { readonly key: Buffer; readonly value: Buffer; readonly lease?: string } }
  | { readonly request_delete_range: { readonly key: Buffer } };

export interface TxnMessage {
  readonly compare: readonly CompareMessage[];
  readonly success: readonly OperationMessage[];
  readonly failure: readonly OperationMessage[];
}

export interface KeyValueMessage {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: Int64;
  readonly mod_revision: Int64;
}

export interface TxnAnswer {
  readonly header: { readonly revision: Int64 } | null;
  readonly succeeded: boolean;
  readonly responses: readonly {
    readonly response_range: { readonly kvs: readonly KeyValueMessage[] } | null;
  }[];
}

export interface WatchMessage {
  readonly create_request: {
    readonly key: Buffer;
    readonly range_end: Buffer;
    readonly start_revision: number;
  };
}

export interface EventMessage {
  readonly type: number;
  readonly kv: KeyValueMessage;
}

export interface WatchAnswer {
  readonly canceled: boolean;
  readonly compact_revision: Int64;
  readonly cancel_reason: string;
  readonly events: readonly EventMessage[];
}

/** Writes and reads one call's messages. */
export interface Codec<Question, Answer> {
  readonly path: string;
  readonly write: (question: Question) => Buffer;
  readonly read: (bytes: Buffer) => Answer;
}

export const txnCodec = codec<TxnMessage, TxnAnswer>("/etcdserverpb.KV/Txn", "Txn", "TxnAnswer");
export const watchCodec = codec<WatchMessage, WatchAnswer>(
  "/etcdserverpb.Watch/Watch",
  "Watch",
  "WatchAnswer",
);

/** Revisions are below 2^53. `string`: as etcd3 reads them. */
export function toNumber(value: Int64 | string): number {
  return typeof value === "object" ? value.toNumber() : Number(value);
}

function codec<Question extends object, Answer>(
  path: string,
  question: string,
  answer: string,
): Codec<Question, Answer> {
  const written = root.lookupType(question);
  const read = root.lookupType(answer);
  return {
    path,
    write: (message) => written.encode(message).finish() as Buffer,
    read: (bytes) => read.decode(bytes) as unknown as Answer,
  };
}
