import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { AuditEntry, KubeApiServer } from "../../support/kube-api.ts";
import type { KubeLab, LabFollower } from "../../support/kube-lab.ts";
import type { KubeObject } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { toolPath } from "../../support/tools.ts";

// What tests of a whole controller look at: the REST API, events, the metrics, and who asked the API server for what.

/** What the controller may do, as it is shipped. */
export const RBAC_FILE = fileURLToPath(new URL("../../../deploy/kubernetes/base/rbac.yaml", import.meta.url));

/** Kinds that a controller follows. */
export const FOLLOWED = [
  "nodes",
  "pods",
  "namespaces",
  "networkpolicies",
  "services",
  "endpointslices",
  "servicecidrs",
] as const;

const run = promisify(execFile);

/** An event of `events.k8s.io/v1`. */
export interface SeenEvent {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly creationTimestamp: string;
  };
  readonly eventTime: string;
  readonly series?: { readonly count: number };
  readonly regarding: { readonly kind: string; readonly name: string; readonly uid?: string };
}

/** Two zones, `us-west-2a` and `us-west-2b`, with a leaf group each. */
export const TWO_ZONES = {
  networks: [{ name: "net", cidr: "10.112.0.0/12", block_mask: 29 }],
  topologies: [
    {
      networks: ["net"],
      map: ["a", "b"].map((zone) => ({
        name: `zone-${zone}`,
        assignment: { "topology.kubernetes.io/zone": `us-west-2${zone}` },
        groups: [{ name: `group-${zone}` }],
      })),
    },
  ],
};

/** What is seen of one controller through its REST API. */
export class Sight {
  readonly #follower: LabFollower;

  constructor(follower: LabFollower) {
    this.#follower = follower;
  }

  async get(path: string): Promise<{ readonly status: number; readonly body: unknown }> {
    return await this.#follower.process.call("GET", path);
  }

  /** Posts the topology as soon as the controller has begun with the one of its own choice. */
  async topology(document: object): Promise<void> {
    await until("there is a topology to begin with", async () => {
      const { body } = await this.get("/networks");
      return Array.isArray(body) && body.length > 0;
    });
    const { status, body } = await this.#follower.process.call("POST", "/topology", document);
    if (status !== 200) {
      throw new Error(`POST /topology: ${status} ${JSON.stringify(body)}`);
    }
  }

  async host(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { status, body } = await this.get(`/hosts/${name}`);
    return status === 200 ? (body as Record<string, unknown>) : undefined;
  }

  async isPlaced(name: string): Promise<boolean> {
    return (await this.host(name))?.["placed"] === true;
  }

  placed(name: string, withinMs = 20_000): Promise<number> {
    return until(`host ${name} is placed`, () => this.isPlaced(name), withinMs);
  }

  async models(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return ((await this.get("/policy-models")).body ?? []) as readonly Record<string, unknown>[];
  }

  /** The model of a NetworkPolicy or of an isolated namespace, as JSON; "" for none. */
  async modelOf(object: KubeObject): Promise<string> {
    const uid = object.metadata.uid ?? "no uid";
    return JSON.stringify((await this.models()).find(({ id }) => String(id).includes(uid)) ?? "").replace(
      /^""$/,
      "",
    );
  }

  /** Asks for an address of `host`; the status, and the address when there is one. */
  async allocate(
    name: string,
    host: string,
    pod?: KubeObject,
  ): Promise<{ readonly status: number; readonly address: string }> {
    const { status, body } = await this.#follower.process.call("POST", "/address", {
      name,
      host,
      tenant: pod?.metadata.namespace ?? "t",
      segment: "s",
      ...(pod === undefined
        ? {}
        : { namespace: pod.metadata.namespace, pod: pod.metadata.name, podUID: pod.metadata.uid }),
    });
    return { status, address: status === 200 ? String(body) : "" };
  }

  /** Resolves when this controller leads. */
  async leads(withinMs = 30_000): Promise<number> {
    return await until(
      `${this.#follower.process.id} leads`,
      async () => ((await this.get("/status")).body as { readonly leader?: boolean }).leader === true,
      withinMs,
    );
  }

  /** What is not followed now, `kind verb`, by the metric. */
  async problems(): Promise<readonly string[]> {
    const metrics = await this.#follower.metrics();
    return FOLLOWED.flatMap((kind) =>
      ["list", "watch"].flatMap((verb) =>
        metrics("romana_cluster_problem", { kind, verb }) === 1 ? [`${kind} ${verb}`] : [],
      ),
    );
  }

  /** Lists that were begun so far, by kind. */
  async lists(): Promise<Readonly<Record<string, number>>> {
    const metrics = await this.#follower.metrics();
    return Object.fromEntries(
      FOLLOWED.map((kind) => [kind, metrics("romana_cluster_lists_total", { kind }) ?? 0]),
    );
  }

  /** Lines of its log, parsed. */
  log(): readonly Readonly<Record<string, unknown>>[] {
    return this.#follower.process.output
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

/** All events about objects of this name, with this reason. */
export async function eventsOf(
  kube: KubeApiServer,
  name: string,
  reason: string,
): Promise<readonly SeenEvent[]> {
  const { items } = (await kube.call("GET", "/apis/events.k8s.io/v1/events")) as {
    readonly items: readonly SeenEvent[];
  };
  return items.filter((event) => event.regarding.name === name && event.reason === reason);
}

/** Resolves when such an event stands; answers the first one. */
export async function told(
  kube: KubeApiServer,
  name: string,
  reason: string,
  withinMs = 20_000,
): Promise<SeenEvent> {
  let found: SeenEvent | undefined;
  await until(
    `${reason} on ${name}`,
    async () => {
      [found] = await eventsOf(kube, name, reason);
      return found !== undefined;
    },
    withinMs,
  );
  return found as SeenEvent;
}

/** `kubectl` as the administrator; its standard output. */
export async function kubectl(kube: KubeApiServer, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(toolPath("kubectl"), [`--kubeconfig=${kube.writeKubeconfig()}`, ...args], {
    timeout: 60_000,
  });
  return stdout;
}

/** A copy of the controller's kubeconfig that goes through another port of 127.0.0.1. */
export function kubeconfigThrough({ kube, kubeconfig }: KubeLab, port: number): string {
  const path = `${kubeconfig}-${port}`;
  const text = readFileSync(kubeconfig, "utf8").replaceAll(kube.url, `https://127.0.0.1:${port}`);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Times, wall clock in milliseconds, in which refusals were meant. */
export class Windows {
  readonly #all: { readonly from: number; to: number }[] = [];

  /** Runs `work`: refusals until it has ended are meant. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const window = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.#all.push(window);
    try {
      return await work();
    } finally {
      window.to = Date.now();
    }
  }

  /** For `KubeLab.judge`. */
  readonly hold = ({ requestReceivedTimestamp }: AuditEntry): boolean => {
    const at = Date.parse(requestReceivedTimestamp);
    return this.#all.some(({ from, to }) => at >= from && at <= to);
  };
}

/** One whole request to the API server. */
export interface AskedList {
  readonly kind: string;
  readonly from: number;
  readonly to: number;
  readonly status: number;
}

/** Lists of whole kinds that our components asked for, in the order in which they came; further pages are left out. */
export function listsAsked(entries: readonly AuditEntry[]): readonly AskedList[] {
  return entries
    .filter(
      ({ stage, userAgent, verb, requestURI }) =>
        stage === "ResponseComplete" &&
        userAgent?.startsWith("romana-") === true &&
        verb === "list" &&
        !requestURI.includes("continue="),
    )
    .map((entry) => ({
      kind: entry.objectRef?.resource ?? "",
      from: Date.parse(entry.requestReceivedTimestamp),
      to: Date.parse(entry.stageTimestamp),
      status: entry.responseStatus?.code ?? 0,
    }));
}
