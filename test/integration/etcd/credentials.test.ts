import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { EtcdStore } from "../../../src/adapters/etcd/etcd-store.ts";
import type { NetworkError } from "../../../src/core/errors.ts";
import type { Logger } from "../../../src/ports/logger.ts";
import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { TestAuthority, type CertificateFiles } from "../../support/test-authority.ts";

const never = new AbortController().signal;
const ROOT = { name: "root", password: "root-secret" };
const USER = { name: "romana", password: "first-secret" };
const RELOAD_MS = 50;

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

/** A log that keeps what it is told. */
function recorder(): { readonly log: Logger; readonly lines: Line[] } {
  const lines: Line[] = [];
  const say =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields, message });
    };
  const log: Logger = {
    child: () => log,
    error: say("error"),
    warn: say("warn"),
    info: say("info"),
    debug: say("debug"),
  };
  return { log, lines };
}

function put(store: EtcdStore, key: string): Promise<unknown> {
  return store
    .commit({ compare: [], operations: [{ kind: "put", key, value: "1" }] }, never)
    .then(({ ok }) => ok)
    .catch((error: unknown) => (error as Partial<NetworkError>).code ?? error);
}

describe.skipIf(requireEtcd())("an etcd that asks who we are", () => {
  const folder = mkdtempSync(join(tmpdir(), "romana-etcd-credentials-"));
  const mounted = join(folder, "mounted");
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let server: EtcdServer;

  beforeAll(async () => {
    authority = await TestAuthority.create();
    stranger = await TestAuthority.create("another authority");
    server = await EtcdServer.start({
      tls: await authority.issue(folder, "server"),
      flags: ["--auth-token-ttl=2"],
    });
    await server.enableAuth(ROOT, USER, "/romana/");
    writeFileSync(join(folder, "password"), `${USER.password}\n`, { mode: 0o600 });
    mkdirSync(mounted);
  });
  afterAll(async () => {
    await server?.stop();
    authority?.remove();
    stranger?.remove();
    rmSync(folder, { recursive: true });
  });

  /** Puts files in place as Kubernetes does for a mounted Secret: a folder of its own, and one symbolic link that is swapped. */
  function mount(name: string, files: CertificateFiles, key = files.key): CertificateFiles {
    const content = join(mounted, name);
    mkdirSync(content);
    copyFileSync(files.ca, join(content, "ca.crt"));
    copyFileSync(files.cert, join(content, "tls.crt"));
    copyFileSync(key, join(content, "tls.key"));
    symlinkSync(name, join(mounted, "next"));
    renameSync(join(mounted, "next"), join(mounted, "data"));
    const path = (file: string): string => join(mounted, "data", file);
    return { ca: path("ca.crt"), cert: path("tls.crt"), key: path("tls.key") };
  }

  function open(tls: CertificateFiles, log?: Logger, passwordFile = join(folder, "password")): EtcdStore {
    return openEtcdStore(server.endpoints, {
      tls,
      login: { user: USER.name, passwordFile },
      reloadMs: RELOAD_MS,
      ...(log === undefined ? {} : { log }),
    });
  }

  it("lets us in with a certificate and a password, to our own keys alone", async () => {
    const store = open(await authority.issue(folder, "client"));

    expect(await put(store, "/romana/a")).toBe(true);
    expect((await store.list("/romana/", never)).entries).toHaveLength(1);
    expect(await put(store, "/elsewhere/a")).toBe("STORE_DENIED");
    await store.close();
  });

  it("keeps a stranger's certificate out", async () => {
    const files = await stranger.issue(folder, "stranger");
    const store = open({ ...files, ca: authority.ca });

    expect(await put(store, "/romana/b")).toBe("STORE_UNAVAILABLE");
    await store.close();
  });

  it("sees new certificates in use as soon as the files are swapped; a pair that does not fit is refused, and a watch goes on", async () => {
    const { log, lines } = recorder();
    const first = await authority.issue(folder, "first");
    const second = await authority.issue(folder, "second");
    const store = open(mount("one", first), log);
    const stopping = new AbortController();
    const seen: string[] = [];
    const { revision } = await store.list("/romana/", never);
    const watching = (async () => {
      for await (const { events } of store.watch("/romana/", revision, stopping.signal)) {
        seen.push(...events.map((event) => (event.kind === "put" ? event.entry.key : event.key)));
      }
    })();
    expect(await put(store, "/romana/c1")).toBe(true);
    await expect.poll(() => seen).toEqual(["/romana/c1"]);

    mount("two", second, first.key);
    await expect
      .poll(() => lines.filter(({ level }) => level === "error"), { timeout: 5_000 })
      .toHaveLength(1);
    expect(await put(store, "/romana/c2")).toBe(true);

    const underWay = Array.from({ length: 50 }, (_, index) => put(store, `/romana/under-way-${index}`));
    mount("three", second);
    await expect
      .poll(() => lines.some(({ message }) => message.includes("are in use")), { timeout: 5_000 })
      .toBe(true);
    expect(new Set(await Promise.all(underWay))).toEqual(new Set([true]));
    expect(await put(store, "/romana/c3")).toBe(true);

    await expect.poll(() => seen.at(-1), { timeout: 5_000 }).toBe("/romana/c3");
    expect(seen).toHaveLength(53);
    expect(new Set(seen).size).toBe(53);
    stopping.abort();
    await watching;
    await store.close();
  });

  it("takes a new token when the old one has run out, for calls and for a watch that was interrupted", async () => {
    const store = open(await authority.issue(folder, "token"));
    const stopping = new AbortController();
    const seen: string[] = [];
    const { revision } = await store.list("/romana/", never);
    const watching = (async () => {
      for await (const { events } of store.watch("/romana/", revision, stopping.signal)) {
        seen.push(...events.map((event) => (event.kind === "put" ? event.entry.key : event.key)));
      }
    })();
    expect(await put(store, "/romana/d1")).toBe(true);
    await expect.poll(() => seen).toEqual(["/romana/d1"]);

    // A restart forgets all tokens and ends all streams.
    await server.restart();
    await expect.poll(() => put(store, "/romana/d2"), { timeout: 10_000 }).toBe(true);

    await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toBe("/romana/d2");
    stopping.abort();
    await watching;
    await store.close();
  });

  it("is told a new password when its file changes, and no password is ever said", async () => {
    const { log, lines } = recorder();
    const passwordFile = join(folder, "changing");
    writeFileSync(passwordFile, "wrong-secret");
    const store = open(await authority.issue(folder, "password-change"), log, passwordFile);
    const refused: unknown = await store.get("/romana/a", never).catch((error: unknown) => error);

    writeFileSync(passwordFile, USER.password);
    await expect.poll(() => put(store, "/romana/e"), { timeout: 10_000 }).toBe(true);

    expect(refused).toMatchObject({ code: "STORE_DENIED", kind: "invalid" });
    const said = [
      String(refused),
      JSON.stringify(refused),
      String((refused as Error).cause),
      JSON.stringify(lines),
    ];
    expect(said.join("\n")).not.toMatch(/wrong-secret|first-secret/);
    await store.close();
  });

  it("is not asked at all when the files are missing or no pair", async () => {
    const good = await authority.issue(folder, "good");
    const other = await authority.issue(folder, "other");

    expect(() => open({ ...good, key: other.key })).toThrow(/fit together/);
    expect(() => open({ ...good, cert: join(folder, "missing.crt") })).toThrow(/missing\.crt/);
  });
});
