import { spawn, type ChildProcessByStdio } from "node:child_process";
import { Agent, request as send } from "node:http";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import type { AddressRequest, Answer, FinalAddresses } from "./address-history.ts";
import { freePorts } from "./free-ports.ts";
import { until } from "./moto-lab.ts";
import { standsStill } from "./stand-still.ts";

const PROGRAM = fileURLToPath(new URL("../../src/main/cli.ts", import.meta.url));
const SHIPPED = fileURLToPath(new URL("../../bin/romana", import.meta.url));
const READY_MS = 30_000;

export interface ReplicaOptions {
  /** Of the store, such as `--etcd-endpoints=http://127.0.0.1:2379`. */
  readonly flags: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** In front of `node`, such as `["taskset", "-c", "1"]`. */
  readonly wrapper?: readonly string[];
  /** Started by `bin/romana`, with its settings for memory and compiled code, as users do; else by Node alone. */
  readonly asShipped?: boolean;
}

/** An answer of the REST API. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** One `romana controller --cloud none` process on a port of its own, which it keeps when it is started again. */
export class Replica {
  readonly id: string;
  readonly port: number;
  readonly #options: ReplicaOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
  #child: ChildProcessByStdio<null, Readable, Readable> | undefined;
  #ended: Promise<number | null> = Promise.resolve(null);
  #output = "";

  constructor(id: string, port: number, options: ReplicaOptions) {
    this.id = id;
    this.port = port;
    this.#options = options;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** What it logged, the last megabyte. */
  get output(): string {
    return this.#output;
  }

  launch(): void {
    const command = [
      ...(this.#options.wrapper ?? []),
      ...(this.#options.asShipped === true
        ? [SHIPPED]
        : [process.execPath, "--disable-warning=ExperimentalWarning", PROGRAM]),
      "controller",
      `--listen=127.0.0.1:${this.port}`,
      `--replica-id=${this.id}`,
      `--advertise-url=http://127.0.0.1:${this.port}`,
      "--cloud=none",
      "--log-level=info",
      ...this.#options.flags,
    ];
    const [program = "", ...args] = command;
    const child = spawn(program, args, {
      env: { ...process.env, ...this.#options.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-1_000_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once("close", (code) => resolve(code));
    });
  }

  /** Resolves with the milliseconds until it said that it is ready. */
  async ready(): Promise<number> {
    try {
      return await until(
        `${this.id} is ready`,
        async () => {
          if (this.#child?.exitCode !== null) {
            throw new Error(`${this.id} ended`);
          }
          return (await this.call("GET", "/readyz").catch(() => undefined))?.status === 200;
        },
        READY_MS,
      );
    } catch (error) {
      throw new Error(`${String(error)}; its last words:\n${this.#output.slice(-4000)}`, { cause: error });
    }
  }

  async start(): Promise<void> {
    this.launch();
    await this.ready();
  }

  /** `SIGKILL` and `SIGTERM` resolve when it is gone, `SIGSTOP` when it stands still. */
  async kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    this.#child?.kill(signal);
    if (signal === "SIGKILL" || signal === "SIGTERM") {
      await this.#ended;
    } else if (signal === "SIGSTOP") {
      await standsStill(this.pid);
    }
  }

  async stop(): Promise<void> {
    await this.kill("SIGKILL");
    this.#agent.destroy();
  }

  /** One request over a kept connection. Rejects when there is no answer within `timeoutMs`. */
  call(method: string, path: string, body?: unknown, timeoutMs = 15_000): Promise<ApiAnswer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = send(
        {
          host: "127.0.0.1",
          port: this.port,
          method,
          path,
          agent: this.#agent,
          timeout: timeoutMs,
          headers:
            text === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const answer = Buffer.concat(chunks).toString();
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: answer === "" ? undefined : (JSON.parse(answer) as unknown),
            });
          });
        },
      );
      request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      request.on("error", reject);
      request.end(text);
    });
  }

  /** All addresses that it knows of. */
  async addresses(): Promise<FinalAddresses> {
    const { status, body } = await this.call("GET", "/addresses");
    if (status !== 200) {
      throw new Error(`GET /addresses: ${status} ${JSON.stringify(body)}`);
    }
    return (body as { name: string; address: string }[]).map(({ name, address }) => ({ name, address }));
  }
}

/** Several replicas on one store. */
export class ReplicaLab {
  readonly replicas: readonly Replica[];

  private constructor(replicas: readonly Replica[]) {
    this.replicas = replicas;
  }

  /** One replica per element of `options`; the first is ready before the others are started. */
  static async start(options: readonly ReplicaOptions[]): Promise<ReplicaLab> {
    const ports = await freePorts(options.length);
    const lab = new ReplicaLab(
      options.map((each, index) => new Replica(`replica-${index + 1}`, ports[index] ?? 0, each)),
    );
    try {
      const [first, ...others] = lab.replicas;
      await first?.start();
      await Promise.all(others.map((replica) => replica.start()));
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  at(index: number): Replica {
    const replica = this.replicas[index];
    if (replica === undefined) {
      throw new RangeError(`there is no replica ${index}`);
    }
    return replica;
  }

  /** The replica that says that it leads; waits for one. */
  async leader(): Promise<Replica> {
    let found: Replica | undefined;
    await until("somebody leads", async () => {
      for (const replica of this.replicas) {
        const answer = await replica.call("GET", "/status", undefined, 1000).catch(() => undefined);
        if ((answer?.body as { leader?: boolean } | undefined)?.leader === true) {
          found = replica;
          return true;
        }
      }
      return false;
    });
    return found as Replica;
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
  }
}

/** A topology of `groups` equal groups, and hosts spread over them by their label. */
export function loadTopology(groups: number, blockMask = 29): object {
  return {
    networks: [{ name: "pods", cidr: "10.0.0.0/8", block_mask: blockMask }],
    topologies: [
      {
        networks: ["pods"],
        map: Array.from({ length: groups }, (_, index) => ({
          name: `group-${index}`,
          assignment: { group: String(index) },
        })),
      },
    ],
  };
}

/** Posts the topology and `count` hosts, `host-0` and so on, in turns over the groups. */
export async function populate(
  replica: Replica,
  groups: number,
  count: number,
  blockMask = 29,
): Promise<void> {
  await expectOk(replica, "POST", "/topology", loadTopology(groups, blockMask));
  for (let index = 0; index < count; index += 1) {
    await expectOk(replica, "POST", "/hosts", {
      name: `host-${index}`,
      ip: `192.168.${Math.floor(index / 250)}.${(index % 250) + 1}`,
      tags: { group: String(index % groups) },
    });
  }
}

async function expectOk(replica: Replica, method: string, path: string, body: unknown): Promise<void> {
  const answer = await replica.call(method, path, body);
  if (answer.status !== 200) {
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
}

export interface LoadOptions {
  readonly clients: number;
  /** Requests of all clients together. */
  readonly requests: number;
  readonly hosts: number;
  /** Of a client's requests, the part that gives an address back. */
  readonly releases: number;
  /** Names that all clients ask for at once, so that they meet; 0 for names of their own only. */
  readonly sharedNames: number;
  readonly random: () => number;
  readonly timeoutMs?: number;
  /** A client that got no clear answer waits so long before it asks the next replica; 0 unless given. */
  readonly pauseMs?: number;
  /** Each request goes to any replica; else a client stays with one until that gives no clear answer. */
  readonly roams?: boolean;
  /** Begins the names, so that several loads can run on one store. */
  readonly names?: string;
}

/** Clients that allocate and release over all replicas, and what they were told. A client whose replica does not answer goes on with the next one. */
export class AddressLoad {
  readonly requests: AddressRequest[] = [];
  readonly #replicas: readonly Replica[];
  readonly #options: LoadOptions;
  #left: number;
  #heldOn = false;

  constructor(replicas: readonly Replica[], options: LoadOptions) {
    this.#replicas = replicas;
    this.#options = options;
    this.#left = options.requests;
  }

  /** Requests that were begun. */
  get begun(): number {
    return this.#options.requests - this.#left;
  }

  /** Makes all requests, and goes on as long as `during` takes; resolves when each has ended. Rejects when `during` does. */
  async run(during?: () => Promise<void>): Promise<void> {
    this.#heldOn = during !== undefined;
    const clients = Array.from({ length: this.#options.clients }, (_, client) => this.#client(client));
    try {
      await during?.();
    } catch (error) {
      this.#left = 0;
      throw error;
    } finally {
      this.#heldOn = false;
      await Promise.all(clients);
    }
  }

  /** Answers of one kind. */
  count(kind: Answer["kind"]): number {
    return this.requests.filter(({ answer }) => answer.kind === kind).length;
  }

  async #client(client: number): Promise<void> {
    const { random, releases, sharedNames, pauseMs = 0, names = "", roams = false } = this.#options;
    const held: string[] = [];
    let turn = client;
    let count = 0;
    while (this.#left > 0 || this.#heldOn) {
      this.#left -= 1;
      const shared =
        sharedNames > 0 && random() < 0.1
          ? `${names}shared-${Math.floor(random() * sharedNames)}`
          : undefined;
      const gives = random() < releases;
      const name = gives
        ? (shared ?? held.splice(Math.floor(random() * held.length), 1)[0])
        : (shared ?? `${names}client-${client}-${(count += 1)}`);
      if (name === undefined) {
        continue;
      }
      if (roams) {
        turn = Math.floor(random() * this.#replicas.length);
      }
      const replica = this.#replicas[turn % this.#replicas.length] as Replica;
      const done = await this.ask(replica, gives ? "release" : "allocate", name);
      if (done.answer.kind === "allocated" && shared === undefined) {
        held.push(name);
      }
      if (done.answer.kind === "unknown" || done.answer.kind === "refused") {
        turn += 1;
        await sleep(pauseMs);
      }
    }
  }

  /** One request of a client; it becomes part of the history. */
  async ask(replica: Replica, kind: "allocate" | "release", name: string): Promise<AddressRequest> {
    const { hosts, random, timeoutMs } = this.#options;
    const start = performance.now();
    let answer: Answer;
    try {
      const got =
        kind === "allocate"
          ? await replica.call(
              "POST",
              "/address",
              { name, host: `host-${Math.floor(random() * hosts)}`, tenant: "t", segment: "" },
              timeoutMs,
            )
          : await replica.call("DELETE", `/address?addressName=${name}`, undefined, timeoutMs);
      answer = read(kind, got);
    } catch (error) {
      // A connection that was refused carried nothing; any other end leaves it open.
      const why = String(error);
      answer = why.includes("ECONNREFUSED") ? { kind: "refused", why } : { kind: "unknown", why };
    }
    const done = { kind, name, start, end: performance.now(), answer };
    this.requests.push(done);
    return done;
  }
}

function read(kind: "allocate" | "release", { status, body }: ApiAnswer): Answer {
  if (status === 200) {
    return kind === "allocate" ? { kind: "allocated", address: String(body) } : { kind: "released" };
  }
  const why = `${status} ${JSON.stringify(body)}`;
  if (status === 404 && kind === "release") {
    return { kind: "not-found" };
  }
  if (status === 409 && kind === "allocate") {
    const { details } = body as { details?: { Object?: { address?: unknown } } };
    const address = details?.Object?.address;
    return typeof address === "string" ? { kind: "exists", address } : { kind: "unknown", why };
  }
  return status === 429 ? { kind: "refused", why } : { kind: "unknown", why };
}
