import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { createKubernetes } from "../../../src/adapters/kubernetes/create-kubernetes.ts";
import {
  CredentialKeeper,
  inClusterCredentials,
  isInCluster,
  withoutSecrets,
  type Credentials,
} from "../../../src/adapters/kubernetes/credentials.ts";
import { kubeconfigCredentials } from "../../../src/adapters/kubernetes/kubeconfig.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { silentLog } from "../../support/silent-log.ts";
import { keptLog } from "./support.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "romana-credentials-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

function kubeconfig(user: object, cluster: object = {}): string {
  return write(
    "kubeconfig",
    JSON.stringify({
      clusters: [
        { name: "other", cluster: {} },
        { name: "c", cluster: { server: "https://127.0.0.1:6443/", ...cluster } },
      ],
      users: [{ name: "u", user }],
      contexts: [{ name: "ctx", context: { cluster: "c", user: "u" } }],
      "current-context": "ctx",
    }),
  );
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("in a Pod", () => {
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

  it("are the token and the authority of the service account, as they are now", async () => {
    write("token", "first\n");
    write("ca.crt", "authority");
    expect(isInCluster(env, folder)).toBe(true);
    const load = inClusterCredentials(env, folder);

    expect(await load(false)).toEqual({
      server: "https://10.96.0.1:443",
      tls: { ca: "authority" },
      headers: { authorization: "Bearer first" },
    });
    write("token", "second\n");
    expect((await load(false)).headers).toEqual({ authorization: "Bearer second" });
  });

  it("name an IPv6 address in brackets", async () => {
    write("token", "t");
    write("ca.crt", "a");
    const load = inClusterCredentials({ KUBERNETES_SERVICE_HOST: "fd00::1" }, folder);

    expect((await load(false)).server).toBe("https://[fd00::1]:443");
  });

  it("are not there without the variable or without the token", () => {
    expect(isInCluster(env, folder)).toBe(false);
    write("token", "t");
    expect(isInCluster({}, folder)).toBe(false);
    expect(() => inClusterCredentials({}, folder)).toThrow(
      expect.objectContaining({ code: "CLUSTER_UNCONFIGURED" }),
    );
  });
});

describe("of a kubeconfig file", () => {
  it("are a token and an authority in base64", async () => {
    const path = kubeconfig(
      { token: "secret" },
      { "certificate-authority-data": base64("authority"), "tls-server-name": "api" },
    );

    expect(await kubeconfigCredentials(path)(false)).toEqual({
      server: "https://127.0.0.1:6443",
      tls: { ca: "authority", servername: "api" },
      headers: { authorization: "Bearer secret" },
    });
  });

  it("are files beside it: certificate, key, authority and token", async () => {
    write("me.crt", "cert");
    write("me.key", "key");
    write("ca.crt", "authority");
    write("token", "from-file\n");
    const path = kubeconfig(
      { "client-certificate": "me.crt", "client-key": "me.key", tokenFile: "token" },
      { "certificate-authority": "ca.crt" },
    );

    const { tls, headers } = await kubeconfigCredentials(path)(false);

    expect(tls).toEqual({ ca: "authority", cert: "cert", key: "key" });
    expect(headers).toEqual({ authorization: "Bearer from-file" });
  });

  it("are user and password, and whom we act for", async () => {
    const path = kubeconfig({ username: "me", password: "pass", as: "somebody" });

    expect((await kubeconfigCredentials(path)(false)).headers).toEqual({
      authorization: `Basic ${base64("me:pass")}`,
      "impersonate-user": "somebody",
    });
  });

  it("are what a plugin says, which is asked again when the server refused it", async () => {
    const count = join(folder, "count");
    const plugin = write(
      "plugin",
      `#!/bin/sh\necho x >> ${count}\nprintf '{"kind":"ExecCredential","status":{"token":"%s-%s"}}' "$WHO" "$(grep -c x ${count})"\n`,
    );
    chmodSync(plugin, 0o700);
    const load = kubeconfigCredentials(
      kubeconfig({ exec: { command: plugin, args: [], env: [{ name: "WHO", value: "me" }] } }),
    );

    const token = async (anew: boolean): Promise<unknown> => (await load(anew)).headers;

    expect(await token(false)).toEqual({ authorization: "Bearer me-1" });
    expect(await token(false)).toEqual({ authorization: "Bearer me-1" });
    expect(await token(true)).toEqual({ authorization: "Bearer me-2" });
  });

  it.for([
    ["is not there", () => join(folder, "nothing")],
    ["is no YAML", () => write("kubeconfig", "token: [secret")],
    ["has no current context", () => write("kubeconfig", "clusters: []\ncontexts: []")],
    [
      "has a context without cluster",
      () => write("kubeconfig", "clusters: []\ncontexts: []\ncurrent-context: x"),
    ],
    ["asks for a proxy", () => kubeconfig({ token: "secret" }, { "proxy-url": "http://proxy" })],
    ["asks for a provider", () => kubeconfig({ "auth-provider": { name: "oidc", config: { x: "secret" } } })],
    ["names no server", () => kubeconfig({ token: "secret" }, { server: "somewhere" })],
  ] as const)("that %s are refused at once, and no secret is told", ([, make]) => {
    const path = make();
    const options = {
      version: "2",
      clock: new FakeClock(),
      log: silentLog,
      lease: { namespace: "n", name: "l" },
    };

    let error: unknown;
    try {
      createKubernetes({ ...options, source: { kind: "kubeconfig", path } });
    } catch (caught) {
      error = caught;
    }

    expect(error).toMatchObject({ code: "CLUSTER_UNCONFIGURED", kind: "invalid" });
    expect(JSON.stringify([error, String(error), String((error as Error).cause)])).not.toContain("secret");
  });
});

describe("credentials that are kept", () => {
  const of = (token: string): Credentials => ({ server: "s", tls: {}, headers: { authorization: token } });

  it("are read again after 10 s, once for all who ask", async () => {
    const clock = new FakeClock();
    let loads = 0;
    const load = () => Promise.resolve(of(String((loads += 1))));
    const keeper = new CredentialKeeper({ load, clock, log: silentLog });

    const both = await Promise.all([keeper.current(), keeper.current()]);
    await clock.advance(9_999);
    const still = await keeper.current();
    await clock.advance(1);
    const next = await keeper.current();

    expect([...both, still, next].map(({ headers }) => headers["authorization"])).toEqual([
      "1",
      "1",
      "1",
      "2",
    ]);
  });

  it("are used on while they cannot be read, which is said once", async () => {
    const clock = new FakeClock();
    const { log, lines } = keptLog();
    let isThere = true;
    const load = () => (isThere ? Promise.resolve(of("t")) : Promise.reject(new Error("ENOENT")));
    const keeper = new CredentialKeeper({ load, clock, log });
    await keeper.current();
    isThere = false;
    await clock.advance(20_000);

    expect(await keeper.current()).toEqual(of("t"));
    expect(await keeper.current()).toEqual(of("t"));
    expect(lines).toMatchObject([{ level: "warn", fields: { reason: "ENOENT" } }]);
  });

  it("that never could be read are CLUSTER_UNAUTHENTICATED, without what the plugin said in secret", async () => {
    const token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrIn0.c2lnbmF0dXJl";
    const load = () => Promise.reject(new Error(`plugin failed: ${token}`));
    const keeper = new CredentialKeeper({ load, clock: new FakeClock(), log: silentLog });

    const error = await keeper.current().catch((failure: unknown) => failure);

    expect(error).toMatchObject({
      code: "CLUSTER_UNAUTHENTICATED",
      message: expect.stringContaining("plugin failed") as string,
    });
    expect(String(error)).not.toContain(token);
    expect(withoutSecrets(token)).toBe("…");
  });

  it("that do not come are given up after 30 s, and not asked for twice meanwhile", async () => {
    const clock = new FakeClock();
    let loads = 0;
    const load = (): Promise<Credentials> => {
      loads += 1;
      return new Promise(() => undefined);
    };
    const keeper = new CredentialKeeper({ load, clock, log: silentLog });
    const first = keeper.current().catch((failure: unknown) => failure);
    await clock.advance(30_000);
    const second = keeper.current().catch((failure: unknown) => failure);
    await clock.advance(30_000);

    expect(await first).toMatchObject({ code: "CLUSTER_UNAUTHENTICATED" });
    expect(await second).toMatchObject({ code: "CLUSTER_UNAUTHENTICATED" });
    expect(loads).toBe(1);
  });
});
