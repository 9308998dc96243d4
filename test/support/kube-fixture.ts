import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";

import { EtcdServer, type EtcdOptions } from "./etcd.ts";
import { fixtureObjects, type FixtureSize, type StoredObject } from "./fixture-objects.ts";

const PUTS_PER_TRANSACTION = 100;
/** Below etcd's limit of a request, 1.5 MiB, of which base64 takes a quarter. */
const BYTES_PER_TRANSACTION = 1_000_000;
const TRANSACTIONS_AT_ONCE = 4;
/** What decides over the objects besides their size. */
const SOURCES = ["fixture-objects.ts", "fixture-policies.ts", "fixture-fields.ts", "kube-objects.ts"];

export interface FixtureOptions extends Omit<EtcdOptions, "snapshot" | "tls"> {
  /** Whether a snapshot is kept outside the checkout for the next time; worth it from some thousand objects on. */
  readonly cached?: boolean;
}

/** An etcd with a fixture in it, for an API server to be started on. */
export async function startFixtureEtcd(
  size: FixtureSize,
  { cached = false, ...options }: FixtureOptions = {},
): Promise<EtcdServer> {
  if (!cached) {
    const etcd = await EtcdServer.start(options);
    await orStop(etcd, () => writeFixture(etcd, size));
    return etcd;
  }
  const file = snapshotFile(size);
  if (!existsSync(file)) {
    await makeSnapshot(size, file);
  }
  const folder = await mkdtemp(join(options.disk ?? tmpdir(), "romana-fixture-"));
  try {
    const snapshot = join(folder, "snapshot.db");
    await pipeline(createReadStream(file), createGunzip(), createWriteStream(snapshot));
    return await EtcdServer.start({ ...options, snapshot });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Writes a fixture as JSON into an etcd that no API server has used yet: 26,000 objects take about 10 s. */
export async function writeFixture(etcd: EtcdServer, size: FixtureSize): Promise<void> {
  await writeObjects(etcd, fixtureObjects(size));
}

/** Puts objects into etcd past the API server, which sees them as if another API server had taken them. */
export async function writeObjects(etcd: EtcdServer, objects: Iterable<StoredObject>): Promise<void> {
  const transactions = transactionsOf(objects);
  const write = async (): Promise<void> => {
    for (const body of transactions) {
      await commit(etcd, body);
    }
  };
  await Promise.all(Array.from({ length: TRANSACTIONS_AT_ONCE }, write));
}

/** Deletes up to 100 objects the same way. */
export async function deleteObjects(etcd: EtcdServer, keys: readonly string[]): Promise<void> {
  const success = keys.map((key) => ({ requestDeleteRange: { key: Buffer.from(key).toString("base64") } }));
  await commit(etcd, JSON.stringify({ success }));
}

/** Makes etcd forget all history: who watches from an earlier revision has to list again. */
export async function compact(etcd: EtcdServer): Promise<void> {
  const status = JSON.parse(await etcd.etcdctl(["endpoint", "status", "--write-out=json"])) as readonly [
    { readonly Status: { readonly header: { readonly revision: number } } },
  ];
  await etcd.etcdctl(["compact", String(status[0].Status.header.revision)]);
}

async function makeSnapshot(size: FixtureSize, file: string): Promise<void> {
  await mkdir(cacheFolder(), { recursive: true });
  const folder = await mkdtemp(join(cacheFolder(), "fixture-"));
  const etcd = await EtcdServer.start({ disk: folder });
  try {
    await writeFixture(etcd, size);
    await etcd.etcdctl(["defrag"]);
    const snapshot = join(folder, "snapshot.db");
    await etcd.etcdctl(["snapshot", "save", snapshot]);
    const packed = join(folder, "snapshot.gz");
    await pipeline(createReadStream(snapshot), createGzip({ level: 1 }), createWriteStream(packed));
    await rename(packed, file);
  } finally {
    await etcd.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Another one for each size, and for each change of what makes the objects. */
function snapshotFile(size: FixtureSize): string {
  const hash = createHash("sha256").update(JSON.stringify(size));
  for (const source of SOURCES) {
    hash.update(readFileSync(new URL(source, import.meta.url)));
  }
  return join(cacheFolder(), `fixture-${hash.digest("hex").slice(0, 16)}.db.gz`);
}

function cacheFolder(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "romana");
}

/** Bodies of transactions of etcd's JSON gateway; made as they are asked for. */
function* transactionsOf(objects: Iterable<StoredObject>): Generator<string> {
  let puts: object[] = [];
  let bytes = 0;
  for (const { key, object } of objects) {
    const value = Buffer.from(JSON.stringify(object)).toString("base64");
    puts.push({ requestPut: { key: Buffer.from(key).toString("base64"), value } });
    bytes += value.length;
    if (puts.length === PUTS_PER_TRANSACTION || bytes > BYTES_PER_TRANSACTION) {
      yield JSON.stringify({ success: puts });
      puts = [];
      bytes = 0;
    }
  }
  if (puts.length > 0) {
    yield JSON.stringify({ success: puts });
  }
}

async function commit(etcd: EtcdServer, body: string): Promise<void> {
  const answer = await fetch(`${etcd.endpoint}/v3/kv/txn`, { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok || !text.includes('"succeeded":true')) {
    throw new Error(`etcd does not take a part of the fixture: ${answer.status} ${text}`);
  }
}

async function orStop(etcd: EtcdServer, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await etcd.stop();
    throw error;
  }
}
