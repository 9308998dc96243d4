import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, it } from "vitest";

import { romanaHere } from "./in-process.ts";

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) {
    await close();
  }
});

/** A server that answers each path with a document, or with what a function says; 404 for the others. */
async function serve(answers: Readonly<Record<string, object | null | RequestListener>>): Promise<string> {
  const server = createServer((request, response) => {
    const found = answers[`${request.method} ${request.url}`];
    if (typeof found === "function") {
      (found as RequestListener)(request, response);
      return;
    }
    response.statusCode = found === undefined ? 404 : 200;
    response.end(JSON.stringify(found ?? null));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const leader = {
  id: "controller-2",
  url: "https://10.0.0.2:9600",
  epoch: 17,
  since: "2026-11-02T09:00:00.000Z",
  self: false,
};

const status = {
  version: "2.0.0",
  startedAt: "2026-11-02T09:00:00.000Z",
  cloud: "none",
  region: null,
  vpcId: null,
  store: "etcd:http://127.0.0.1:2379",
  leader: false,
  dryRun: false,
  hosts: { total: 3, unplaced: 1, misplaced: 0 },
  routes: { desired: 0, active: 0 },
  lastPass: null,
  cloudCalls: {},
  alarms: [{ kind: "route-conflict", subject: "10.0.0.0/25", message: "rtb-2 leads it to nat-1" }],
};

it("shows who leads", async () => {
  const env = { ROMANA_URL: await serve({ "GET /leader": leader }) };

  const table = await romanaHere(["leader"], { env });
  const json = await romanaHere(["leader", "-o", "json"], { env });
  const name = await romanaHere(["leader", "-o", "name"], { env });

  expect(table.stdout).toBe(
    "LEADER         URL                     EPOCH   SINCE                      ANSWERS\n" +
      "controller-2   https://10.0.0.2:9600   17      2026-11-02T09:00:00.000Z   another replica\n",
  );
  expect(JSON.parse(json.stdout)).toEqual(leader);
  expect(name.stdout).toBe("controller/controller-2\n");
});

it("says on one screen that another replica leads, and what is wrong", async () => {
  const env = {
    ROMANA_URL: await serve({
      "GET /leader": leader,
      "GET /status": status,
      "GET /blocks": { revision: 0, blocks: [] },
      "GET /networks": [],
    }),
  };

  const { stdout } = await romanaHere(["status"], { env });

  expect(stdout).toBe(
    [
      "Version:     2.0.0",
      "Started:     2026-11-02T09:00:00.000Z",
      "Cloud:       none",
      "Store:       etcd:http://127.0.0.1:2379",
      "Role:        standby; controller-2 at https://10.0.0.2:9600 leads (epoch 17, since 2026-11-02T09:00:00.000Z)",
      "Networks:    none",
      "Hosts:       3 (1 unplaced, 0 misplaced)",
      "Addresses:   0 in use, in 0 blocks",
      "Routes:      0 of 0 active",
      "Last pass:   none yet",
      "Cloud calls: none",
      "Alarm:       route-conflict (10.0.0.0/25): rtb-2 leads it to nat-1",
      "",
    ].join("\n"),
  );
});

it("asks the leader when the one that was asked does not lead, and logs both", async () => {
  const plan = { granularity: "all", operations: [], sourceDestCheck: [], skipped: [], alarms: [] };
  const leading = await serve({ "GET /plan": plan });
  const following = await serve({
    "GET /plan": (_request, response) => {
      response.writeHead(307, { location: `${leading}/plan` });
      response.end(
        JSON.stringify({ message: "ask the leader", type: "urn:romana:error:transient:NOT_LEADER" }),
      );
    },
  });

  const { code, stdout, stderr } = await romanaHere(["plan", "-v", "-r", following]);

  expect([code, stdout]).toEqual([0, "Nothing to do. Granularity: all.\n"]);
  expect(stderr).toContain(`GET /plan on ${following}: NOT_LEADER`);
  expect(stderr).toContain(`GET /plan on ${leading}: ok`);
});

it("ends with 75 and the server's words when nobody leads", async () => {
  const url = await serve({
    "GET /plan": (_request, response) => {
      response.writeHead(503, { "retry-after": "0" });
      response.end(
        JSON.stringify({
          message: "no replica leads just now",
          type: "urn:romana:error:transient:LEADER_NONE",
        }),
      );
    },
  });

  const { code, stderr } = await romanaHere(["plan", "-r", url]);

  expect([code, stderr]).toEqual([75, "Error: no replica leads just now\n"]);
});

it("says so when an answer is not what this version reads", async () => {
  const url = await serve({ "GET /networks": { networks: [] } });

  const { code, stderr } = await romanaHere(["network", "list", "-r", url]);

  expect([code, stderr]).toEqual([2, expect.stringContaining("GET /networks on http://127.0.0.1:")]);
});

it("says what was asked when the answer has no reason", async () => {
  const url = await serve({});

  const { code, stderr } = await romanaHere(["leader", "-r", url]);

  expect([code, stderr]).toEqual([
    3,
    `Error: ${url} answers GET /leader with status 404 and no reason: is it a Romana controller, and of the same version?\n`,
  ]);
});
