import { NetworkError } from "../../core/errors.ts";
import type { CommitResult, Store, StoreOperation, Transaction } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import {
  NO_GENERATION,
  readChunk,
  readGeneration,
  writeChunk,
  writeGeneration,
  type Generation,
} from "../stored-records.ts";

/** Most bytes of a part of a staged change, by UTF-8 in the worst case. */
const CHUNK_BYTES = 512 * 1024;

/** Most operations of one transaction that carries a staged change to its keys, whatever the store takes. */
const MAX_OPERATIONS = 1_000;

/** True for a transaction that the store takes as it is. */
export function fits({ limits }: Store, { compare, operations }: Transaction): boolean {
  return (
    operations.length <= limits.operations &&
    compare.length <= limits.operations &&
    bytesOf(operations) <= limits.bytes * 0.8
  );
}

/**
 * Commits what does not fit one transaction, all or nothing:
 *
 *     marker, parts   written under a name of their own, one by one: they count for nobody
 *     generation      one put that names them: from here on the change is done for every reader, and every decision made before loses its compare
 *     roll forward    the parts' operations, transaction by transaction, each under the compare of that generation; `rollForward`
 *     generation      one put that names none; marker and parts are deleted
 *
 * `transaction.compare` is judged with the put of the generation, which it must contain the compare of; the marker is compared as well, so whoever sweeps the parts makes that put lose. The
 * outcome is that of the put; rolling forward is left to the caller, or to whoever finds it undone. Throws what the store throws.
 */
export async function commitStaged(
  store: Store,
  keys: AddressingKeys,
  change: { readonly id: string; readonly transaction: Transaction; readonly before: Generation },
  signal: AbortSignal,
): Promise<CommitResult> {
  const { id, transaction, before } = change;
  const marked = await write(store, keys.marker(id), JSON.stringify({ marker: id }), signal);
  const parts = chunksOf(transaction.operations, Math.min(CHUNK_BYTES, store.limits.bytes * 0.4));
  for (const [index, part] of parts.entries()) {
    await write(store, keys.chunk(id, index), writeChunk(part), signal);
  }
  const generation = { generation: before.generation + 1, staged: id, chunks: parts.length, last: id };
  const result = await store.commit(
    {
      compare: [...transaction.compare, { key: keys.marker(id), modRevision: marked }],
      operations: [{ kind: "put", key: keys.generation, value: writeGeneration(generation) }],
    },
    signal,
  );
  if (!result.ok) {
    await sweep(store, keys, id, signal);
    return {
      ...result,
      failed: result.failed.filter((item) => !("key" in item) || item.key !== keys.marker(id)),
    };
  }
  return result;
}

/** The generation as the store has it, and its revision (0: never written). */
export async function storedGeneration(
  store: Store,
  keys: AddressingKeys,
  signal: AbortSignal,
): Promise<{ readonly generation: Generation; readonly modRevision: number }> {
  const entry = await store.get(keys.generation, signal);
  return entry === undefined
    ? { generation: NO_GENERATION, modRevision: 0 }
    : { generation: readGeneration(entry.key, entry.value), modRevision: entry.modRevision };
}

/**
 * Brings a staged change that is valid to its keys, if there is one. Several may do so at once, and each may end anywhere: the operations are the same, and all are compared with the
 * generation, so that nobody writes after it is done. Throws what the store throws, and `STATE_INCONSISTENT` (invalid) when parts are missing.
 */
export async function rollForward(store: Store, keys: AddressingKeys, signal: AbortSignal): Promise<void> {
  const { generation, modRevision } = await storedGeneration(store, keys, signal);
  const id = generation.staged;
  if (id === undefined) {
    return;
  }
  const { entries } = await store.list(keys.stagedUnder(id), signal);
  const parts = entries.filter(({ key }) => key !== keys.marker(id));
  if (parts.length !== generation.chunks) {
    const now = await storedGeneration(store, keys, signal);
    if (now.modRevision !== modRevision) {
      return;
    }
    throw new NetworkError(
      "invalid",
      "STATE_INCONSISTENT",
      `the staged change ${id} has ${parts.length} of ${generation.chunks} parts; restore the store from a backup`,
      { staged: id },
    );
  }
  const compare = [{ key: keys.generation, modRevision }];
  for (const operations of batchesOf(
    store,
    parts.flatMap(({ key, value }) => readChunk(key, value)),
  )) {
    const { ok } = await store.commit({ compare, operations }, signal);
    if (!ok) {
      return;
    }
  }
  const done = writeGeneration({ ...generation, staged: undefined, chunks: 0 });
  const { ok } = await store.commit(
    {
      compare,
      operations: [
        { kind: "put", key: keys.generation, value: done },
        { kind: "delete", key: keys.marker(id) },
      ],
    },
    signal,
  );
  if (ok) {
    await deleteAll(
      store,
      parts.map(({ key }) => key),
      [],
      signal,
    );
  }
}

/**
 * Deletes what is left of a staged change that no generation names. Its marker goes first, so that a change that is still being staged can no longer become valid. Nothing
 * happens when the generation names it.
 */
export async function sweep(
  store: Store,
  keys: AddressingKeys,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const { generation, modRevision } = await storedGeneration(store, keys, signal);
  if (generation.staged === id) {
    return;
  }
  const compare = [{ key: keys.generation, modRevision }];
  const marker = keys.marker(id);
  const { ok } = await store.commit({ compare, operations: [{ kind: "delete", key: marker }] }, signal);
  if (ok) {
    const { entries } = await store.list(keys.stagedUnder(id), signal);
    await deleteAll(
      store,
      entries.map(({ key }) => key),
      compare,
      signal,
    );
  }
}

async function write(store: Store, key: string, value: string, signal: AbortSignal): Promise<number> {
  const result = await store.commit({ compare: [], operations: [{ kind: "put", key, value }] }, signal);
  return result.revision;
}

async function deleteAll(
  store: Store,
  all: readonly string[],
  compare: Transaction["compare"],
  signal: AbortSignal,
): Promise<void> {
  const most = Math.min(MAX_OPERATIONS, store.limits.operations);
  for (let at = 0; at < all.length; at += most) {
    const operations = all.slice(at, at + most).map((key) => ({ kind: "delete", key }) as const);
    await store.commit({ compare, operations }, signal);
  }
}

/** Operations in parts whose JSON stays below `bytes`; one that is larger by itself is a part of its own. */
function chunksOf(
  operations: readonly StoreOperation[],
  bytes: number,
): readonly (readonly StoreOperation[])[] {
  return split(operations, Infinity, bytes / 2);
}

function batchesOf(
  { limits }: Store,
  operations: readonly StoreOperation[],
): readonly (readonly StoreOperation[])[] {
  return split(operations, Math.min(MAX_OPERATIONS, limits.operations), limits.bytes * 0.8);
}

function split(
  operations: readonly StoreOperation[],
  most: number,
  bytes: number,
): readonly (readonly StoreOperation[])[] {
  const parts: StoreOperation[][] = [];
  let room = 0;
  for (const operation of operations) {
    const size = bytesOf([operation]);
    const last = parts.at(-1);
    if (last === undefined || last.length >= most || size > room) {
      parts.push([operation]);
      room = bytes - size;
    } else {
      last.push(operation);
      room -= size;
    }
  }
  return parts;
}

function bytesOf(operations: readonly StoreOperation[]): number {
  let bytes = 0;
  for (const operation of operations) {
    bytes += Buffer.byteLength(operation.key) + 32;
    bytes += operation.kind === "put" ? Buffer.byteLength(operation.value) : 0;
  }
  return bytes;
}
