import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { podNamed } from "../support/pods.ts";
import { romanaHere } from "./in-process.ts";
import { servedRomana } from "./romana.ts";

const never = new AbortController().signal;

let server: Awaited<ReturnType<typeof servedRomana>>;

beforeEach(async () => {
  server = await servedRomana();
});

afterEach(async () => {
  await server.close();
});

const run = (...args: readonly string[]) => romanaHere(args, { env: { ROMANA_URL: server.url } });

async function take(name: string, uid: string): Promise<void> {
  const pod = { namespace: "shop", name: "web", uid };
  await server.addressing.allocate({ name, host: "node-1", tenant: "shop", segment: "s", pod }, never);
}

/** An address that leaked for longer than both sources need, and not for the grace time. */
async function leak(): Promise<void> {
  await take("web.shop.0f3a9b21", "u1");
  await run("ipam", "check");
  await server.clock.advance(91_000);
  server.agents.put("node-1", { ready: true, endpoints: new Map() });
}

describe("romana ipam check", () => {
  it("ends with 0 and says so where everything fits", async () => {
    await take("web.shop.0f3a9b21", "u1");
    server.pods.put(podNamed("shop/web", { uid: "u1", ips: ["10.0.0.0"] }));
    server.agents.put("node-1", { ready: true, endpoints: new Map() });

    expect(await run("ipam", "check")).toEqual({
      code: 0,
      stdout: "",
      stderr: "1 addresses in use, 1 Pods: nothing was found.\n",
    });
  });

  it("shows what it found, says whose agent is silent, and ends with 6", async () => {
    await take("a", "u1");
    await take("b", "u1");
    server.pods.put(podNamed("shop/web", { uid: "u1" }));

    const shown = await run("ipam", "check");
    const json = await run("ipam", "check", "-o", "json");
    const names = await run("ipam", "check", "-o", "name");

    expect(shown.stdout).toMatch(
      /^KIND +ADDRESS +NAME +HOST +POD +RELEASED +WHAT\ndoubled +10\.0\.0\.0 +a +node-1 +shop\/web +- +its Pod holds other addresses too, under "b"\n/,
    );
    expect(shown.stderr).toBe("No agent speaks for node-1: their addresses are kept.\n");
    expect(JSON.parse(json.stdout)).toMatchObject({
      clean: false,
      findings: [{ kind: "doubled" }, { kind: "doubled" }],
    });
    expect(names.stdout).toBe("doubled/10.0.0.0\ndoubled/10.0.0.1\n");
    expect([shown.code, json.code, names.code]).toEqual([6, 6, 6]);
  });

  it("ends with 6 as a program of its own too", async () => {
    await take("a", "u1");
    await take("b", "u1");

    expect((await server.run(["ipam", "check"])).code).toBe(6);
  });
});

describe("romana ipam release", () => {
  it("is asked for what leaked and for nothing else", async () => {
    const { code, stderr } = await run("ipam", "release");

    expect([code, stderr]).toEqual([2, expect.stringContaining("--leaked")]);
  });

  it("shows what it would release, and keeps what the grace time is running for", async () => {
    await leak();

    const waiting = await run("ipam", "release", "--leaked", "--dry-run");
    const trial = await run("ipam", "release", "--leaked", "--dry-run", "--grace", "0s");

    expect(waiting.stdout).toMatch(
      /^Nothing to release\.\n\n1 kept:\nKIND .*\nleaked +10\.0\.0\.0 +web\.shop\.0f3a9b21 +node-1 +shop\/web +2026-01-01T00:11:31\.000Z/,
    );
    expect(trial.stdout).toMatch(/^KIND .*\nleaked +10\.0\.0\.0 .*\n1 would be released\.\n$/);
    expect([waiting.code, trial.code]).toEqual([0, 0]);
    expect(server.addressing.addresses()).toHaveLength(1);
  });

  it("asks before it releases anything, and does not with --yes", async () => {
    await leak();

    const unanswered = await run("ipam", "release", "--leaked", "--grace", "0s");
    const held = server.addressing.addresses().length;
    const done = await run("ipam", "release", "--leaked", "--grace", "0s", "--yes", "-o", "json");

    expect(unanswered.code).toBe(2);
    expect(unanswered.stdout).toMatch(/^KIND .*\nleaked +10\.0\.0\.0 /);
    expect(unanswered.stderr).toContain("Release this address? Nobody is there to answer: say --yes");
    expect(held).toBe(1);
    expect([done.code, JSON.parse(done.stdout)]).toMatchObject([
      0,
      { dryRun: false, released: [{ address: "10.0.0.0" }] },
    ]);
    expect(server.addressing.addresses()).toEqual([]);
  });

  it("says that there is nothing", async () => {
    expect(await run("ipam", "release", "--leaked")).toEqual({
      code: 0,
      stdout: "Nothing to release.\n",
      stderr: "",
    });
  });
});

it("shows the Pod of an address in lists and explanations", async () => {
  await take("web.shop.0f3a9b21", "u1");
  server.pods.put(podNamed("shop/web", { uid: "u1", labels: { app: "web" } }));

  const wide = await run("address", "list", "-o", "wide");
  const json = await run("address", "list", "-o", "json");
  const explained = await run("explain", "ip", "10.0.0.0");

  expect(wide.stdout).toMatch(/ POD\n.* shop\/web\n$/);
  expect(JSON.parse(json.stdout)).toMatchObject([{ pod: { namespace: "shop", name: "web", uid: "u1" } }]);
  expect(explained.stdout).toContain("Pod:       shop/web u1, Running\n           app=web\n");
});

it("completes its commands, options and durations", async () => {
  const { stdout: script } = await romanaHere(["completion", "bash"]);

  expect(script).toContain('"romana ipam") found="check release"');
  expect(script).toContain('--grace) found="0s 1m 10m" ;;');
});
