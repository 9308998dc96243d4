import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as send, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import { Relay } from "../../support/relay.ts";
import { populate, ReplicaLab, type Replica } from "../../support/replica-lab.ts";

const HOSTS = 8;
/** Addresses of the state that is imported. */
const COUNT = 20_000;

interface StateDocument {
  readonly hosts: readonly { readonly name: string; readonly groups: readonly { readonly cidr: string }[] }[];
  blocks: readonly object[];
  addresses: readonly { readonly name: string }[];
}

describe.skipIf(requireEtcd())("two replicas on one etcd", { timeout: 60_000 }, () => {
  let etcd: EtcdServer;
  let lab: ReplicaLab;
  let folder: string;
  let socket: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "romana-state-"));
    socket = join(folder, "api.sock");
    etcd = await EtcdServer.start({ flags: ["--unsafe-no-fsync"] });
    const flags = ["--store=etcd", `--etcd-endpoints=${etcd.endpoints.join(",")}`];
    lab = await ReplicaLab.start([{ flags }, { flags: [...flags, `--listen=unix:${socket}`] }]);
    await populate(lab.at(0), 4, HOSTS);
  }, 120_000);
  afterAll(async () => {
    await lab?.stop();
    await etcd?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function romana(url: string, ...args: readonly string[]) {
    const child = spawn(process.execPath, ["src/main/cli.ts", ...args], {
      env: { HOME: "/nonexistent", PATH: process.env["PATH"], ROMANA_URL: url },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = { lines: [] as string[], notes: "" };
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      said.lines.push(...lines);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said.notes += text;
    });
    const ended = new Promise<number | null>((resolve) => {
      child.once("close", resolve);
    });
    return { child, said, ended };
  }

  function urlOf({ port }: { readonly port: number }): string {
    return `http://127.0.0.1:${port}`;
  }

  /** Opens a stream of a replica; `text` is what came so far. */
  async function streamOf(replica: Replica, path: string, headers: Readonly<Record<string, string>> = {}) {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      send({ host: "127.0.0.1", port: replica.port, path, headers }, resolve).on("error", reject).end();
    });
    const stream = { status: response.statusCode, text: "", end: () => response.destroy() };
    response.setEncoding("utf8").on("data", (text: string) => {
      stream.text += text;
    });
    response.on("error", () => undefined);
    return stream;
  }

  function lastId(text: string): string {
    return /.*^id: (\d+)$/ms.exec(text)?.[1] ?? "";
  }

  function namesIn(text: string, event: "put" | "delete"): readonly string[] {
    return [...text.matchAll(/^event: (\w+)\ndata: .*?"name":"([^"]+)"/gm)].flatMap(([, kind, name = ""]) =>
      kind === event ? [name] : [],
    );
  }

  it("take a state of 20,000 addresses whole or not at all, and give the same out", async () => {
    const [one, two] = [lab.at(0), lab.at(1)];
    const file = join(folder, "state.json");
    const document = withAddresses((await one.call("GET", "/export")).body as StateDocument);
    const body = JSON.stringify(document);
    await writeFile(file, body);
    const addresses = async (): Promise<number> =>
      ((await two.call("GET", "/addresses")).body as readonly unknown[]).length;
    const leader = await one.call("GET", "/leader");

    const half = send({
      host: "127.0.0.1",
      port: two.port,
      method: "POST",
      path: "/import",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    });
    const cut = new Promise((resolve) => {
      half.once("error", resolve);
    });
    half.write(body.slice(0, body.length / 2), () => half.destroy());
    await cut;
    const nothing = await two.call("POST", "/import");
    const trial = romana(urlOf(two), "import", file, "--dry-run");
    expect(await trial.ended).toBe(0);
    expect([nothing.status, await addresses()]).toEqual([400, 0]);

    const taken = romana(urlOf(two), "import", file, "--yes");
    expect([await taken.ended, taken.said.lines.at(-1)]).toEqual([0, `Imported from ${file}.`]);
    expect(await addresses()).toBe(COUNT);
    const given = romana(urlOf(one), "export", join(folder, "out.json"));
    await until(
      "the other replica has it",
      async () => ((await one.call("GET", "/addresses")).body as readonly unknown[]).length === COUNT,
    );
    expect(await given.ended).toBe(0);
    const again = await one.call("GET", "/export");
    const out = again.body as StateDocument;
    for (const part of ["addresses", "blocks", "hosts"] as const) {
      expect(keyed(out[part])).toEqual(keyed(document[part]));
    }
    expect((await two.call("POST", "/import", document)).status).toBe(409);
    expect((await one.call("GET", "/leader")).body).toEqual(leader.body);
  });

  it("keep a tenant for every address that either has given out before, and say of one given in the same moment what came of it", async () => {
    const [one, two] = [lab.at(0), lab.at(1)];
    const give = (name: string) =>
      two.call("POST", "/address", { name, host: "host-1", tenant: "moving", segment: "s" });
    const takeBack = () => one.call("DELETE", "/tenants/moving");
    for (let round = 0; round < 15; round += 1) {
      await one.call("POST", "/tenants", { name: "moving" });
      expect((await give("first")).status).toBe(200);
      expect((await takeBack()).status).toBe(409);
      await two.call("DELETE", "/address?addressName=first");

      const [given, taken] = await Promise.all([give("second"), takeBack()]);

      expect([given.status, taken.status === 200 || taken.status === 409]).toEqual([200, true]);
      await until("both are shown", async () => {
        const { body } = await one.call("GET", "/tenants/moving");
        const { declared, addresses } = body as { readonly declared: boolean; readonly addresses: number };
        return addresses === 1 && declared === (taken.status === 409);
      });
      await two.call("DELETE", "/address?addressName=second");
    }
    await takeBack();
  });

  it("answer HEAD like GET, and refuse HEAD and OPTIONS of a stream at once", async () => {
    const two = lab.at(1);
    const { body } = await two.call("GET", "/openapi.json");
    const { paths } = body as { paths: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
    const plain = Object.keys(paths).filter(
      (path) => paths[path]?.["get"] !== undefined && !path.includes("{"),
    );
    const heads = await Promise.all(
      plain.map(async (path) => {
        const { status } = await two.call(
          "HEAD",
          path === "/explain/route" ? `${path}?cidr=10.0.0.0/8` : path,
        );
        return `${path} ${status}`;
      }),
    );
    const options = await Promise.all(plain.map(async (path) => (await two.call("OPTIONS", path)).status));

    // No cluster is followed here, so nobody can say which addresses leaked.
    const statusOf = (path: string): number =>
      path.startsWith("/watch/") ? 404 : path === "/ipam/check" ? 409 : 200;
    expect(heads).toEqual(plain.map((path) => `${path} ${statusOf(path)}`));
    expect(plain.length).toBeGreaterThan(20);
    expect(new Set(options)).toEqual(new Set([404]));
  });

  it("cut a reader off that takes nothing of the addresses, tell the others, and those of one host of that host alone", async () => {
    const [one, two] = [lab.at(0), lab.at(1)];
    const stuck = connect(socket).pause();
    stuck.write("GET /watch/addresses HTTP/1.1\r\nhost: romana\r\n\r\n");
    const all = await streamOf(two, "/watch/addresses");
    const ofHost = await streamOf(two, "/watch/addresses?host=host-1");
    const names = Array.from({ length: 1600 }, (_, index) => `${"n".repeat(900)}-${index}`);
    const waiting = [...names.entries()];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
          const [index, name] = next;
          await one.call("POST", "/address", {
            name,
            host: `host-${index % HOSTS}`,
            tenant: "t",
            segment: "",
          });
        }
      }),
    );
    await until("all is told", () => namesIn(all.text, "put").length === names.length);
    await until("the host's is told", () => namesIn(ofHost.text, "put").length === names.length / HOSTS);
    // What the system holds for it comes first, then the end.
    const closed = new Promise((resolve) => {
      stuck.once("close", resolve);
    });
    stuck.on("error", () => undefined).resume();
    await closed;

    expect(two.output).toContain("a reader of a watch stream is too far behind and was cut off");
    expect(namesIn(ofHost.text, "put").toSorted()).toEqual(
      names.filter((_, index) => index % HOSTS === 1).toSorted(),
    );
    all.end();
    ofHost.end();
  });

  it("go on with a reader's last id at the other replica while its own is down, and list again at one that was started anew", async () => {
    const [one, two] = [lab.at(0), lab.at(1)];
    const give = (name: string) =>
      one.call("POST", "/address", { name, host: "host-2", tenant: "t", segment: "" });
    const list = romana(urlOf(two), "address", "list", "--host", "host-2", "--watch", "-o", "name");
    const begun = await streamOf(two, "/watch/addresses");
    await give("before");
    await until("it is told", () => namesIn(begun.text, "put").includes("before"));
    await until("the list too", () => list.said.lines.includes("address/before"));
    const id = lastId(begun.text);
    const listed = list.said.lines.length;

    await two.kill("SIGKILL");
    await give("meanwhile");
    await one.call("DELETE", "/address?addressName=before");
    const on = await streamOf(one, "/watch/addresses?revision=0", { "last-event-id": id });
    await until("it caught up", () => on.text.includes("event: bookmark"));
    await two.start();
    const anew = await streamOf(two, "/watch/addresses", { "last-event-id": id });
    await until("the list has gone on", () => list.said.lines.length >= listed + 2);
    list.child.kill("SIGINT");

    expect([namesIn(on.text, "put"), namesIn(on.text, "delete")]).toEqual([["meanwhile"], ["before"]]);
    expect(anew.status).toBe(410);
    expect(list.said.notes).toContain("listing all again");
    expect(list.said.lines.slice(listed).toSorted()).toEqual(["address/before", "address/meanwhile"]);
    expect(await list.ended).toBe(130);
    on.end();
  });

  it("list again by themselves for who was away longer than changes are kept", async () => {
    const one = lab.at(0);
    await lab.at(1).kill("SIGTERM");
    const relay = await Relay.start(one.port);
    const store = openEtcdStore(etcd.endpoints);
    const signal = AbortSignal.timeout(50_000);
    const policy = (id: string, description: string): object => ({
      id,
      description,
      direction: "ingress",
      applied_to: [{ tenant_id: "t" }],
      ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp" }] }],
    });
    const put = (round: number) => {
      const operations = Array.from({ length: 120 }, (_, index) => ({
        kind: "put" as const,
        key: `/romana/policies/p${index}`,
        value: JSON.stringify(policy(`p${index}`, String(round))),
      }));
      return store.commit({ compare: [], operations }, signal);
    };
    await one.call("POST", "/policies", policy("gone", ""));
    const list = romana(urlOf(relay), "policy", "list", "--watch", "-o", "json");
    const reader = await streamOf(one, "/watch/policy-documents");
    await until("it is listed", () => list.said.lines.length === 1);
    await until("there is an id", () => lastId(reader.text) !== "");
    const id = lastId(reader.text);
    reader.end();

    await relay.refuse();
    relay.cut();
    await one.call("DELETE", "/policies/gone");
    // 100,000 changes are kept.
    let round = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (round < 840) {
          await put((round += 1));
        }
      }),
    );
    await put(841);
    await until("the replica has seen all of it", async () =>
      JSON.stringify((await one.call("GET", "/policies/p119")).body).includes('"841"'),
    );
    await relay.accept();

    await until("it has listed again", () => list.said.lines.length >= 122, 20_000);
    expect((await streamOf(one, "/watch/policy-documents", { "last-event-id": id })).status).toBe(410);
    expect(list.said.notes).toContain("listing all again");
    const told = list.said.lines
      .slice(1)
      .map((line) => JSON.parse(line) as { event: string; object: { id: string } });
    expect(told.filter(({ event }) => event === "delete").map(({ object }) => object.id)).toEqual(["gone"]);
    expect(told.filter(({ event }) => event === "put").map(({ object }) => object)).toEqual(
      (await one.call("GET", "/policies")).body,
    );
    list.child.kill("SIGINT");
    await list.ended;
    await store.close();
    await relay.stop();
  });
});

/** The document with `COUNT` addresses in it, eight a block, the blocks spread over the hosts. */
function withAddresses(document: StateDocument): StateDocument {
  const used = new Map<string, number>();
  const blocks: object[] = [];
  const addresses: { readonly name: string }[] = [];
  for (let index = 0; index < COUNT / 8; index += 1) {
    const host = document.hosts[index % document.hosts.length];
    const group = host?.groups[0]?.cidr ?? "";
    const turn = used.get(group) ?? 0;
    used.set(group, turn + 1);
    const owner = { host: host?.name ?? "", tenant: `tenant-${index % 5}`, segment: "s" };
    const [a = 0, b = 0] = group.split(".").map(Number);
    const at = (offset: number): string => {
      const value = turn * 8 + offset;
      return `${a}.${b}.${value >> 8}.${value & 255}`;
    };
    blocks.push({ network: "pods", cidr: `${at(0)}/29`, owner, revision: 8, sequence: index + 1 });
    for (let offset = 0; offset < 8; offset += 1) {
      addresses.push(Object.assign({ name: `pod-${index}-${offset}`, address: at(offset) }, owner));
    }
  }
  return { ...document, blocks, addresses };
}

function keyed(records: readonly object[]): ReadonlyMap<string, object> {
  return new Map(
    records.map((record) => {
      const { name, cidr } = record as { readonly name?: string; readonly cidr?: string };
      return [name ?? cidr ?? "", record];
    }),
  );
}
