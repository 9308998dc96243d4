import type { IKeyValue } from "etcd3";

import { NetworkError } from "../../core/errors.ts";
import type {
  CommitResult,
  Compare,
  StoreEntry,
  StoreLimits,
  StoreOperation,
  Transaction,
} from "../../ports/store.ts";
import {
  RESULT,
  SORT_BY_MOD,
  SORT_DESCEND,
  TARGET_MOD,
  toNumber,
  type CompareMessage,
  type KeyValueMessage,
  type OperationMessage,
  type RangeMessage,
  type TxnAnswer,
  type TxnMessage,
} from "./messages.ts";

/**
 * Operations: etcd's `--max-txn-ops`. Bytes: below its `--max-request-bytes` of 1,572,864, which holds for the encoded request; what is left pays
 * for the envelope: about 30 bytes for each of 128 operations, 128 compares and the 128 reads of the compared keys, which are sent a second time.
 */
export const LIMITS: StoreLimits = { operations: 128, bytes: 1_400_000 };

const NUL = Buffer.from([0]);

/** The range of keys that start with `prefix`, as etcd wants it; the empty prefix is every key. UTF-8 has no byte 0xff, so the last one can be raised. */
export function prefixRange(prefix: string): { readonly key: Buffer; readonly range_end: Buffer } {
  if (prefix === "") {
    return { key: NUL, range_end: NUL };
  }
  const key = Buffer.from(prefix);
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { key, range_end: end };
}

/** Throws `TRANSACTION_TOO_LARGE` above `LIMITS`. */
export function checkSize({ compare, operations }: Transaction): void {
  let bytes = 0;
  for (const operation of operations) {
    bytes += size(operation.key) + (operation.kind === "put" ? size(operation.value) : 0);
  }
  for (const item of compare) {
    bytes += size("key" in item ? item.key : item.prefix);
  }
  const count = Math.max(operations.length, compare.length);
  if (count > LIMITS.operations || bytes > LIMITS.bytes) {
    throw new NetworkError(
      "invalid",
      "TRANSACTION_TOO_LARGE",
      `a transaction of ${operations.length} operations, ${compare.length} compares and ${bytes} bytes is more than etcd takes ` +
        `(${LIMITS.operations} each, ${LIMITS.bytes} bytes): split it`,
      { operations: operations.length, compares: compare.length, bytes },
    );
  }
}

/** Leases are etcd's 64-bit numbers in decimal; whatever else a caller has is the id of none. */
export function isLeaseId(lease: string): boolean {
  return /^[1-9]\d{0,18}$/.test(lease) && BigInt(lease) < 2n ** 63n;
}

/** The transaction for etcd. Its failure branch reads the compared keys, so that the loser learns what it met. */
export function encodeTransaction({ compare, operations }: Transaction): TxnMessage {
  // A key is compared, read and often written: encoded once.
  const known = new Map<string, Buffer>();
  const encode = (key: string): Buffer => {
    let bytes = known.get(key);
    if (bytes === undefined) {
      bytes = Buffer.from(key);
      known.set(key, bytes);
    }
    return bytes;
  };
  return {
    compare: compare.map((item) => encodeCompare(item, encode)),
    success: operations.map((operation) => encodeOperation(operation, encode)),
    failure: compare.map((item) => ({ request_range: readCompared(item, encode) })),
  };
}

/** What etcd answered. `compare` is that of the request. */
export function decodeResult(compare: readonly Compare[], answer: TxnAnswer): CommitResult {
  const revision = toNumber(answer.header?.revision ?? 0);
  if (answer.succeeded) {
    return { ok: true, revision };
  }
  const failed: Compare[] = [];
  for (const [index, item] of compare.entries()) {
    const found = toNumber(answer.responses[index]?.response_range?.kvs[0]?.mod_revision ?? 0);
    if ("key" in item) {
      if (found !== item.modRevision) {
        failed.push({ key: item.key, modRevision: found });
      }
    } else if (found > item.maxRevision) {
      failed.push({ prefix: item.prefix, maxRevision: found });
    }
  }
  return { ok: false, revision, failed };
}

/** A key and its value as the port has them, read by etcd3 (whose 64-bit numbers are text) or by `messages.ts`. */
export function decodeEntry({
  key,
  value,
  create_revision: created,
  mod_revision: modified,
}: IKeyValue | KeyValueMessage): StoreEntry {
  return {
    key: key.toString(),
    value: value.toString(),
    createRevision: toNumber(created),
    modRevision: toNumber(modified),
  };
}

/** A key that does not exist has the mod revision 0 for etcd too; a range in which there is none compares as one such key. */
function encodeCompare(item: Compare, encode: (key: string) => Buffer): CompareMessage {
  return "key" in item
    ? { key: encode(item.key), target: TARGET_MOD, result: RESULT.equal, mod_revision: item.modRevision }
    : {
        ...prefixRange(item.prefix),
        target: TARGET_MOD,
        result: RESULT.less,
        mod_revision: item.maxRevision + 1,
      };
}

function readCompared(item: Compare, encode: (key: string) => Buffer): RangeMessage {
  return "key" in item
    ? { key: encode(item.key), keys_only: true }
    : {
        ...prefixRange(item.prefix),
        keys_only: true,
        limit: 1,
        sort_order: SORT_DESCEND,
        sort_target: SORT_BY_MOD,
      };
}

function encodeOperation(operation: StoreOperation, encode: (key: string) => Buffer): OperationMessage {
  const key = encode(operation.key);
  if (operation.kind === "delete") {
    return { request_delete_range: { key } };
  }
  const { lease } = operation;
  return {
    request_put: { key, value: Buffer.from(operation.value), ...(lease === undefined ? {} : { lease }) },
  };
}

function size(text: string): number {
  return Buffer.byteLength(text);
}
