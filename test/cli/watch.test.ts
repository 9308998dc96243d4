import { spawn, type ChildProcess } from "node:child_process";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { servedRomana } from "./romana.ts";

let server: Awaited<ReturnType<typeof servedRomana>>;
const children: ChildProcess[] = [];

beforeEach(async () => {
  server = await servedRomana();
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
  }
  await server.close();
});

/** A command that goes on; its lines come as they are printed. */
function follow(args: readonly string[]) {
  const child = spawn(process.execPath, ["src/main/cli.ts", ...args], {
    env: { HOME: "/nonexistent", PATH: process.env["PATH"], ROMANA_URL: server.url },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  let text = "";
  const waiting: (() => void)[] = [];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    waiting.splice(0).forEach((wake) => wake());
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  /** All that was printed, once that is so many lines. */
  const lines = async (count: number): Promise<readonly string[]> => {
    while (text.split("\n").length <= count) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
    }
    return text.split("\n").slice(0, -1);
  };
  return { child, ended, lines };
}

const policy = (id: string, description: string): object => ({
  id,
  description,
  direction: "ingress",
  applied_to: [{ tenant_id: "shop" }],
  ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp" }] }],
});

const never = new AbortController().signal;

describe("a list with --watch", () => {
  it("prints rows as they change, in the columns of the list, until it is interrupted", async () => {
    await server.policies.save(policy("web", "one"), never);
    const list = follow(["policy", "list", "--watch"]);
    await list.lines(2);

    await server.policies.save(policy("a-longer-name", "two"), never);
    await list.lines(3);
    await server.policies.remove("web", never);
    const lines = await list.lines(4);
    list.child.kill("SIGINT");

    expect(lines).toEqual([
      "EVENT   ID    NAME   DIRECTION   APPLIED TO    PEERS   RULES",
      "list    web   -      ingress     tenant shop   1       1",
      "put     a-longer-name   -      ingress     tenant shop   1       1",
      "delete   web             -      ingress     tenant shop   1       1",
    ]);
    expect(await list.ended).toBe(130);
  });

  it("prints a document a line for programs", async () => {
    const list = follow(["policy", "list", "--watch", "-o", "json"]);
    await server.policies.save(policy("web", "one"), never);
    await list.lines(1);
    await server.policies.remove("web", never);

    const lines = (await list.lines(2)).map((line): unknown => JSON.parse(line));

    expect(lines).toEqual([
      { event: expect.stringMatching(/^(list|put)$/), object: policy("web", "one") },
      { event: "delete", object: policy("web", "one") },
    ]);
  });

  it.for([
    ["host list", ["host/node-1"]],
    ["address list --tenant shop", ["address/web"]],
    ["block list --network prod --host node-1", ["block/10.0.0.0/30"]],
    ["route list --state active", ["rtb-1/10.0.0.0/25"]],
  ] as const)("begins with what there is: %s", async ([typed, names]) => {
    await server.addressing.allocate({ name: "web", host: "node-1", tenant: "shop", segment: "" }, never);
    await server.addressing.allocate({ name: "db", host: "node-1", tenant: "", segment: "" }, never);
    const list = follow([...typed.split(" "), "--watch", "-o", "name"]);

    expect((await list.lines(names.length)).slice(0, names.length)).toEqual(names);
  });
});
