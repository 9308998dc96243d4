import { request as send, type IncomingMessage } from "node:http";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { EventStreamParser } from "../../../src/client/event-stream.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import { populate, ReplicaLab, type Replica } from "../../support/replica-lab.ts";

const HOSTS = 8;
const KINDS = ["hosts", "blocks", "addresses", "policies", "policy-documents"] as const;
type Kind = (typeof KINDS)[number];

/** The field that names an object of the kind. */
const NAMED_BY = {
  hosts: "name",
  blocks: "cidr",
  addresses: "name",
  policies: "id",
  "policy-documents": "id",
} as const;

/** Where a list of the kind is, when it is not called like it. */
const LISTED_AT: Partial<Record<Kind, string>> = {
  policies: "/policy-models",
  "policy-documents": "/policies",
};

/** A generator of numbers from 0 to below 1 that a seed repeats (Park and Miller). */
function numbersFrom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

/** Follows one kind over all replicas: each stream is cut after a random while, and the next replica is asked for what comes after the last id. */
class WanderingReader {
  readonly objects = new Map<string, unknown>();
  readonly ids: number[] = [];
  cuts = 0;
  lists = 0;
  problem: unknown;
  readonly #kind: Kind;
  readonly #lab: ReplicaLab;
  readonly #random: () => number;
  #lastId = "0";
  #isListing = true;
  #listed = new Set<string>();
  #isStopping = false;
  #current: (() => void) | undefined;

  constructor(kind: Kind, lab: ReplicaLab, random: () => number) {
    this.#kind = kind;
    this.#lab = lab;
    this.#random = random;
  }

  get lastId(): number {
    return Number(this.#lastId);
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      const replica = this.#lab.at(Math.floor(this.#random() * this.#lab.replicas.length));
      await this.#follow(replica, 20 + this.#random() * 300).catch((error: unknown) => {
        this.problem ??= error;
        this.#isStopping = true;
      });
    }
  }

  stop(): void {
    this.#isStopping = true;
    this.#current?.();
  }

  async #follow(replica: Replica, cutAfterMs: number): Promise<void> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = send(
        {
          host: "127.0.0.1",
          port: replica.port,
          path: `/watch/${this.#kind}?revision=0`,
          headers: this.#lastId === "0" ? {} : { "last-event-id": this.#lastId },
        },
        resolve,
      );
      asked.on("error", reject).end();
    });
    if (response.statusCode !== 200) {
      response.resume();
      if (response.statusCode === 410) {
        this.#lastId = "0";
      } else if (response.statusCode !== 503) {
        throw new Error(`${this.#kind}: ${response.statusCode}`);
      }
      return;
    }
    if (this.#lastId === "0") {
      this.lists += 1;
      this.#isListing = true;
      this.#listed = new Set();
    }
    this.#current = () => response.destroy();
    const timer = setTimeout(() => response.destroy(), cutAfterMs);
    const parser = new EventStreamParser();
    try {
      for await (const piece of response.setEncoding("utf8")) {
        parser.push(piece as string).forEach((event) => this.#take(event));
      }
    } catch (error) {
      if (!response.destroyed) {
        throw error;
      }
    } finally {
      clearTimeout(timer);
      this.cuts += 1;
    }
    // A list that was cut short has to begin again.
    if (this.#isListing) {
      this.#lastId = "0";
    }
  }

  #take({ event, data, id }: { event: string; data: string; id?: string }): void {
    const value = JSON.parse(data) as Record<string, unknown>;
    const name = String(value[NAMED_BY[this.#kind]]);
    if (event === "put") {
      this.objects.set(name, value);
      this.#listed.add(name);
    } else if (event === "delete") {
      this.objects.delete(name);
    }
    if (event === "bookmark" && this.#isListing) {
      this.#isListing = false;
      for (const known of this.objects.keys()) {
        if (!this.#listed.has(known)) {
          this.objects.delete(known);
        }
      }
    }
    if (id !== undefined && !this.#isListing) {
      this.#lastId = id;
      this.ids.push(Number(id));
    }
  }
}

/** What a replica shows of a kind, in the shape of its stream. */
async function listed(replica: Replica, kind: Kind): Promise<Map<string, unknown>> {
  const { body } = await replica.call("GET", LISTED_AT[kind] ?? `/${kind}`);
  const list = Array.isArray(body) ? body : (body as Record<string, unknown>)[kind];
  const items = await Promise.all(
    (list as Record<string, unknown>[]).map(async (item) =>
      kind === "hosts" ? (await replica.call("GET", `/hosts/${String(item["name"])}`)).body : item,
    ),
  );
  return new Map(items.map((item) => [String((item as Record<string, unknown>)[NAMED_BY[kind]]), item]));
}

describe.skipIf(requireEtcd())("streams of three replicas on one etcd", () => {
  let etcd: EtcdServer | undefined;
  let lab: ReplicaLab;
  beforeAll(async () => {
    etcd = await EtcdServer.start();
    const flags = ["--store=etcd", `--etcd-endpoints=${etcd.endpoints.join(",")}`];
    lab = await ReplicaLab.start(Array.from({ length: 3 }, () => ({ flags })));
    await populate(lab.at(0), 4, HOSTS);
  }, 120_000);
  afterAll(async () => {
    await lab.stop();
    await etcd?.stop();
  });

  it("are one: readers that are cut at random and go on elsewhere hold what a list shows", async () => {
    const random = numbersFrom(20_260_101);
    const readers = KINDS.flatMap((kind) => [0, 1].map(() => new WanderingReader(kind, lab, random)));
    const running = readers.map((reader) => reader.run());
    const held: string[] = [];
    const step = async (index: number): Promise<void> => {
      const replica = lab.at(Math.floor(random() * 3));
      const dice = random();
      if (dice < 0.55) {
        held.push(`pod-${index}`);
        await replica.call("POST", "/address", {
          name: `pod-${index}`,
          host: `host-${Math.floor(random() * HOSTS)}`,
          tenant: "t",
          segment: random() < 0.5 ? "a" : "b",
        });
      } else if (dice < 0.8) {
        const [name] = held.splice(Math.floor(random() * held.length), 1);
        await replica.call("DELETE", `/address?addressName=${name ?? "none"}`);
      } else if (dice < 0.93) {
        const id = `policy-${Math.floor(random() * 5)}`;
        await (random() < 0.6
          ? replica.call("POST", "/policies", {
              id,
              direction: "ingress",
              description: String(index),
              applied_to: [{ tenant_id: "t" }],
              ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp", ports: [80] }] }],
            })
          : replica.call("DELETE", `/policies/${id}`));
      } else if (dice < 0.99) {
        await replica.call("PUT", `/hosts/host-${Math.floor(random() * HOSTS)}/labels`, {
          group: String(Math.floor(random() * 4)),
          turn: String(index),
        });
      } else {
        // The whole topology is read anew: streams end.
        const { body } = await replica.call("GET", "/topology");
        await replica.call("POST", "/topology", body);
      }
    };
    await Promise.all(
      Array.from({ length: 6 }, async (_, client) => {
        for (let index = 0; index < 150; index += 1) {
          await step(client * 1000 + index);
        }
      }),
    );
    const marker = await lab.at(0).call("POST", "/policies", {
      id: "last",
      direction: "ingress",
      applied_to: [{ tenant_id: "t" }],
      ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp", ports: [80] }] }],
    });
    expect(marker.status).toBe(200);
    const wanted = await Promise.all(
      KINDS.map(async (kind) => [kind, await listed(lab.at(0), kind)] as const),
    );

    try {
      await until(
        "every reader holds the lists",
        () =>
          readers.some(({ problem }) => problem !== undefined) ||
          readers.every((reader, index) => same(reader.objects, wanted[Math.floor(index / 2)]?.[1])),
        20_000,
      ).catch(() => undefined);
    } finally {
      readers.forEach((reader) => reader.stop());
      await Promise.all(running);
    }

    expect(readers.map(({ problem }) => problem)).toEqual(readers.map(() => undefined));
    for (const [index, reader] of readers.entries()) {
      expect(Object.fromEntries(reader.objects)).toEqual(
        Object.fromEntries(wanted[Math.floor(index / 2)]?.[1] ?? []),
      );
      expect(reader.cuts).toBeGreaterThan(5);
    }
    const lists = await Promise.all([1, 2].map((index) => listed(lab.at(index), "addresses")));
    lists.forEach((list) => expect(same(list, wanted[2]?.[1])).toBe(true));
  }, 120_000);

  it("refuse a revision that nobody has after a while, and end when their replica is told to stop", async () => {
    const third = lab.at(2);
    const ahead = await third.call("GET", "/watch/hosts?revision=9999999999");
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      send({ host: "127.0.0.1", port: third.port, path: "/watch/hosts?revision=0" }, resolve)
        .on("error", reject)
        .end();
    });
    let text = "";
    response.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    const closed = new Promise<void>((resolve) => {
      response.once("error", () => undefined).once("close", () => resolve());
    });
    await until("all was listed", () => text.includes("event: bookmark"));

    const started = performance.now();
    await third.kill("SIGTERM");

    expect(ahead.status).toBe(503);
    expect(ahead.body).toMatchObject({ type: "urn:romana:error:transient:WATCH_AHEAD" });
    await closed;
    expect(performance.now() - started).toBeLessThan(8000);
  }, 60_000);
});

function same(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown> | undefined): boolean {
  return (
    b !== undefined &&
    a.size === b.size &&
    [...a].every(([key, value]) => JSON.stringify(value) === JSON.stringify(b.get(key)))
  );
}
