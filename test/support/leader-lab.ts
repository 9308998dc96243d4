import { writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";

import type { EtcdStore } from "../../src/adapters/etcd/etcd-store.ts";
import { awsTopology } from "../../src/core/topology/aws-topology.ts";
import type { ProxyCall } from "./ec2-proxy.ts";
import { openEtcdStore } from "./etcd-store.ts";
import { EtcdServer } from "./etcd.ts";
import { LAB_REGION, MotoLab, until, type LabController, type LabInstance } from "./moto-lab.ts";
import { Relay } from "./relay.ts";

/** A controller of several on one etcd. What it asks of EC2 is signed with its name. */
export interface LabReplica {
  readonly name: string;
  readonly controller: LabController;
  /** Its wire to etcd. */
  readonly relay: Relay;
}

/** A term as etcd's history tells it. Times are milliseconds of `performance.now()` at which we heard of it, so up to some milliseconds late. */
export interface LabTerm {
  readonly id: string;
  readonly epoch: number;
  readonly startedMs: number;
  endedMs: number;
}

export interface LeaderLabOptions {
  readonly zones: number;
  readonly instancesPerZone: number;
  readonly groupsPerZone: number;
  /** Each replica is reached over TCP inside the namespace too, and says so to the others' callers. */
  readonly reachable?: true;
}

const ROUTE_WRITES = new Set(["CreateRoute", "ReplaceRoute", "DeleteRoute"]);

/**
 * Several controllers on one VPC and one etcd:
 *
 *     namespace                        │ this process
 *     replica-1 ─┬─ EC2 calls ─────────┼──► proxy (who asked what, when) ──► moto
 *     replica-2 ─┤                     │
 *     replica-3 ─┴─ a relay for each ──┼──► etcd ──► our own watch of the leader's key: the terms
 */
export class LeaderLab {
  readonly moto: MotoLab;
  readonly etcd: EtcdServer;
  readonly store: EtcdStore;
  readonly terms: LabTerm[] = [];
  readonly replicas: LabReplica[] = [];
  readonly prefixes: number;
  readonly #flags: readonly string[];
  readonly #reachable: boolean;
  readonly #stopping = new AbortController();
  #watching: Promise<void> = Promise.resolve();
  #count = 0;

  private constructor(
    moto: MotoLab,
    etcd: EtcdServer,
    { zones, groupsPerZone, reachable }: LeaderLabOptions,
    flags: readonly string[],
  ) {
    this.moto = moto;
    this.etcd = etcd;
    this.prefixes = zones * groupsPerZone;
    this.#reachable = reachable === true;
    this.#flags = flags;
    this.store = openEtcdStore(etcd.endpoints);
  }

  static async start(options: LeaderLabOptions, ...flags: readonly string[]): Promise<LeaderLab> {
    const { zones, instancesPerZone, groupsPerZone } = options;
    const etcd = await EtcdServer.start();
    const moto = await MotoLab.start({ zones, instancesPerZone, traits: NO_TRAITS }).catch(
      async (error: unknown) => {
        await etcd.stop();
        throw error;
      },
    );
    const topology = join(moto.folder, "topology.json");
    const names = ["a", "b", "c", "d", "e", "f"].slice(0, zones);
    writeFileSync(topology, JSON.stringify(awsTopology({ region: LAB_REGION, zones: names, groupsPerZone })));
    const lab = new LeaderLab(moto, etcd, options, [`--topology=${topology}`, ...flags]);
    await lab.#watch();
    return lab;
  }

  /** Starts one more replica; does not wait for it. */
  async launch(): Promise<LabReplica> {
    this.#count += 1;
    const name = `replica-${this.#count}`;
    const relay = await Relay.start(this.etcd.clientPort, this.moto.address);
    const controller = this.moto.launchAs(
      name,
      "--store=etcd",
      `--etcd-endpoints=http://${relay.host}:${relay.port}`,
      `--replica-id=${name}`,
      `--advertise-url=${this.urlOf(name)}`,
      ...(this.#reachable ? [`--listen=${this.urlOf(name).replace("http://", "")}`] : []),
      "--host-tag=role=node",
      "--cluster=lab",
      ...this.#flags,
    );
    const replica = { name, controller, relay };
    this.replicas.push(replica);
    return replica;
  }

  /** Where a replica's API is reached inside the namespace, if the lab was made so. */
  urlOf(name: string): string {
    return this.#reachable
      ? `http://127.0.0.1:96${name.slice("replica-".length).padStart(2, "0")}`
      : urlOf(name);
  }

  /** Takes a replica out that has ended. */
  async remove(replica: LabReplica): Promise<void> {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
    await replica.controller.kill();
    await replica.relay.stop();
  }

  /** Waits until `count` replicas answer and one of them leads; answers that one. */
  async led(count = this.replicas.length): Promise<LabReplica> {
    try {
      await until("all replicas answer and one leads", () => this.#isLed(count), STARTED_MS, 50);
    } catch (error) {
      const said = this.replicas.map(({ name, controller }) => ({
        name,
        errors: controller.errors(),
        log: controller.log().slice(-5),
      }));
      throw new Error(JSON.stringify({ terms: this.terms, said }), { cause: error });
    }
    return this.leader() as LabReplica;
  }

  async #isLed(count: number): Promise<boolean> {
    const answers = await Promise.all(
      this.replicas.map(({ controller }) => controller.client.status().catch(() => undefined)),
    );
    return answers.filter((answer) => answer !== undefined).length >= count && this.leader() !== undefined;
  }

  /** Who leads by etcd's word. */
  leader(): LabReplica | undefined {
    const term = this.terms.at(-1);
    return term === undefined || term.endedMs !== Infinity
      ? undefined
      : this.replicas.find(({ name }) => name === term.id);
  }

  /** Waits until another replica than this one leads. */
  async successorOf({ name }: LabReplica, withinMs = 20_000): Promise<LabReplica> {
    await until(`another than ${name} leads`, () => (this.leader()?.name ?? name) !== name, withinMs, 5);
    return this.leader() as LabReplica;
  }

  /** Waits until the leader says that every route stands and every node is up, and what is recorded as ours is what stands. */
  async settled(withinMs = 30_000): Promise<void> {
    await until(
      "every route stands, every node is up",
      async () => {
        try {
          const client = this.leader()?.controller.client;
          if (client === undefined) {
            return false;
          }
          const { routes } = await client.status();
          const { nodes } = await client.health();
          return (
            routes.active === this.prefixes * this.moto.tables.length &&
            routes.desired === routes.active &&
            nodes.length === this.moto.instances.length &&
            nodes.every(({ health }) => health === "up")
          );
        } catch {
          // It leads no longer, or begins to: asked again.
          return false;
        }
      },
      withinMs,
      50,
    );
  }

  /** A node that serves a route by the leader's word, and how many prefixes it serves. */
  async gateway(
    choose: (count: number) => number = () => 0,
  ): Promise<{ readonly node: LabInstance; readonly destinations: readonly string[] }> {
    const { nodes = [] } = (await this.leader()?.controller.client.health()) ?? {};
    const holders = nodes.filter(({ gatewayOf }) => gatewayOf.length > 0);
    const found = holders[choose(holders.length)];
    const node = this.moto.instances.find(({ name }) => name === found?.host);
    if (found === undefined || node === undefined) {
      throw new Error("no node is a gateway");
    }
    return { node, destinations: found.gatewayOf };
  }

  /** Waits until no route leads to the node; answers the milliseconds. */
  async moved({ interfaceId, name }: LabInstance, withinMs = 20_000, everyMs = 25): Promise<number> {
    return await until(
      `no route leads to ${name}`,
      async () => (await this.standing()).every(({ target }) => target !== interfaceId),
      withinMs,
      everyMs,
    );
  }

  /** Routes that stand in our tables, by moto's word, in order. */
  async standing(): Promise<readonly LabRoute[]> {
    const tables = await this.moto.allRoutes();
    return [...tables]
      .flatMap(([table, routes]) =>
        [...routes].map(([destination, target]) => ({ key: `${table} ${destination}`, target })),
      )
      .toSorted(byKey);
  }

  /** Routes on record as ours, by etcd's word, in order. */
  async journal(): Promise<readonly LabRoute[]> {
    const { entries } = await this.store.list(JOURNAL, AbortSignal.timeout(5_000));
    return entries
      .map(({ key, value }) => ({
        key: key
          .slice(JOURNAL.length)
          .replace("/", " ")
          .replace(/-(\d+)$/, "/$1"),
        target: (JSON.parse(value) as { readonly target: string }).target,
      }))
      .toSorted(byKey);
  }

  /** Writes of routes so far, in the order in which they came in. */
  writes(): readonly ProxyCall[] {
    return this.moto.proxy
      .calls()
      .filter(({ action }) => ROUTE_WRITES.has(action))
      .toSorted((a, b) => a.startedMs - b.startedMs);
  }

  /** Writes that came in while their sender had no term: before it began, or after we had heard of its end. */
  strays(): readonly ProxyCall[] {
    return this.writes().filter(
      ({ keyId, startedMs }) =>
        !this.terms.some(
          (term) => term.id === keyId && startedMs >= term.startedMs && startedMs <= term.endedMs,
        ),
    );
  }

  /** Resolves at the next change under `prefix` after `revision`. */
  async nextChange(prefix: string, revision: number, signal: AbortSignal): Promise<void> {
    for await (const _ of this.store.watch(prefix, revision, signal)) {
      return;
    }
  }

  /** Waits until our own writes are so old that EC2's word counts again: 5 s. */
  async writesSettled(): Promise<void> {
    await until(
      "the last write is old",
      () => performance.now() - (this.writes().at(-1)?.endedMs ?? 0) > 5_500,
      15_000,
    );
  }

  /** One GET over the replica's socket, as it is answered. */
  raw(
    { controller }: LabReplica,
    path: string,
  ): Promise<{ readonly status: number; readonly location: string; readonly body: string }> {
    return new Promise((resolve, reject) => {
      get({ socketPath: controller.socket, path, agent: false }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text;
        });
        response.once("error", reject).once("end", () => {
          resolve({ status: response.statusCode ?? 0, location: response.headers.location ?? "", body });
        });
      }).once("error", reject);
    });
  }

  async close(): Promise<void> {
    await Promise.all(
      this.replicas.map(async ({ controller, relay }) => {
        await controller.kill();
        await relay.stop();
      }),
    );
    this.#stopping.abort(new Error("the lab is closed"));
    await this.#watching;
    await this.store.close();
    await this.moto.close();
    await this.etcd.stop();
  }

  async #watch(): Promise<void> {
    const { revision } = await this.store.list(LEADER, AbortSignal.timeout(5_000));
    this.#watching = this.#follow(revision).catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) {
        throw error;
      }
    });
  }

  async #follow(revision: number): Promise<void> {
    for await (const { events } of this.store.watch(LEADER, revision, this.#stopping.signal)) {
      const now = performance.now();
      for (const event of events) {
        const last = this.terms.at(-1);
        if (event.kind === "put") {
          const { id } = JSON.parse(event.entry.value) as { readonly id: string };
          this.terms.push({ id, epoch: event.entry.modRevision, startedMs: now, endedMs: Infinity });
        } else if (last !== undefined) {
          last.endedMs = now;
        }
      }
    }
  }
}

/** A route of one table: `rtb-1 10.0.0.0/24` and the interface that it leads to. */
export interface LabRoute {
  readonly key: string;
  readonly target: string;
}

/** Where a replica says that its API is reached; nobody serves there. */
function urlOf(replica: string): string {
  return `https://${replica}.invalid:9600`;
}

/** In what time a replica starts on a busy machine. */
const STARTED_MS = 60_000;
const LEADER = "/romana/leader";
const JOURNAL = "/romana/journal/";

/** What the proxy would add by asking moto before each write is time that EC2 does not take. */
const NO_TRAITS = {
  duplicateRoutes: false,
  routesInsideVpc: false,
  severalInterfaces: false,
  blackholes: false,
};

function byKey(a: LabRoute, b: LabRoute): number {
  return a.key < b.key ? -1 : 1;
}
