import { renameSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";

import { CreateRouteCommand, DeleteRouteCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { exchange } from "../../../src/client/http.ts";
import type { RouteSpecStatus } from "../../../src/services/route-spec-keeper.ts";
import { MotoLab, until, type LabController, type LabInstance } from "../../support/moto-lab.ts";
import { requireMoto } from "../../support/moto.ts";
import { canMakeNamespaces } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";

const withoutLab = requireMoto() || skipUnless(canMakeNamespaces(), "network namespaces and nftables (root)");

const A = "172.16.0.0/16";
const B = "172.17.0.0/16";
const ALL = "0.0.0.0/0";
const SECONDARY = "127.16.0.99";
const never = new AbortController().signal;

type List = Readonly<Record<string, readonly string[]>>;

/** The text of its metrics. */
function metricsOf({ endpoint }: LabController): Promise<string> {
  return new Promise((resolve, reject) => {
    const where = endpoint.kind === "unix" ? { socketPath: endpoint.path } : { ...endpoint };
    get({ ...where, path: "/metrics" }, (response) => resolve(textOf(response))).once("error", reject);
  });
}

describe.skipIf(withoutLab)("romana vpc-router on an EC2 API", { timeout: 60_000 }, () => {
  let lab: MotoLab;
  let main: string;
  let file: string;
  let store: string;
  let router: LabController;
  /** Two machines in the first zone, two in the second, one in the third, whose subnet is on the main table. */
  let machines: Record<"a1" | "a2" | "b1" | "b2" | "m1", LabInstance>;

  beforeAll(async () => {
    lab = await MotoLab.start({ zones: 2, instancesPerZone: 2 });
    main = await lab.addSubnetOnMain();
    lab.instances.push(await lab.run(2, "127.16.2.10"));
    const [a1, a2, b1, b2, m1] = lab.instances;
    if (a1 === undefined || a2 === undefined || b1 === undefined || b2 === undefined || m1 === undefined) {
      throw new Error("the lab has too few machines");
    }
    machines = { a1, a2, b1, b2, m1 };
    await lab.assign(a2, SECONDARY);
    // Somebody's route to a machine that will be listed, one to a machine that will not be, and one that nobody lists.
    await create(A, machines.b1);
    await create(B, machines.b2);
    await create("192.168.0.0/16", machines.b2);
    file = join(lab.folder, "routes.json");
    store = join(lab.folder, "router.db");
    write({ [A]: [a1.address, b1.address], [B]: [SECONDARY], [ALL]: [SECONDARY, m1.address] });
    router = await lab.router(...flags());
  }, 120_000);
  afterEach(() => {
    lab.heal();
  });
  afterAll(async () => {
    await lab?.close();
  });

  function flags(): readonly string[] {
    return [`--route-spec=${file}`, `--store=sqlite:${store}`, "--recheck=2s", "--hold-down=1s"];
  }

  function write(list: List | string): void {
    const text = typeof list === "string" ? list : `# gateways\n${JSON.stringify(list)}`;
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  async function create(destination: string, { interfaceId }: LabInstance): Promise<void> {
    await lab.hand.send(
      new CreateRouteCommand({
        RouteTableId: lab.tables[0],
        DestinationCidrBlock: destination,
        NetworkInterfaceId: interfaceId,
      }),
    );
  }

  /** What a table serves, as "cidr interface", sorted; to be compared with `lines`, as soon as it is so. */
  function served(table: string | undefined) {
    return expect.poll(async () => [...(await lab.routes(table))].map((each) => each.join(" ")).toSorted(), {
      timeout: 20_000,
      interval: 50,
    });
  }

  function lines(routes: Readonly<Record<string, LabInstance>>): readonly string[] {
    return Object.entries(routes)
      .map(([cidr, { interfaceId }]) => `${cidr} ${interfaceId}`)
      .toSorted();
  }

  async function alarms(): Promise<string[]> {
    return (await router.client.status()).alarms.map(({ kind, subject }) => `${kind} ${subject}`);
  }

  async function spec(): Promise<RouteSpecStatus> {
    const page = await exchange(router.endpoint, { method: "GET", path: "/", deadlineMs: 5000 }, never);
    return (page as { readonly routeSpec: RouteSpecStatus }).routeSpec;
  }

  async function allUp(): Promise<void> {
    await until("every listed address answers", async () =>
      (await router.client.health()).nodes.every(({ health }) => health === "up"),
    );
  }

  it("adopts a route to a listed address, reports a conflict, and writes the rest into every table with a listed address", async () => {
    const { a2, b1, b2, m1 } = machines;
    const all = await lab.routes(main).then((routes) => (routes.get(ALL) === m1.interfaceId ? m1 : a2));
    const others = { "192.168.0.0/16": b2 };
    await served(lab.tables[0]).toEqual(lines({ ...others, [A]: b1, [B]: b2, [ALL]: all }));
    await served(lab.tables[1]).toEqual(lines({ [A]: b1, [B]: a2, [ALL]: all }));
    await served(main).toEqual(lines({ [A]: b1, [B]: a2, [ALL]: all }));

    expect(await alarms()).toEqual([`foreign-route ${lab.tables[0]} ${B}`]);
    expect(router.log().filter(({ msg }) => msg === "an alarm")).toHaveLength(1);
  });

  it("lives, counts what it does, and describes its API", async () => {
    const ask = (path: string) => exchange(router.endpoint, { method: "GET", path, deadlineMs: 5000 }, never);

    expect(await ask("/healthz")).toEqual({ status: "ok" });
    expect(await ask("/readyz")).toMatchObject({ ready: true });
    expect(await ask("/openapi.json")).toMatchObject({
      paths: { "/route_spec": { post: { requestBody: { content: expect.anything() } } } },
    });
    const text = await metricsOf(router);
    expect(text).toMatch(/^romana_passes_total\{outcome="ok"\} [1-9]/m);
    expect(text).toMatch(/^romana_route_writes_total\{action="CreateRoute",outcome="done"\} [1-9]/m);
    expect(text).toMatch(/^romana_routes\{state="active"\} [1-9]/m);
  });

  it("turns the Source/Dest check off on the interfaces of the listed addresses, and on no other", async () => {
    await until("four checks are off", async () => (await lab.checksOn()).length === 1);

    expect(await lab.checksOn()).toEqual([machines.b2.interfaceId]);
  });

  it("moves the routes of an address that falls silent to another listed one, in all tables, and nothing else", async () => {
    const { a1, b1 } = machines;
    await allUp();
    const before = await lab.routes(main);
    lab.silence(b1.address);
    for (const table of [...lab.tables, main]) {
      await until("it moved", async () => (await lab.routes(table)).get(A) === a1.interfaceId);
    }

    const now = await lab.routes(main);
    expect([...now].filter(([cidr]) => cidr !== A)).toEqual([...before].filter(([cidr]) => cidr !== A));
    lab.heal();
    await allUp();
    await router.client.reconcile();
    expect((await lab.routes(main)).get(A)).toBe(a1.interfaceId);
  });

  it("probes a secondary address by itself, and keeps its routes where nobody else is listed", async () => {
    const { a2, m1 } = machines;
    lab.silence(SECONDARY);
    await until("the shared route moved", async () => (await lab.routes(main)).get(ALL) === m1.interfaceId);
    await until("it is reported", async () => (await alarms()).includes(`no-stand-in ${B}`));

    expect((await lab.routes(main)).get(B)).toBe(a2.interfaceId);
    lab.heal();
    await allUp();
    await until("it is over", async () => !(await alarms()).includes(`no-stand-in ${B}`));
  });

  it("keeps everything when all listed addresses fall silent", async () => {
    await allUp();
    const before = await lab.allRoutes();
    lab.silence(...lab.instances.map(({ address }) => address), SECONDARY);
    await until("it is blind", async () => (await router.client.health()).blind);
    await router.client.reconcile();

    expect(await lab.allRoutes()).toEqual(before);
    lab.heal();
    await allUp();
    expect(await lab.allRoutes()).toEqual(before);
  });

  it("refuses a bad file whole, says why, and keeps the list before", async () => {
    const before = await lab.allRoutes();
    write(`{"${A}": [], "10.1.2.3/16": ["x"]}`);
    await until("the problem is shown", async () => (await spec()).problem !== null);
    await router.client.reconcile();

    expect((await spec()).problem?.message).toMatch(/3 problems:[^]*empty list[^]*10\.1\.2\.3\/16[^]*"x"/);
    expect(await lab.allRoutes()).toEqual(before);
  });

  it("follows the file, and after kill -9 has its record: what is listed no more goes, what nobody listed stays", async () => {
    const { a1, a2, b2, m1 } = machines;
    await router.kill();
    write({ [A]: [a1.address], [ALL]: [m1.address] });
    router = await lab.router(...flags());
    await served(lab.tables[0]).toEqual(lines({ [A]: a1, [ALL]: m1, [B]: b2, "192.168.0.0/16": b2 }));
    await served(main).toEqual(lines({ [A]: a1, [ALL]: m1 }));

    write({ [A]: [SECONDARY], [ALL]: [m1.address] });
    await until(
      "the new list is in force",
      async () => JSON.stringify((await spec()).routes).includes(SECONDARY),
      1500,
    );
    await served(main).toEqual(lines({ [A]: a2, [ALL]: m1 }));
    expect(await alarms()).toEqual([]);
  });

  it("starts with the last good list when the file is bad, and ends with 2 when there is none", async () => {
    await router.kill();
    write("{");
    router = await lab.router(...flags());
    expect(Object.keys((await spec()).routes)).toEqual([A, ALL]);
    expect((await spec()).problem?.message).toMatch(/no JSON/);
    const other = lab.launchRouter(`--route-spec=${file}`, "--store=memory");

    expect(await other.ended()).toBe(2);
    write({ [A]: [machines.a1.address], [ALL]: [machines.m1.address] });
    await until("the good file is in force", async () => (await spec()).problem === null);
    await served(main).toEqual(lines({ [A]: machines.a1, [ALL]: machines.m1 }));
  });

  it("takes over what is in its way with --take-over, in one call", async () => {
    await router.stop();
    const before = lab.proxy.counts()["DeleteRoute"] ?? 0;
    write({ [A]: [machines.a1.address], [B]: [machines.a1.address], [ALL]: [machines.m1.address] });
    router = await lab.router(...flags(), "--take-over");
    const { a1, b2, m1 } = machines;
    await served(lab.tables[0]).toEqual(lines({ [A]: a1, [B]: a1, [ALL]: m1, "192.168.0.0/16": b2 }));

    expect(lab.proxy.counts()["DeleteRoute"] ?? 0).toBe(before);
    expect(await alarms()).toEqual([]);
  });

  it("ends on SIGTERM with 0, leaves the routes, adopts them after a lost store, and writes nothing under --dry-run", async () => {
    expect(await router.stop()).toBe(0);
    const before = { routes: await lab.allRoutes(), calls: lab.proxy.counts() };
    store = join(lab.folder, "other.db");
    router = await lab.router(...flags(), "--dry-run");
    const plan = await router.client.plan();
    await router.stop();
    router = await lab.router(...flags());
    await router.client.reconcile();

    expect(plan.operations).toEqual([]);
    expect(await lab.allRoutes()).toEqual(before.routes);
    for (const action of ["CreateRoute", "ReplaceRoute", "DeleteRoute"]) {
      expect(lab.proxy.counts()[action]).toBe(before.calls[action]);
    }
    expect((await router.client.routes()).tables.map(({ owned }) => owned)).toEqual([3, 3]);
  });

  it("takes a posted list, and with --health multi an address must answer ICMP and TCP", async () => {
    await router.stop();
    for (const destination of [A, B, ALL]) {
      await lab.hand.send(
        new DeleteRouteCommand({ RouteTableId: lab.tables[0], DestinationCidrBlock: destination }),
      );
    }
    lab.namespace.nft(`add set ip probe deaf { type ipv4_addr; }
      add rule ip probe arriving tcp flags & (syn | ack) == syn ip daddr @deaf drop`);
    const { a1, a2, b2 } = machines;
    router = lab.launchRouter(
      "--store=memory",
      "--recheck=2s",
      "--health=multi",
      "--tcp-port=9",
      `--route-tables=${lab.tables[0]}`,
    );
    await until("it serves", async () =>
      exchange(router.endpoint, { method: "GET", path: "/healthz", deadlineMs: 1000 }, never).then(
        () => true,
        () => false,
      ),
    );
    const post = (body: List) =>
      exchange(router.endpoint, { method: "POST", path: "/route_spec", body, deadlineMs: 5000 }, never);
    await expect(post({})).rejects.toMatchObject({ kind: "invalid" });
    await post({ [A]: [a1.address, a2.address] });
    await router.ready();
    await allUp();
    const holder = (await lab.routes()).get(A) === a1.interfaceId ? a1 : a2;
    const other = holder === a1 ? a2 : a1;
    lab.namespace.nft(`add element ip probe deaf { ${holder.address} }`);

    await served(lab.tables[0]).toEqual(lines({ [A]: other, "192.168.0.0/16": b2 }));
  });
});
