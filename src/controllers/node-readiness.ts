import type { ClusterNode } from "../core/cluster/objects.ts";
import { isSameMachine, type KnownHost } from "../core/cluster/plan-nodes.ts";
import { AGENT_TAINT, planReadiness, type AgentWord, type ReadinessStep } from "../core/cluster/readiness.ts";
import { NetworkError } from "../core/errors.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { ClusterWriter } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import { Setbacks } from "./backoff.ts";
import type { NodeRegistry } from "./node-controller.ts";

/** Writes to the API server at once. */
const CONCURRENCY = 8;
/** Between looks at whether the routes of a ready node stand. */
const ROUTES_MS = 500;

export interface NodeReadinessOptions {
  readonly nodes: ObjectReader<ClusterNode>;
  readonly hosts: Pick<NodeRegistry, "onBatch"> & { host(name: string): KnownHost | undefined };
  readonly agents: Pick<AgentReports, "of" | "isSilent" | "onReport">;
  readonly writer: Pick<ClusterWriter, "removeTaint" | "setCondition">;
  /** As of this moment: whether nothing is open for the groups of a host; always, where there are no routes. What is found out for one node serves the others of a look. */
  readonly routes: () => (host: string) => boolean;
  /** Whether machines are EC2's. */
  readonly cloud: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Tells Kubernetes which nodes have a network: the condition NetworkUnavailable, and the startup taint (`planReadiness`). */
export class NodeReadiness {
  readonly #options: NodeReadinessOptions;
  readonly #abort = new AbortController();
  readonly #setbacks = new Setbacks();
  /** Since when agents say what they say now; monotonic milliseconds. */
  readonly #since = new Map<
    string,
    { readonly ready: boolean; readonly at: number; readonly heardAt: number }
  >();
  /** The node as it was when something was last written on it: nothing is written twice before it is seen. */
  readonly #written = new Map<string, string>();
  readonly #inFlight = new Map<string, Promise<void>>();
  /** Nodes that wait for a write of another one to end. */
  readonly #queued = new Set<string>();
  /** Nodes whose agents are ready and whose routes do not stand. */
  readonly #waiting = new Set<string>();
  #ends: readonly (() => void)[] = [];
  #timer: Timer | undefined;

  constructor(options: NodeReadinessOptions) {
    this.#options = options;
  }

  start(): void {
    const { nodes, agents, hosts } = this.#options;
    this.#ends = [
      agents.onReport((host) => {
        this.#hear(host);
        this.#look(host);
      }),
      nodes.onChange((change) => {
        const { name } = change.object;
        if (change.kind === "delete") {
          [this.#written, this.#waiting, this.#queued].forEach((known) => known.delete(name));
          this.#setbacks.succeeded(name);
        } else {
          this.#look(name);
        }
      }),
      nodes.onSynced(() => this.look()),
      hosts.onBatch((batch) => {
        if (batch.reset) {
          this.look();
        } else {
          batch.hosts
            .filter((name) => hosts.host(name) === undefined)
            .forEach((name) => this.#since.delete(name));
          this.#lookAt(batch.hosts);
        }
      }),
    ];
  }

  /** Ends all of it and waits for what is under way. Never rejects. */
  async stop(): Promise<void> {
    this.#ends.forEach((end) => end());
    this.#timer?.cancel();
    this.#abort.abort(new Error("the controller stops"));
    await Promise.all(this.#inFlight.values());
  }

  /** Looks at every node again: routes were written. */
  look(): void {
    this.#lookAt([...this.#options.nodes.values()].map(({ name }) => name));
  }

  #lookAt(names: Iterable<string>): void {
    const routesStand = this.#options.routes();
    for (const name of names) {
      this.#look(name, routesStand);
    }
  }

  /** Notes since when the agent says what it says; a silence between two reports ends it. */
  #hear(host: string): void {
    const report = this.#options.agents.of(host);
    if (report !== undefined) {
      const known = this.#since.get(host);
      const goesOn = known?.ready === report.ready && report.at - known.heardAt <= 90_000;
      this.#since.set(host, { ready: report.ready, at: goesOn ? known.at : report.at, heardAt: report.at });
    }
  }

  #wordOf(name: string): AgentWord {
    const { agents, clock } = this.#options;
    const since = this.#since.get(name);
    if (agents.of(name) === undefined || since === undefined || agents.isSilent(name)) {
      return { says: "silent", forMs: 0 };
    }
    return { says: since.ready ? "ready" : "not-ready", forMs: clock.monotonic() - since.at };
  }

  #look(name: string, routesStand = this.#options.routes()): void {
    const { nodes, hosts, clock, cloud } = this.#options;
    const node = nodes.get(name);
    if (node === undefined || !nodes.synced || this.#abort.signal.aborted || this.#inFlight.has(name)) {
      return;
    }
    const host = hosts.host(name);
    const isHost = host !== undefined && isSameMachine(host, node, cloud);
    const { step, waiting } = planReadiness(node, this.#wordOf(name), isHost, () => routesStand(name));
    if (waiting) {
      this.#waiting.add(name);
    } else {
      this.#waiting.delete(name);
    }
    const seen = `${node.uid} ${node.resourceVersion} ${step}`;
    const isDue = this.#written.get(name) !== seen && !this.#setbacks.waits(name, clock.monotonic());
    if (step !== undefined && isDue && this.#inFlight.size >= CONCURRENCY) {
      this.#queued.add(name);
    } else if (step !== undefined && isDue) {
      this.#inFlight.set(name, this.#write(node, step, seen));
    }
    this.#schedule();
  }

  async #write(node: ClusterNode, step: ReadinessStep, seen: string): Promise<void> {
    const { clock, log } = this.#options;
    const { name } = node;
    try {
      await this.#perform(node, step);
      this.#setbacks.succeeded(name);
      this.#written.set(name, seen);
      log.info({ host: name, step }, "the API server was told about a node's network");
    } catch (error) {
      this.#fail(name, seen, error, clock.monotonic());
    }
    this.#inFlight.delete(name);
    this.#look(name);
    for (const next of this.#queued) {
      if (this.#inFlight.size >= CONCURRENCY) {
        return;
      }
      this.#queued.delete(next);
      this.#look(next);
    }
  }

  async #perform(node: ClusterNode, step: ReadinessStep): Promise<void> {
    const { writer } = this.#options;
    const { signal } = this.#abort;
    signal.throwIfAborted();
    switch (step) {
      case "remove-taint":
        return writer.removeTaint(node, AGENT_TAINT, signal);
      case "network-available":
        return writer.setCondition(
          node,
          {
            type: "NetworkUnavailable",
            status: "False",
            reason: "RomanaIsUp",
            message: "The agent of the node is ready and the routes of its group stand.",
          },
          signal,
        );
      case "network-unavailable":
        return writer.setCondition(
          node,
          {
            type: "NetworkUnavailable",
            status: "True",
            reason: "RomanaAgentNotReady",
            message: "The agent of the node has said for five minutes that it is not ready.",
          },
          signal,
        );
    }
  }

  /** Somebody else changed the node, or it is gone: the next change of it tells. Anything else is tried again, each node by itself. */
  #fail(name: string, seen: string, error: unknown, now: number): void {
    if (this.#abort.signal.aborted) {
      return;
    }
    const known =
      error instanceof NetworkError
        ? error
        : new NetworkError("transient", "WRITE_FAILED", `the write did not end: ${String(error)}`, {}, error);
    if (known.kind === "conflict" || known.kind === "not-found") {
      this.#written.set(name, seen);
      return;
    }
    const { attempts } = this.#setbacks.failed(name, known, now);
    this.#options.log.warn(
      { host: name, err: known, attempts },
      "the API server could not be told about a node's network",
    );
  }

  /** One timer for what waits: another try, or the routes. */
  #schedule(): void {
    if (this.#timer !== undefined || this.#abort.signal.aborted) {
      return;
    }
    const retryMs = this.#setbacks.nextRetryMs(this.#options.clock.monotonic());
    const waits = [
      ...(retryMs === undefined ? [] : [retryMs]),
      ...(this.#waiting.size > 0 ? [ROUTES_MS] : []),
    ];
    if (waits.length > 0) {
      this.#timer = this.#options.clock.setTimer(Math.max(1, Math.min(...waits)), () => {
        this.#timer = undefined;
        const names = [...this.#waiting, ...this.#setbacks.all().map(({ subject }) => subject)];
        this.#lookAt(new Set(names));
        this.#schedule();
      });
    }
  }
}
