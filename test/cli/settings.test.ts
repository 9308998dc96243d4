import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { clientSettings, type GlobalOptions } from "../../src/cli/settings.ts";
import { processTerminal, type Terminal } from "../../src/cli/terminal.ts";
import { formatEndpoint } from "../../src/client/http.ts";
import { romana } from "./romana.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "romana-settings-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** Settings with a home folder of their own, and what was said on standard error. */
async function settings({
  file,
  options = {},
  env = {},
}: {
  readonly file?: string;
  readonly options?: GlobalOptions;
  readonly env?: Readonly<Record<string, string>>;
}) {
  const path = join(directory, ".romana.yaml");
  if (file !== undefined) {
    await writeFile(path, file, { mode: 0o600 });
  }
  const notes: string[] = [];
  const terminal: Terminal = {
    ...processTerminal(),
    env: { HOME: directory, ...env },
    note: (line) => void notes.push(line),
  };
  return { path, notes, ...(await clientSettings(options, terminal)) };
}

const sample = `#
# Default romana configuration file.
#
RootURL: "http://192.168.99.10"
RootPort: 9601
LogFile: "romana.log"
Format: "table" # options are table/json
Platform: "openstack"
Verbose: false
`;

it("reads the original's sample file", async () => {
  const read = await settings({ file: sample });

  expect(formatEndpoint(read.endpoint)).toBe("http://192.168.99.10:9601");
  expect([read.format, read.verbose, read.logFile]).toEqual([
    "original-table",
    false,
    join(directory, "romana.log"),
  ]);
  expect(read.notes).toEqual([]);
});

it("does not mind the case of keys, and takes JSON for what it is: YAML", async () => {
  const read = await settings({ file: '{"rooturl": "http://a:1", "VERBOSE": true, "format": "yaml"}' });

  expect([formatEndpoint(read.endpoint), read.verbose, read.format]).toEqual(["http://a:1", true, "yaml"]);
});

describe("which one wins", () => {
  it("is the option, then the environment, then the file, then the default", async () => {
    const options = { rootURL: "http://flag" };
    const env = { ROMANA_URL: "http://variable" };

    const all = await settings({ file: "RootURL: http://file", options, env });
    const variable = await settings({ file: "RootURL: http://file", env });
    const file = await settings({ file: "RootURL: http://file" });
    const none = await settings({ file: "" });

    expect([all, variable, file, none].map(({ endpoint }) => formatEndpoint(endpoint))).toEqual([
      "http://flag:9600",
      "http://variable:9600",
      "http://file:9600",
      "http://127.0.0.1:9600",
    ]);
    expect([all, variable, file, none].map(({ sources }) => sources[0]?.source)).toEqual([
      "--rootURL",
      "ROMANA_URL",
      `${file.path}, line 1`,
      "default",
    ]);
  });

  it("holds for each key by itself", async () => {
    const read = await settings({ file: "RootURL: http://file\nRootPort: 1", env: { ROMANA_PORT: "2" } });

    expect(formatEndpoint(read.endpoint)).toBe("http://file:2");
  });

  it("is the output option before any format", async () => {
    const read = await settings({ file: "Format: json", options: { output: "wide" } });

    expect(read.format).toBe("wide");
  });

  it("is the nearer token, wherever it stands", async () => {
    await writeFile(join(directory, "token"), "from-a-file\n", { mode: 0o600 });

    const variable = await settings({ file: "TokenFile: token", env: { ROMANA_TOKEN: "direct" } });
    const option = await settings({
      env: { ROMANA_TOKEN: "direct" },
      options: { clientTokenFile: join(directory, "token") },
    });

    expect([variable.credentials.token, option.credentials.token]).toEqual(["direct", "from-a-file"]);
  });
});

it.for([
  ["RootURL: [unclosed", "CONFIG_MALFORMED", "line 1, column"],
  ["a: 1\nRootURL: {}", "CONFIG_MALFORMED", "line 2: RootURL takes one value"],
  ["just text", "CONFIG_MALFORMED", "expected lines such as"],
  ["# port\nRootPort: many", "PORT_INVALID", "line 2; expected 1 to 65535"],
  ["RootPort: 65536", "PORT_INVALID", "line 1"],
  ["Verbose: perhaps", "VALUE_INVALID", 'line 1: Verbose cannot be "perhaps"'],
  ["Format: xml", "FORMAT_UNKNOWN", "line 1: Format cannot be"],
  ["RootURL: ftp://x", "SERVER_URL_INVALID", "ftp://x"],
  ["ClientCert: .romana.yaml", "CREDENTIALS_INCOMPLETE", "needs both"],
  ["TokenFile: nowhere", "FILE_UNREADABLE", "nowhere"],
  ["Token: two words", "TOKEN_MALFORMED", "line 1"],
] as const)("refuses %j with the place", async ([file, code, message]) => {
  await expect(settings({ file })).rejects.toMatchObject({
    kind: expect.stringMatching(/invalid|not-found/),
    code,
    message: expect.stringContaining(message),
  });
});

it("says nothing of a bad token but where it is", async () => {
  await expect(settings({ file: "Token: sec ret" })).rejects.toThrow(/^(?!.*sec ret)/);
});

it("reads a token that looks like a number as it stands there", async () => {
  const read = await settings({ file: "Token: 0012e4" });

  expect(read.credentials).toEqual({ token: "0012e4" });
});

it("takes certificates as contents, with paths from the file's folder", async () => {
  await Promise.all(
    ["ca", "cert", "key"].map((name) => writeFile(join(directory, name), `PEM of ${name}`, { mode: 0o600 })),
  );

  const read = await settings({ file: "CACert: ca\nClientCert: ~/cert\nClientKey: key" });

  expect(read.credentials).toEqual({ ca: "PEM of ca", cert: "PEM of cert", key: "PEM of key" });
});

it("takes the name in the server's certificate, and refuses what is no name", async () => {
  const read = await settings({ file: "TLSServerName: romana.kube-system.svc" });

  expect(read.credentials).toEqual({ serverName: "romana.kube-system.svc" });
  await expect(settings({ file: "TLSServerName: 10.96.0.99" })).rejects.toMatchObject({
    code: "SERVER_NAME_INVALID",
    kind: "invalid",
  });
});

it("warns of a token that others can read, in the file or beside it, and goes on", async () => {
  await writeFile(join(directory, "token"), "t", { mode: 0o640 });
  const beside = await settings({ file: "TokenFile: token" });
  await chmod(beside.path, 0o644);
  const inside = await settings({ file: "Token: t" });
  const harmless = await settings({ file: "RootURL: http://x" });

  expect(beside.notes).toEqual([expect.stringContaining(`chmod 600 ${join(directory, "token")}`)]);
  expect(inside.notes).toEqual([expect.stringContaining(`${inside.path} holds a secret`)]);
  expect(harmless.notes).toEqual([]);
});

describe("the log file", () => {
  it("takes what verbose says, and no secret", async () => {
    const log = join(directory, "cli.log");
    const env = { ROMANA_TOKEN: "very-secret", ROMANA_LOG_FILE: log };

    const { stderr } = await romana(["-v", "-r", `unix:${directory}/none.sock`, "network", "list"], { env });
    const text = await readFile(log, "utf8");

    expect(stderr).not.toContain("asking");
    expect(text).toMatch(
      /^\d{4}-\S+Z asking unix:\S+\n\S+ GET \/networks on unix:\S+: SERVER_UNREACHABLE, \d+ ms\n$/,
    );
    expect(text + stderr).not.toContain("very-secret");
    expect((await stat(log)).mode & 0o777).toBe(0o600);
  });

  it("is not written through a link", async () => {
    await symlink(join(directory, "target"), join(directory, "cli.log"));

    const { code, stderr } = await romana(["-v", "host", "list"], {
      env: { ROMANA_LOG_FILE: join(directory, "cli.log") },
    });

    expect([code, stderr]).toEqual([2, expect.stringContaining("cannot write to")]);
  });
});

it("shows what holds and where it comes from, with the token masked", async () => {
  const path = join(directory, "cli.yaml");
  await writeFile(path, "RootURL: http://a\nToken: very-secret\n", { mode: 0o600 });

  const table = await romana(["config", "view", "-c", path, "-p", "1"]);
  const json = await romana(["config", "view", "-c", path, "-o", "json"]);

  expect(table.stdout).toBe(
    `KEY        VALUE      SOURCE\n` +
      `RootURL    http://a   ${path}, line 1\n` +
      `RootPort   1          --rootPort\n` +
      `Format     table      default\n` +
      `Token      (hidden)   ${path}, line 2\n`,
  );
  expect(JSON.parse(json.stdout)).toMatchObject({ Token: { value: "(hidden)", source: `${path}, line 2` } });
});

it.for([
  ["an option over the file's", "RootURL: http://file:1", { rootPort: "2" }, {}, "http://file:2"],
  [
    "an option over a variable's",
    "",
    { rootPort: "2" },
    { ROMANA_URL: "https://variable:1" },
    "https://variable:2",
  ],
  ["a variable over the file's", "RootURL: http://file:1", {}, { ROMANA_PORT: "2" }, "http://file:2"],
  ["the URL, given by the same", "RootURL: http://file:1\nRootPort: 2", {}, {}, "http://file:1"],
  ["the URL, given by a nearer one", "RootPort: 2", { rootURL: "http://option:1" }, {}, "http://option:1"],
  [
    "nothing where the URL is a socket",
    "RootURL: unix:/run/romana",
    { rootPort: "2" },
    {},
    "unix:/run/romana",
  ],
] as const)("takes the port from %s", async ([, file, options, env, expected]) => {
  const read = await settings({ file, options, env });

  expect(formatEndpoint(read.endpoint)).toBe(expected);
});

it("takes an empty value of the file as absent", async () => {
  const read = await settings({ file: 'RootURL: ""\nLogFile: ""\nToken: ""\nFormat: \'\'\nVerbose: ""\n' });

  expect(formatEndpoint(read.endpoint)).toBe("http://127.0.0.1:9600");
  expect([read.logFile, read.credentials, read.format, read.verbose]).toEqual([
    undefined,
    {},
    "table",
    false,
  ]);
});
