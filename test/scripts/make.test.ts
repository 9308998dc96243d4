import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../..", import.meta.url));
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) {
    rmSync(folder, { recursive: true });
  }
});

/** What the recipes call, and nothing else: no npm, no node, no compiler. */
const TOOLS = [
  "sh",
  "make",
  "cat",
  "cksum",
  "sed",
  "printf",
  "uname",
  "rm",
  "dirname",
  "grep",
  "id",
  "mkdir",
];

interface Copy {
  readonly root: string;
  readonly make: (...args: string[]) => { status: number | null; stdout: string; stderr: string };
  /** Puts a program on the PATH: an existing one by its path, or a script. */
  readonly add: (name: string, text: string) => void;
}

/** A copy of the Makefile and its scripts on a machine that has only `TOOLS`. */
function copy(): Copy {
  const folder = mkdtempSync(join(tmpdir(), "romana-make-"));
  folders.push(folder);
  const [root, tools] = [join(folder, "root"), join(folder, "tools")];
  mkdirSync(root);
  mkdirSync(tools);
  for (const name of ["Makefile", "scripts", "package.json", "package-lock.json"]) {
    cpSync(join(source, name), join(root, name), { recursive: true });
  }
  for (const tool of TOOLS) {
    symlinkSync(which(tool), join(tools, tool));
  }
  const env = { PATH: tools, HOME: folder };
  return {
    root,
    make: (...args) => spawnSync(which("make"), args, { cwd: root, encoding: "utf8", env, timeout: 20_000 }),
    add: (name, text) => {
      writeFileSync(join(tools, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(tools, name), 0o755);
    },
  };
}

function which(tool: string): string {
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, tool))
    .find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new Error(`this machine has no ${tool}`);
  }
  return path;
}

/** A stand-in for npm: notes its arguments and does what `npm ci` would leave behind. */
const NPM =
  'echo "npm $*" >>calls; mkdir -p node_modules/.bin; cat npm-node >node_modules/.bin/node; chmod 755 node_modules/.bin/node';
const NODE_24 = '#!/bin/sh\n[ "$1" = --version ] && echo v24.0.0\nexit 0\n';

describe("make", () => {
  it("without npm says in one line what to install, whatever is asked of it", () => {
    const { make } = copy();

    for (const target of ["demo", "test", "check", "deps", "bench"]) {
      const { stdout, stderr, status } = make(target);

      const own = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("make:"));
      expect(own).toEqual([
        "npm is missing: install Node.js with npm (https://nodejs.org, or apt-get install npm), then run make again",
      ]);
      expect(stdout).toBe("");
      expect(status).not.toBe(0);
    }
  });

  it("lists its targets when nothing is asked of it", () => {
    const { make } = copy();

    const { stdout, status } = make();

    expect(status).toBe(0);
    expect(stdout.split("\n").map((line) => /^ {2}make (\S+) +\S/.exec(line)?.[1])).toEqual(
      expect.arrayContaining(["demo", "test", "check", "bench", "deps", "clean", "help"]),
    );
  });

  it("installs packages without their scripts, once for each state of the lock file", () => {
    const { root, make, add } = copy();
    add("npm", NPM);
    add("chmod", `exec ${which("chmod")} "$@"`);
    writeFileSync(join(root, "npm-node"), NODE_24);

    const first = make("packages");
    make("packages");
    writeFileSync(join(root, "package-lock.json"), "{}");
    make("packages");
    make("packages");

    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(join(root, "calls"), "utf8")).toBe(
      "npm ci --ignore-scripts --loglevel=error\n".repeat(2),
    );
  });

  it("installs again after an installation that failed", () => {
    const { root, make, add } = copy();
    add("npm", 'echo "npm $*" >>calls; exit 1');

    expect(make("packages").status).not.toBe(0);
    expect(make("packages").status).not.toBe(0);

    expect(readFileSync(join(root, "calls"), "utf8").split("\n")).toHaveLength(3);
  });

  it.for([
    ["npm's does not run and the machine's is too old", "exit 127", "echo v20.20.2"],
    ["neither is new enough", "echo v22.0.0", "echo v23.9.9"],
  ] as const)("says what to do when there is no Node 24: %s", ([, npmNode, machineNode]) => {
    const { root, make, add } = copy();
    add("npm", NPM);
    add("chmod", `exec ${which("chmod")} "$@"`);
    add("node", machineNode);
    writeFileSync(join(root, "npm-node"), `#!/bin/sh\n${npmNode}\n`);

    const { stderr, status } = make("packages");

    expect(stderr).toMatch(/^Node 24 is missing: .*install Node 24 or newer/);
    expect(status).not.toBe(0);
  });

  it("takes the machine's Node where npm's does not run, and lets nobody find that one", () => {
    const { root, make, add } = copy();
    add("npm", NPM);
    add("chmod", `exec ${which("chmod")} "$@"`);
    add("node", "echo v24.0.0");
    writeFileSync(join(root, "npm-node"), "#!/bin/sh\nexit 127\n");

    expect(make("packages")).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(join(root, "node_modules/.bin/node"))).toBe(false);
  });

  it("goes on without a compiler, and says in one line what does not work then", () => {
    const { root, make, add } = copy();
    add("npm", NPM);
    add("chmod", `exec ${which("chmod")} "$@"`);
    // No module loads in it.
    writeFileSync(
      join(root, "npm-node"),
      '#!/bin/sh\n[ "$1" = --version ] && { echo v24.0.0; exit 0; }\nexit 1\n',
    );

    const { stderr, status } = make("deps");

    expect(stderr).toBe(
      "ICMP probes are not available: raw-socket has to be compiled and g++ is missing: install g++, make and python3; " +
        "then run `make deps` again, or use TCP probes (--probe tcp)\n",
    );
    expect(status).toBe(0);
  });

  it.for([
    [["bench"], ""],
    [["bench", "alloc-10k"], "alloc-10k"],
    [["bench", "alloc-10k", "plan-full"], "alloc-10k plan-full"],
    [["bench", "IDS=alloc-10k plan-full"], "alloc-10k plan-full"],
  ] as const)("passes the ids of %j on", ([args, ids]) => {
    const { make } = copy();

    const { stdout } = make("-n", ...args);

    expect(stdout).toContain(`bench/run.ts ${ids}\n`);
    expect(stdout.match(/bench\/run\.ts/g)).toHaveLength(1);
  });
});
