import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, it } from "vitest";

import { listen } from "../../src/api/listen.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { serverWithOneHost } from "../api/support.ts";
import { romana } from "./romana.ts";

let server: Awaited<ReturnType<typeof serverWithOneHost>>;
let url: string;
let directory: string;

beforeAll(async () => {
  server = await serverWithOneHost();
  url = await listen(server.app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  directory = await mkdtemp(join(tmpdir(), "romana-program-"));
});

afterAll(async () => {
  await server.app.close();
  await rm(directory, { recursive: true });
});

it("prints its version", async () => {
  const { code, stdout } = await romana(["--version"]);

  expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/)]);
});

it("lists its commands when nothing is said", async () => {
  const { code, stdout } = await romana([]);

  expect(code).toBe(0);
  for (const command of ["host", "tenant", "segment", "policy", "topology"]) {
    expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
  }
});

it("explains a command with examples", async () => {
  const { code, stdout } = await romana(["host", "add", "--help"]);

  expect(code).toBe(0);
  expect(stdout).toContain("Examples:\n  $ romana host add node-1 192.168.0.11 -l rack=r7");
});

it.for([
  ["help", "host", "add"],
  ["host", "add", "--help"],
  ["host", "help", "add"],
] as const)("explains a command of any depth: %s %s %s", async (args) => {
  const { code, stdout } = await romana(args);

  expect([code, stdout.split("\n")[0]]).toEqual([
    0,
    "Usage: romana host add [options] <name> <ip> [cidr] [agent-port]",
  ]);
});

it.for([
  [
    ["hots"],
    "Error: unknown command 'hots'\n(Did you mean host?)\nUsage: romana [options] [command]   (more: --help)\n",
  ],
  [
    ["host", "add", "node-1"],
    "Error: missing required argument 'ip'\nUsage: romana host add [options] <name> <ip> [cidr] [agent-port]   (more: --help)\n",
  ],
  [["host", "list", "-o", "xml"], 'Error: --output cannot be "xml": choose table, wide, json, yaml, name\n'],
  [["host", "list", "-o", "json", "-f", "json"], expect.stringContaining("cannot be used with option")],
  [["host", "label", "node-1", "=x"], expect.stringContaining('not a label: "=x"')],
  [["-p", "0", "host", "list"], expect.stringContaining("not a port")],
  [["-r", "ftp://x", "host", "list"], expect.stringContaining("write http://HOST:PORT")],
] as const)("answers wrong use with exit code 2: %s", async ([args, message]) => {
  const { code, stdout, stderr } = await romana(args);

  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toEqual(message);
});

it.for([
  ["invalid", 2],
  ["not-found", 3],
  ["conflict", 4],
  ["exhausted", 5],
  ["transient", 75],
] as const)("ends with an exit code for a failure of kind %s: %i", async ([kind, expected]) => {
  const { app, addressing } = await serverWithOneHost();
  addressing.allocate = () => Promise.reject(new NetworkError(kind, "SOME_PROBLEM", "this is in the way"));

  const { code, stdout, stderr } = await romana([
    "-r",
    await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 }),
    "address",
    "add",
    "p",
    "--host",
    "node-1",
  ]);
  await app.close();

  expect([code, stdout, stderr]).toEqual([expected, "", "Error: this is in the way\n"]);
});

it("says where it looked when no controller answers", async () => {
  const { code, stderr } = await romana(["-r", `unix:${directory}/none.sock`, "host", "list"]);

  expect(code).toBe(75);
  expect(stderr).toBe(
    `Error: no controller answers on unix:${directory}/none.sock (ENOENT): start one with "romana controller", or name another with --rootURL\n`,
  );
});

it("takes host and port apart as the original does", async () => {
  const [host, port] = url.split(":");

  const { code, stdout } = await romana([
    "-r",
    `http://${host}`,
    "-p",
    port ?? "",
    "host",
    "list",
    "-o",
    "name",
  ]);

  expect([code, stdout]).toEqual([0, "host/node-1\n"]);
});

it("reads the original's configuration file, and options win over it", async () => {
  await writeFile(join(directory, ".romana.yaml"), `RootURL: http://${url}\nFormat: json\n`);

  const file = await romana(["network", "list"], { env: { HOME: directory } });
  const option = await romana(["network", "list", "-o", "name"], { env: { HOME: directory } });

  expect(JSON.parse(file.stdout)).toMatchObject([{ id: "prod" }]);
  expect(option.stdout).toBe("network/prod\n");
});

it("says on standard error what it asks when it is told to be verbose", async () => {
  const { stdout, stderr } = await romana(["-v", "-r", url, "network", "list", "-o", "name"]);

  expect(stdout).toBe("network/prod\n");
  expect(stderr.split("\n")).toEqual([
    `asking http://${url}`,
    expect.stringMatching(/^GET \/networks on http:\S+: ok, \d+ ms$/),
    "",
  ]);
});

it("ends quietly when nobody reads its output any more", async () => {
  const child = spawn(
    process.execPath,
    ["src/main/cli.ts", "topology", "aws", "--region", "us-east-1", "--groups-per-zone", "2000"],
    { env: { HOME: "/nonexistent" }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const stderr: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdout.destroy();

  const code = await new Promise((resolve) => {
    child.once("close", resolve);
  });

  expect([code, Buffer.concat(stderr).toString()]).toEqual([0, ""]);
});

it("uses no colour where no person looks", async () => {
  const { stdout } = await romana(["-r", url, "health"], { env: { FORCE_COLOR: "1" } });

  expect(stdout).toContain("down");
  expect(stdout).not.toContain("\u001B");
});

it("generates a topology that it finds valid, and says where one is not", async () => {
  const generated = await romana([
    "topology",
    "aws",
    "--region",
    "us-west-2",
    "--zones",
    "a,b",
    "--groups-per-zone",
    "2",
  ]);
  const valid = await romana(["topology", "validate", "-"], { stdin: generated.stdout });
  const broken = await romana(["topology", "validate", "-"], {
    stdin:
      '{"networks":[{"name":"n","cidr":"10.0.0.0/33"},{"name":"n","cidr":"10.1.0.0/16","block_mask":8}]}',
  });
  const malformed = await romana(["topology", "validate", "-"], { stdin: "{\n  # comment\n  oops\n}" });

  expect([valid.code, valid.stdout.split("\n")[0]]).toEqual([
    0,
    "The document is valid: 1 network, 0 hosts.",
  ]);
  expect(valid.stdout).toMatch(/us-west-2b-group-02 +100\.120\.0\.0\/13 +group/);
  expect(broken.code).toBe(2);
  expect(broken.stderr).toContain("networks[0].cidr");
  expect(broken.stderr).toContain("networks[1]");
  expect([malformed.code, malformed.stderr]).toEqual([
    2,
    expect.stringMatching(/not JSON: .*line 3 column 3/),
  ]);
});

it("lists and prints the topologies that it brings along", async () => {
  const names = await romana(["topology", "builtin", "-o", "name"]);
  const kubeadm = await romana(["topology", "builtin", "kubeadm"]);
  const unknown = await romana(["topology", "builtin", "none"]);

  expect(names.stdout.split("\n")).toContain("aws-us-west-2");
  expect(JSON.parse(kubeadm.stdout)).toMatchObject({ networks: [{ cidr: "10.112.0.0/12" }] });
  expect(unknown.code).toBe(3);
});

it("completes commands and options in bash", async () => {
  const { stdout: script } = await romana(["completion", "bash"]);
  const complete = (words: string): Promise<string> =>
    bash(`${script}
COMP_WORDS=(${words})
COMP_CWORD=$((\${#COMP_WORDS[@]}-1))
_romana
echo "\${COMPREPLY[*]}"`);

  expect(await complete("romana ho")).toBe("host\n");
  expect(await complete("romana segment re")).toBe("remove\n");
  expect(await complete('romana -r http://x host ""')).toBe("list show add remove label\n");
  expect(await complete("romana address add --seg")).toBe("--segment\n");
  expect(await complete("romana host list --roo")).toBe("--rootURL --rootPort\n");
});

it("completes the values of an option that takes only some, and of an argument", async () => {
  const { stdout: script } = await romana(["completion", "bash"]);
  const complete = (words: string): Promise<string> =>
    bash(`${script}
COMP_WORDS=(${words})
COMP_CWORD=$((\${#COMP_WORDS[@]}-1))
_romana
echo "\${COMPREPLY[*]}"`);

  expect(await complete('romana -o ""')).toBe("table wide json yaml name\n");
  expect(await complete("romana host list --output j")).toBe("json\n");
  expect(await complete("romana host list --output = ya")).toBe("yaml\n");
  expect(await complete("romana host list --output =")).toBe("table wide json yaml name\n");
  expect(await complete('romana host list -f ""')).toBe("table json\n");
  expect(await complete("romana route list --state p")).toBe("pending\n");
  expect(await complete("romana controller --log-level w")).toBe("warn\n");
  expect(await complete('romana controller --probe ""')).toBe("icmp tcp none\n");
  expect(await complete('romana vpc-router --health ""')).toBe("icmp tcp multi\n");
  expect(await complete("romana completion z")).toBe("zsh\n");
});

it("completes the values of an option in zsh and fish too", async () => {
  const { stdout: zsh } = await romana(["completion", "zsh"]);
  const { stdout: fish } = await romana(["completion", "fish"]);

  expect(zsh).toMatch(/^ +-o\|--output\) found="table wide json yaml name" ;;$/m);
  expect(fish).toMatch(/romana host list.*-l output -s o -x -a 'table wide json yaml name' /);
});

it("completes names that the server knows, asked where the line says, and none that a shell would run", async () => {
  const { stdout: script } = await romana(["completion", "bash"]);
  const hostile = await serverWithOneHost();
  for (const [index, name] of ["node-2", "$(touch x)", "`x`", "a b", "-x"].entries()) {
    await hostile.addressing.addHost(
      { name, ip: parseIpv4(`192.168.0.${10 + index}`), tags: {}, origin: "api" },
      new AbortController().signal,
    );
  }
  const there = await listen(hostile.app, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const complete = (words: string): Promise<string> =>
    bash(`${script}
romana() { ${process.execPath} src/main/cli.ts "$@"; }
export HOME=/nonexistent
COMP_WORDS=(${words})
COMP_CWORD=$((\${#COMP_WORDS[@]}-1))
_romana
echo "\${COMPREPLY[*]}"`);

  expect(await complete(`romana -r ${there} host show ""`)).toBe("node-1 node-2\n");
  expect(await complete(`romana --rootURL ${there} address list --host node-2 --network p`)).toBe("prod\n");
  expect(await complete("romana -r unix:/nowhere host show n")).toBe("\n");
  await hostile.app.close();
});

it("stops asking for names when the server takes too long", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => {
    silent.listen(0, "127.0.0.1", resolve);
  });
  const { port } = silent.address() as AddressInfo;

  const result = await romana(["complete-names", "host", "-r", `http://127.0.0.1:${port}`]);
  silent.close();

  expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
});

it.for(["zsh", "fish"])("prints a completion script for %s that knows every command", async (shell) => {
  const { code, stdout } = await romana(["completion", shell]);

  expect(code).toBe(0);
  for (const word of ["blackout", "rebalance", "validate", "route-tables"]) {
    expect(stdout).toContain(word);
  }
});

/** Runs a script and answers what it printed. */
async function bash(script: string): Promise<string> {
  const child = spawn("bash", ["--norc"], { stdio: ["pipe", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stdin.end(script);
  await new Promise((resolve) => {
    child.once("close", resolve);
  });
  return Buffer.concat(chunks).toString();
}
