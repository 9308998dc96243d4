import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, expect, it } from "vitest";

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) {
    rmSync(folder, { recursive: true });
  }
});

interface Checkout {
  readonly root: string;
  readonly run: (
    command: string,
    ...args: string[]
  ) => { status: number | null; stdout: string; stderr: string };
}

/** A checkout with nothing but bin/romana and a program that tells how it was started. `machineNode`: text of the machine's node. */
function checkout(
  npmNode: "real" | "broken" | "none",
  machineNode?: string,
  environment: Readonly<Record<string, string>> = {},
): Checkout {
  const folder = mkdtempSync(join(tmpdir(), "romana-bin-"));
  folders.push(folder);
  const root = join(folder, "check out");
  for (const path of ["bin", "src/main", "node_modules/.bin", "machine"]) {
    mkdirSync(join(root, path), { recursive: true });
  }
  copyFileSync(fileURLToPath(new URL("../../bin/romana", import.meta.url)), join(root, "bin/romana"));
  writeFileSync(
    join(root, "src/main/cli.ts"),
    `import { DatabaseSync } from "node:sqlite";
     const version: string = process.version;
     new DatabaseSync(":memory:").close();
     console.log(JSON.stringify({ version, args: process.argv.slice(2), flags: process.execArgv, cwd: process.cwd() }));
     process.exitCode = 7;`,
  );
  const npmPath = join(root, "node_modules/.bin/node");
  if (npmNode === "real") {
    symlinkSync(process.execPath, npmPath);
  } else if (npmNode === "broken") {
    script(npmPath, "exit 127");
  }
  if (machineNode !== undefined) {
    script(join(root, "machine/node"), machineNode);
  }
  for (const tool of ["sh", "dirname", "readlink"]) {
    symlinkSync(`/bin/${tool}`, join(root, "machine", tool));
  }
  const env = { PATH: join(root, "machine"), ...environment };
  return {
    root,
    run: (command, ...args) =>
      spawnSync(command, args, { cwd: folder, encoding: "utf8", env, timeout: 10_000 }),
  };
}

function script(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

/** A machine's node of some version: tells what it was given. */
function fakeNode(version: string): string {
  return `[ "$1" = --version ] && { echo ${version}; exit; }; echo "machine node:" "$@"`;
}

it("runs the program with npm's Node, passes arguments and exit code on, and prints nothing of its own", () => {
  const { root, run } = checkout("real", fakeNode("v99.0.0"));

  const result = run(join(root, "bin/romana"), "plan", "-o", "a b", "*", "");

  expect(JSON.parse(result.stdout)).toEqual({
    version: process.version,
    args: ["plan", "-o", "a b", "*", ""],
    flags: expect.arrayContaining(["--disable-warning=ExperimentalWarning"]),
    cwd: join(root, ".."),
  });
  expect(result.stderr).toBe("");
  expect(result.status).toBe(7);
});

it("finds its checkout through links, absolute and relative ones", () => {
  const { root, run } = checkout("real");
  mkdirSync(join(root, "elsewhere"));
  symlinkSync(join(root, "bin/romana"), join(root, "elsewhere/absolute"));
  symlinkSync("../elsewhere/absolute", join(root, "elsewhere/relative"));

  expect(JSON.parse(run(join(root, "elsewhere/relative"), "x").stdout)).toMatchObject({ args: ["x"] });
  expect(JSON.parse(run("./check out/elsewhere/absolute", "x").stdout)).toMatchObject({ args: ["x"] });
});

it.for(["broken", "none"] as const)("takes the machine's Node when npm's is %s", (npmNode) => {
  const { root, run } = checkout(npmNode, fakeNode("v24.1.0"));

  const { stdout, status } = run(join(root, "bin/romana"), "status");

  expect(stdout).toMatch(/^machine node: .*src\/main\/cli\.ts status\n$/);
  expect(status).toBe(0);
});

it.for([
  ["none is new enough", "none", fakeNode("v20.20.2")],
  ["there is none at all", "none", undefined],
  ["npm's does not run and the machine's is old", "broken", fakeNode("v23.11.1")],
  ["what is called node is something else", "none", "echo hello"],
] as const)("says in one line what to do when %s", ([, npmNode, machineNode]) => {
  const { root, run } = checkout(npmNode, machineNode);

  const { stdout, stderr, status } = run(join(root, "bin/romana"), "status");

  expect(stderr).toBe(`romana: Node 24 or its packages are missing: run \`make deps\` in ${root}\n`);
  expect(stdout).toBe("");
  expect(status).toBe(1);
});

it("says the same when the packages are missing, whatever Node there is", () => {
  const { root, run } = checkout("none", fakeNode("v24.1.0"));
  rmSync(join(root, "node_modules"), { recursive: true });

  const { stderr, status } = run(join(root, "bin/romana"), "status");

  expect(stderr).toContain("make deps");
  expect(status).toBe(1);
});

it("keeps what Node compiled in the user's cache folder", () => {
  const home = mkdtempSync(join(tmpdir(), "romana-home-"));
  folders.push(home);
  const { root, run } = checkout("real", undefined, { HOME: home });

  const results = [run(join(root, "bin/romana"), "x"), run(join(root, "bin/romana"), "x")];

  expect(results.map(({ status, stderr }) => ({ status, stderr }))).toEqual([
    { status: 7, stderr: "" },
    { status: 7, stderr: "" },
  ]);
  expect(readdirSync(join(home, ".cache/romana/compiled"))).not.toEqual([]);
});

it("starts all the same where that folder cannot be made", () => {
  const home = mkdtempSync(join(tmpdir(), "romana-home-"));
  folders.push(home);
  writeFileSync(join(home, "file"), "");
  for (const environment of [
    { HOME: home, XDG_CACHE_HOME: join(home, "file") },
    { HOME: join(home, "nowhere") },
    { HOME: "" },
  ]) {
    const { root, run } = checkout("real", undefined, environment);

    const { status, stderr } = run(join(root, "bin/romana"), "x");

    expect({ status, stderr }).toEqual({ status: 7, stderr: "" });
  }
  expect(existsSync(join(home, "nowhere"))).toBe(false);
});

it.skipIf(process.getuid?.() !== 0)(
  "takes no compiled code from a folder that belongs to somebody else",
  () => {
    const home = mkdtempSync(join(tmpdir(), "romana-home-"));
    folders.push(home);
    chownSync(home, 65_534, 65_534);
    const { root, run } = checkout("real", undefined, { HOME: home });

    expect(run(join(root, "bin/romana"), "x").status).toBe(7);
    expect(readdirSync(home)).toEqual([]);
  },
);
