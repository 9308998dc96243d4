import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { RemovalOutcome, UninstallRoutes } from "../../src/cli/commands/uninstall.ts";
import { run } from "../../src/cli/run.ts";
import { processTerminal } from "../../src/cli/terminal.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { uninstallRoutes } from "../../src/main/uninstall.ts";

const PLAN: RemovalOutcome["plan"] = {
  remove: [
    { routeTableId: "rtb-1", destination: parseCidr("100.96.0.0/16"), target: "eni-1" },
    { routeTableId: "rtb-2", destination: parseCidr("100.96.0.0/16"), target: "eni-1" },
  ],
  forget: [{ routeTableId: "rtb-1", destination: parseCidr("100.97.0.0/16"), target: "eni-2" }],
  left: [
    { routeTableId: "rtb-1", destination: parseCidr("100.98.0.0/16"), target: "nat-1", reason: "foreign" },
  ],
};
const DONE: RemovalOutcome = { plan: PLAN, remaining: [], isUnchanged: false };

/** Runs the command with what it would call, and somebody who answers. */
async function uninstall(
  args: readonly string[],
  { work = () => Promise.resolve(DONE), answer = true }: { work?: UninstallRoutes; answer?: boolean } = {},
) {
  let stdout = "";
  let stderr = "";
  const questions: string[] = [];
  const unused = () => Promise.reject(new Error("not run here"));
  const code = await run(["uninstall", ...args], {
    version: "2.0.0",
    terminal: {
      ...processTerminal(),
      env: { HOME: "/nonexistent" },
      coloured: false,
      width: undefined,
      write: (text) => void (stdout += text),
      note: (line) => void (stderr += `${line}\n`),
      confirm: (question) => {
        questions.push(question);
        return Promise.resolve(answer);
      },
    },
    signal: new AbortController().signal,
    runController: unused,
    runVpcRouter: unused,
    runSimulation: unused,
    createCertificates: unused,
    installCertificates: unused,
    uninstallRoutes: work,
  });
  return { code, stdout, stderr, questions };
}

const asking: UninstallRoutes = async (_config, confirm) => {
  await confirm(PLAN);
  return DONE;
};

describe("romana uninstall", () => {
  it("wants to be told what to remove", async () => {
    const { code, stderr } = await uninstall(["--cloud", "aws"]);

    expect(code).toBe(2);
    expect(stderr).toContain("romana uninstall --routes");
  });

  it("shows the routes and asks before it removes them", async () => {
    const { code, stdout, stderr, questions } = await uninstall(["--routes"], { work: asking });

    expect(code).toBe(0);
    expect(questions).toEqual(["Pods of other nodes are out of reach without them. Remove 2 routes?"]);
    expect(stderr).toContain("rtb-2         100.96.0.0/16   eni-1");
    expect(stdout).toBe(
      "2 routes removed, and 1 record forgotten without a route of ours.\n\nLeft alone:\n" +
        "ROUTE TABLE   DESTINATION     TARGET   REASON\n" +
        "rtb-1         100.98.0.0/16   nat-1    not on record as ours\n",
    );
    expect(stderr).toContain("Source/Dest checks stay off");
  });

  it("keeps the routes when the answer is no, with exit code 4", async () => {
    const { code, stderr } = await uninstall(["--routes"], { work: asking, answer: false });

    expect(code).toBe(4);
    expect(stderr).toContain("the routes were kept");
  });

  it("asks nobody with --yes", async () => {
    expect((await uninstall(["--routes", "--yes"], { work: asking })).questions).toEqual([]);
  });

  it("takes every option of the controller and hands them on, the dry run among them", async () => {
    let dryRun: boolean | undefined;
    const work: UninstallRoutes = (config) => {
      ({ dryRun } = config);
      return Promise.resolve({ ...DONE, isUnchanged: true });
    };
    const args = [
      "--routes",
      "--dry-run",
      "--cloud=aws",
      "--probe=tcp",
      "--fall=4",
      "--max-watch-streams=10",
    ];

    const { code, stdout } = await uninstall(args, { work });

    expect([code, dryRun]).toEqual([0, true]);
    expect(stdout).toContain("rtb-2         100.96.0.0/16   eni-1\n2 routes would be removed");
    expect(stdout).toContain("nothing was changed");
  });

  it("prints one document for programs", async () => {
    const { stdout } = await uninstall(["--routes", "--yes", "-o", "json"]);

    expect(JSON.parse(stdout)).toEqual({
      dryRun: false,
      remove: PLAN.remove,
      removed: PLAN.remove,
      remaining: [],
      forgotten: PLAN.forget,
      left: PLAN.left,
    });
  });

  it("prints the routes that went by name", async () => {
    expect((await uninstall(["--routes", "--yes", "-o", "name"])).stdout).toBe(
      "rtb-1/100.96.0.0/16\nrtb-2/100.96.0.0/16\n",
    );
  });

  it("ends with 75 and the reason when some could not be removed", async () => {
    const [, second] = PLAN.remove;
    const remaining = second === undefined ? [] : [{ ...second, problem: "IAM says no" }];
    const { code, stdout, stderr } = await uninstall(["--routes", "--yes"], {
      work: () => Promise.resolve({ ...DONE, remaining }),
    });

    expect(code).toBe(75);
    expect(stdout).toContain("1 route removed");
    expect(stderr).toContain("rtb-2 100.96.0.0/16: IAM says no");
  });

  it("passes on that a controller leads, with exit code 4", async () => {
    const work: UninstallRoutes = () =>
      Promise.reject(new NetworkError("conflict", "UNINSTALL_LED", "a controller leads"));

    expect(await uninstall(["--routes", "--yes"], { work })).toMatchObject({
      code: 4,
      stderr: "Error: a controller leads\n",
    });
  });
});

describe("the options of a removal", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "romana-uninstall-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it.for([
    [["--cloud=none"], 2, "--cloud is none"],
    [["--cloud=aws", "--store=memory"], 3, "the store is memory"],
  ] as const)("are refused before anything is opened: %s", async ([args, exitCode, words]) => {
    const { code, stderr } = await uninstall(["--routes", "--yes", ...args], { work: uninstallRoutes });

    expect(code).toBe(exitCode);
    expect(stderr).toContain(words);
  });

  it("make no store where there is none", async () => {
    const file = join(folder, "none", "romana.db");
    const { code, stderr } = await uninstall(
      ["--routes", "--dry-run", "--cloud=aws", "--store", `sqlite:${file}`],
      { work: uninstallRoutes },
    );

    expect(code).toBe(3);
    expect(stderr).toContain(`there is no file ${file}`);
  });
});
