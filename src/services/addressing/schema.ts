import { NetworkError } from "../../core/errors.ts";
import type { Store, StoreEntry, StoreOperation } from "../../ports/store.ts";
import { addressingKeys, type AddressingKeys } from "../keys.ts";
import { readSchema, writeSchema } from "../stored-records.ts";
import { commitStaged, fits, rollForward, storedGeneration } from "./staging.ts";

/** Version of everything under the root of the keys that this program writes. */
export const SCHEMA_VERSION = 1;

/** One step from a version to the next. */
export interface Migration {
  /** The version that it makes of the one before. */
  readonly to: number;
  /** What to change; `entries` is everything under the root of the keys. The key of the schema is not its business. */
  plan(entries: readonly StoreEntry[]): readonly StoreOperation[];
}

/** None yet: version 1 is the first. */
const MIGRATIONS: readonly Migration[] = [];

/**
 * Makes a store ready before anything is read from it: a large change that is valid is brought to its keys, data of an older version are migrated step by step, each all or nothing, and
 * the version is written where there is none. Throws `SCHEMA_TOO_NEW` (invalid) for what a newer program wrote, and what the store throws.
 */
export async function prepareStore(
  store: Store,
  prefix: string,
  signal: AbortSignal,
  { version = SCHEMA_VERSION, migrations = MIGRATIONS } = {},
): Promise<void> {
  const keys = addressingKeys(prefix);
  await rollForward(store, keys, signal);
  for (;;) {
    const found = await store.get(keys.schema, signal);
    const present = found === undefined ? 0 : readSchema(found.key, found.value);
    if (present > version) {
      throw tooNew(present, version);
    }
    if (present === version) {
      return;
    }
    const { entries } = await store.list(keys.root, signal);
    // Nothing, or data of the first version, which knew no such key.
    const isFirst = found === undefined && (version === 1 || entries.length === 0);
    const next = isFirst ? version : Math.max(present, 1) + 1;
    const step = migrations.find(({ to }) => to === next);
    await advance(
      store,
      keys,
      { next, found, operations: isFirst ? [] : (step?.plan(entries) ?? []) },
      signal,
    );
  }
}

/** One step; when another replica was faster, nothing. */
async function advance(
  store: Store,
  keys: AddressingKeys,
  {
    next,
    found,
    operations,
  }: {
    readonly next: number;
    readonly found: StoreEntry | undefined;
    readonly operations: readonly StoreOperation[];
  },
  signal: AbortSignal,
): Promise<void> {
  const { generation, modRevision } = await storedGeneration(store, keys, signal);
  const transaction = {
    compare: [
      { key: keys.schema, modRevision: found?.modRevision ?? 0 },
      { key: keys.generation, modRevision },
    ],
    operations: [...operations, { kind: "put", key: keys.schema, value: writeSchema(next) } as const],
  };
  if (fits(store, transaction)) {
    await store.commit(transaction, signal);
    return;
  }
  await commitStaged(
    store,
    keys,
    { id: `schema-${next}-${modRevision}`, transaction, before: generation },
    signal,
  );
  await rollForward(store, keys, signal);
}

function tooNew(present: number, version: number): NetworkError {
  return new NetworkError(
    "invalid",
    "SCHEMA_TOO_NEW",
    `the store holds data of version ${present}, and this program knows versions up to ${version}; start a newer program`,
    { present, known: version },
  );
}
