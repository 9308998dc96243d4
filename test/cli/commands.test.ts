import { afterEach, beforeEach, expect, it } from "vitest";

import { examplePlan } from "../api/fake-routes.ts";
import { servedRomana } from "./romana.ts";

let server: Awaited<ReturnType<typeof servedRomana>>;

beforeEach(async () => {
  server = await servedRomana();
});

afterEach(async () => {
  await server.close();
});

it("shows hosts as a table", async () => {
  const { code, stdout } = await server.run(["host", "list"]);

  expect(code).toBe(0);
  expect(stdout).toBe(
    "NAME     IP            STATE    GROUPS\nnode-1   192.168.0.1   placed   10.0.0.0/24\n",
  );
});

it("shows more with -o wide", async () => {
  const { stdout } = await server.run(["host", "list", "-o", "wide"]);

  expect(stdout.split("\n")[0]).toBe(
    "NAME     IP            STATE    GROUPS        ORIGIN   AGENT PORT   LABELS   REASON",
  );
  expect(stdout).toContain("zone=a");
});

it("prints the REST value as JSON, as YAML and as names", async () => {
  const json = await server.run(["host", "list", "-o", "json"]);
  const yaml = await server.run(["host", "list", "-o", "yaml"]);
  const names = await server.run(["-o", "name", "host", "list"]);

  expect(JSON.parse(json.stdout)).toEqual((await server.app.inject("/hosts?full=true")).json());
  expect(yaml.stdout).toContain("hosts:\n  - ip: 192.168.0.1\n    name: node-1\n");
  expect(names.stdout).toBe("host/node-1\n");
});

it("keeps the original's table and JSON", async () => {
  const table = await server.run(["host", "list", "-f", "table"]);
  const json = await server.run(["network", "list", "-f", "json"]);

  expect(table.stdout).toBe("Host List\nHost IP\t\tHost Name\n192.168.0.1\tnode-1\n");
  expect(json.stdout).toBe(
    '[\n\t{\n\t\t"revision": 0,\n\t\t"id": "prod",\n\t\t"cidr": "10.0.0.0/24"\n\t}\n]\n',
  );
});

it("registers a host, labels it, shows it and removes it", async () => {
  const added = await server.run(["host", "add", "node-2", "192.168.0.2", "-l", "rack=r1", "-l", "zone=b"]);
  const labelled = await server.run(["host", "label", "192.168.0.2", "rack=r2", "zone-"]);
  const shown = await server.run(["host", "show", "node-2"]);
  const removed = await server.run(["host", "remove", "192.168.0.2"]);

  expect([added.stdout, labelled.stdout, removed.stdout]).toEqual([
    "host node-2 added\n",
    "host node-2 labelled\n",
    "host node-2 removed\n",
  ]);
  expect(shown.stdout).toContain("Labels:      rack=r2\n");
  expect(server.addressing.hosts().hosts).toHaveLength(1);
});

it("asks before it removes a host whose addresses are in use, and takes --yes for an answer", async () => {
  await server.run(["address", "add", "pod-1", "--host", "node-1"]);

  const asked = await server.run(["host", "remove", "node-1"]);
  const told = await server.run(["host", "remove", "node-1", "--yes"]);

  expect(asked.code).toBe(2);
  expect(asked.stderr).toBe(
    "Error: Host node-1 has 1 address in use; its pods lose them. Remove it? Nobody is there to answer: say --yes to go ahead\n",
  );
  expect([told.code, told.stdout]).toEqual([0, "host node-1 removed\n"]);
});

it("takes an address, lists it with its block, and releases it", async () => {
  const added = await server.run([
    "address",
    "add",
    "p",
    "--host",
    "node-1",
    "--tenant",
    "t",
    "--segment",
    "s",
  ]);
  const listed = await server.run(["address", "list", "--tenant", "t"]);
  const others = await server.run(["address", "list", "--tenant", "u"]);
  const blocks = await server.run(["block", "list", "-o", "wide"]);
  const removed = await server.run(["address", "remove", "10.0.0.0"]);

  expect(added.stdout).toBe("10.0.0.0\n");
  expect(listed.stdout).toBe(
    "ADDRESS    NAME   HOST     TENANT   SEGMENT\n10.0.0.0   p      node-1   t        s\n",
  );
  expect([others.stdout, others.stderr]).toEqual(["", "No addresses in use.\n"]);
  expect(blocks.stdout.split("\n")[1]).toBe("10.0.0.0/30   node-1   t        s         1        prod      1");
  expect(removed.stdout).toBe("address 10.0.0.0 released\n");
});

it("prints the original's word for done to programs", async () => {
  const { stdout } = await server.run(["topology", "update", "-f", "json"], "{}");

  expect(stdout).toBe('{\n\t"status_code": 200,\n\t"details": "200 OK",\n\t"see_also": ""\n}\n');
});

it("posts a document with comments from standard input and repeats its warnings", async () => {
  const { code, stdout, stderr } = await server.run(
    ["topology", "update"],
    '# our network\n{"networks": null, "toplogies": null} // none yet\n',
  );

  expect([code, stdout]).toEqual([0, "Topology updated successfully.\n"]);
  expect(stderr).toMatch(/^Warning: toplogies: unknown key "toplogies" is ignored.*\n$/);
  expect(server.addressing.networks()).toEqual([]);
});

it("keeps blackouts", async () => {
  const added = await server.run(["blackout", "add", "prod", "10.0.0.0/30"]);
  const listed = await server.run(["blackout", "list"]);
  const removed = await server.run(["blackout", "remove", "prod", "10.0.0.0/30"]);

  expect(added.stdout).toBe("blackout 10.0.0.0/30 added to network prod\n");
  expect(listed.stdout).toBe("NETWORK   CIDR\nprod      10.0.0.0/30\n");
  expect(removed.stdout).toBe("blackout 10.0.0.0/30 removed from network prod\n");
});

it("shows what a pass would do, for people and for programs", async () => {
  const table = await server.run(["plan"]);
  const json = await server.run(["plan", "-o", "json"]);

  expect(table.stdout.split("\n").slice(0, 4)).toEqual([
    "OPERATION   DESTINATION     ROUTE TABLE   TARGET   HOST     REASON",
    "create      10.0.0.0/25     rtb-1         eni-1    node-1   no route yet",
    "replace     10.0.0.128/25   rtb-1         eni-2    node-2   node-3 does not answer",
    "delete      10.0.1.0/25     rtb-2         eni-4    -        no group has this prefix any more",
  ]);
  expect(table.stdout).toContain("somebody else's route to nat-1");
  expect(table.stdout).toContain("Alarm route-conflict (10.0.0.0/25): rtb-2 leads it to nat-1\n");
  expect(table.stdout.trimEnd().split("\n").at(-1)).toBe(
    "Plan: 1 to create, 1 to replace, 1 to delete, 1 check to turn off. Granularity: a route for each of 2 groups.",
  );
  expect(JSON.parse(json.stdout)).toEqual(examplePlan);
});

it("rebalances only when it is told to", async () => {
  const asked = await server.run(["rebalance"]);
  const told = await server.run(["rebalance", "--yes", "-o", "name"]);

  expect([asked.code, told.code]).toEqual([2, 0]);
  expect(told.stdout.split("\n")[0]).toBe("rtb-1/10.0.0.0/25");
  expect(server.routes.done).toEqual(["rebalance"]);
});

it("shows routes, nodes and the controller", async () => {
  const routes = await server.run(["routes", "-o", "wide"]);
  const health = await server.run(["health"]);
  const status = await server.run(["status"]);

  expect(routes.stdout).toMatch(/10\.0\.0\.128\/25 +rtb-1 +failed +eni-2 +node-2 +prod +b +IAM refuses/);
  expect(routes.stdout).toMatch(/rtb-1 +yes +5\/500 +2/);
  expect(health.stdout).toMatch(/node-3 +192\.168\.0\.3 +down +down +9s +0/);
  expect(status.stdout).toContain(
    "Role:        leader (replica-1, epoch 7, since 2026-11-02T09:00:00.000Z)\n",
  );
  expect(status.stdout).toContain("1 failed: IAM refuses ec2:ReplaceRoute\n");
});

it.for([
  [["policy", "add"], "standard input is not JSON: "],
  [["policy", "add", "-"], "standard input is not JSON: "],
  [["topology", "update"], "standard input is not JSON: "],
] as const)("says where a document is no JSON: %s", async ([args, message]) => {
  const { code, stderr } = await server.run(args, '{\n  "id": # what?\n}');

  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(new RegExp(`^Error: ${message}.*line 3 column 1`)),
  ]);
});

it("reads policies from several files, and from standard input", async () => {
  const policy = (id: string): string =>
    `{"id":"${id}","direction":"ingress","applied_to":[{"tenant_id":"t"}],"ingress":[{"peers":[{"peer":"any"}],"rules":[{"protocol":"any"}]}]}`;

  const { code, stdout } = await server.run(
    ["policy", "add", "test/fixtures/cli/policies.json", "-", "-o", "name"],
    `[${policy("a")}, # and
      ${policy("b")}]`,
  );

  expect([code, stdout]).toEqual([0, "policy/name.ssh\npolicy/a\npolicy/b\n"]);
});

it("names the ids of policies that share a name, and takes one of them", async () => {
  const policy = (id: string): object => ({
    id,
    name: "web",
    direction: "ingress",
    applied_to: [{ tenant: "t" }],
    peers: [{ peer: "any" }],
    rules: [{ protocol: "any" }],
  });
  await server.run(["policy", "add"], JSON.stringify({ securitypolicies: [policy("one"), policy("two")] }));

  const ambiguous = await server.run(["policy", "remove", "web"]);
  const removed = await server.run(["policy", "remove", "-i", "one"]);
  const left = await server.run(["policy", "remove", "web", "-o", "name"]);

  expect([ambiguous.code, ambiguous.stderr]).toEqual([
    4,
    'Error: 2 policies are called "web": name one by its id: one, two\n',
  ]);
  expect([removed.code, left.stdout]).toEqual([0, "policy/two\n"]);
});

it("takes labels of a host before its name as well as after it", async () => {
  const before = await server.run([
    "host",
    "add",
    "-t",
    "rack=r1",
    "--label",
    "zone=b",
    "node-2",
    "192.168.0.2",
  ]);
  const between = await server.run([
    "host",
    "add",
    "node-3",
    "-t",
    "rack=r2",
    "192.168.0.3",
    "10.0.0.0/24",
    "9604",
  ]);
  const hosts = await server.run(["host", "list", "-o", "json"]);

  expect([before.code, between.code]).toEqual([0, 0]);
  expect(JSON.parse(hosts.stdout)).toMatchObject({
    hosts: [
      {},
      { name: "node-2", tags: { rack: "r1", zone: "b" } },
      { name: "node-3", tags: { rack: "r2" } },
    ],
  });
});

it("refuses a label that stands where the range of the original belongs, instead of losing it", async () => {
  const { code, stderr } = await server.run([
    "host",
    "add",
    "node-2",
    "192.168.0.2",
    "-l",
    "rack=r1",
    "zone=b",
  ]);

  expect([code, stderr]).toEqual([2, expect.stringContaining('not an IPv4 network: "zone=b"')]);
});

it("takes a policy by its id and another one by its name in one call", async () => {
  const policy = (id: string): object => ({
    id,
    name: `${id}-name`,
    direction: "ingress",
    applied_to: [{ tenant_id: "t" }],
    ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp" }] }],
  });
  await server.run(["policy", "add"], JSON.stringify([policy("1"), policy("2"), policy("3")]));

  const removed = await server.run(["policy", "remove", "-i", "1", "2-name", "-i", "3", "-o", "name"]);

  expect([removed.code, removed.stdout]).toEqual([0, "policy/2\npolicy/1\npolicy/3\n"]);
});
