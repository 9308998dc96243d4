import type { CloudFacts } from "../core/cloud/facts.ts";
import type { ClusterNode } from "../core/cluster/objects.ts";
import {
  holdOf,
  planNodes,
  type HostRemoval,
  type NodeHost,
  type NodeWait,
  type NodeWorld,
} from "../core/cluster/plan-nodes.ts";
import { NetworkError } from "../core/errors.ts";
import type { HostView } from "../core/ipam/view.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { EventRecorder } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import { ALONE, NodeInstances, type NodeCloud } from "./node-instances.ts";
import { NodeNotices } from "./node-notices.ts";

/** Hosts that are registered in one transaction. */
const BATCH = 1000;
/** After a failure of the store: doubled each time, up to the second. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

/** What is needed of the addressing side. */
export interface NodeRegistry {
  hosts(): { readonly hosts: readonly HostView[] };
  networks(): readonly unknown[];
  host(name: string): HostView | undefined;
  hostAt(ip: Ipv4): HostView | undefined;
  addHosts(
    hosts: readonly NodeHost[],
    signal: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly outcome: string; readonly reason: string }[]>;
  /** Removes the host while it stands for the Node with this UID; else throws `HOST_REPLACED`. */
  removeHost(name: string, signal: AbortSignal, only: { readonly node: string }): Promise<void>;
  /** Tells which hosts changed; `reset`: any may have. */
  onBatch(
    listener: (batch: { readonly reset: boolean; readonly hosts: readonly string[] }) => void,
  ): () => void;
}

export interface NodeControllerOptions {
  readonly nodes: ObjectReader<ClusterNode>;
  /** Why what is known of Nodes may be old, "" while all is well (`ClusterSource.state`). Absent: it is known whenever it is synced. */
  readonly nodesProblem?: () => string;
  readonly registry: NodeRegistry;
  /** Absent without AWS. */
  readonly cloud: NodeCloud | undefined;
  /** Without AWS: how long a Node must be gone before its host goes. */
  readonly hostGraceMs: number;
  readonly events: EventRecorder;
  readonly agents: Pick<AgentReports, "forget">;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Brings the Nodes of a cluster to the hosts, and says on each Node what became of it. What is to be done is decided by `planNodes`; an event, a look at EC2 and a change
 * of a host only say which names to look at again.
 *
 *     Node ─► names ─► plan ─► removals ─► hosts, 1,000 in a transaction ─► Source/Dest checks
 *                       │ waits for EC2: asked about that instance alone, or for a whole look when there are many
 */
export class NodeController {
  readonly #options: NodeControllerOptions;
  readonly #instances: NodeInstances | undefined;
  readonly #abort = new AbortController();
  readonly #dirty = new Set<string>();
  /** What stands still, by name. */
  readonly #waits = new Map<string, readonly NodeWait[]>();
  /** Without AWS: when a host's Node was first missed, by the name of the host and the UID of the Node; monotonic milliseconds. */
  readonly #gone = new Map<string, { readonly uid: string; readonly since: number }>();
  readonly #notices: NodeNotices;
  /** Source/Dest checks that are being turned off. */
  readonly #placing = new Set<Promise<void>>();
  #ends: readonly (() => void)[] = [];
  #work: Promise<void> | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #held = "";

  constructor(options: NodeControllerOptions) {
    this.#options = options;
    const { cloud, clock, log, events } = options;
    this.#notices = new NodeNotices({
      events,
      log,
      cloud: cloud !== undefined,
      clock,
      hasNetworks: () => options.registry.networks().length > 0,
      again: (names) => this.#look(names),
    });
    this.#instances =
      cloud === undefined
        ? undefined
        : new NodeInstances({
            cloud,
            clock,
            log,
            onWord: (id) => {
              this.#look(this.#waitingFor(id));
              this.#instances?.ask(this.#wanted(), this.#abort.signal);
            },
          });
  }

  /** Begins: everything as soon as all Nodes were listed, then each change at once. */
  start(): void {
    const { nodes, registry } = this.#options;
    this.#notices.begin(registry.hosts().hosts);
    this.#ends = [
      // While removal is held, another Node may end that.
      nodes.onChange(({ object: { name } }) =>
        this.#look(this.#held === "" ? [name] : [name, ...this.#namesThatWait("gone")]),
      ),
      nodes.onSynced(() => this.#look(this.#allNames())),
      registry.onBatch(({ reset, hosts }) => {
        if (reset || hosts.length > 0) {
          // Whoever waits for a name or an address may have it now.
          this.#look(reset ? this.#allNames() : [...hosts, ...this.#namesThatWait("place")]);
        }
      }),
    ];
  }

  /** Ends all of it and waits for what is under way. Never rejects. */
  async stop(): Promise<void> {
    this.#ends.forEach((end) => end());
    this.#timer?.cancel();
    this.#notices.stop();
    this.#abort.abort(new Error("the controller stops"));
    await this.#work;
    await this.#instances?.settled();
    await Promise.all(this.#placing);
  }

  /** Takes in a look at the VPC. Resolves when the Nodes that it tells of are hosts, so that the same pass can plan their routes. */
  async cloudSeen(facts: CloudFacts): Promise<void> {
    const learned = this.#options.registry.hosts().hosts.filter(({ origin }) => origin === "kubernetes");
    this.#instances?.see(facts, learned, this.#wanted());
    this.#look(this.#waits.keys());
    await this.#work;
  }

  #allNames(): Iterable<string> {
    const { nodes, registry } = this.#options;
    return [
      ...[...nodes.values()].map(({ name }) => name),
      ...registry.hosts().hosts.map(({ name }) => name),
    ];
  }

  #look(names: Iterable<string>): void {
    for (const name of names) {
      this.#dirty.add(name);
    }
    this.#begin();
  }

  /** Begins to work after whatever goes on now, so that a burst of changes is one plan. */
  #begin(): void {
    if (this.#work === undefined && this.#dirty.size > 0 && this.#mayWork()) {
      this.#work = Promise.resolve()
        .then(() => this.#run())
        .finally(() => {
          this.#work = undefined;
          this.#schedule();
        });
    }
  }

  #mayWork(): boolean {
    return (
      this.#options.nodes.synced &&
      !this.#abort.signal.aborted &&
      (this.#failures === 0 || this.#timer === undefined)
    );
  }

  async #run(): Promise<void> {
    while (this.#dirty.size > 0 && !this.#abort.signal.aborted) {
      const names = [...this.#dirty];
      this.#dirty.clear();
      try {
        await this.#reconcile(names);
        this.#failures = 0;
      } catch (error) {
        names.forEach((name) => this.#dirty.add(name));
        this.#failures += 1;
        if (!this.#abort.signal.aborted) {
          this.#options.log.warn(
            { err: error, failures: this.#failures },
            "hosts of Nodes could not be brought up to date, they are tried again",
          );
        }
        return;
      }
    }
  }

  async #reconcile(names: readonly string[]): Promise<void> {
    const { removals, register, waits, events } = planNodes(names, this.#world());
    this.#note(names, waits);
    const byName = Map.groupBy(events, ({ name }) => name);
    names.forEach((name) => this.#notices.tell(name, byName.get(name) ?? []));
    const kept = await this.#remove(removals);
    await this.#register(register.filter(({ name }) => !kept.has(name)));
    const { registry, nodes } = this.#options;
    names.forEach((name) => this.#notices.tellPlace(name, registry.host(name), nodes.get(name)));
    this.#instances?.ask(this.#wanted(), this.#abort.signal);
  }

  #world(): NodeWorld {
    const { nodes, registry, hostGraceMs, clock } = this.#options;
    const now = clock.monotonic();
    let hold: string | undefined;
    const world: NodeWorld = {
      cloud: this.#instances !== undefined,
      region: this.#instances?.region ?? "",
      hostGraceMs,
      node: (name) => nodes.get(name),
      host: (name) => registry.host(name),
      hostAt: (ip) => registry.hostAt(ip),
      instance: (id) => this.#instances?.instance(id),
      fate: (host) => this.#instances?.fate(host) ?? "unknown",
      goneMs: (host) => {
        const gone = this.#gone.get(host.name);
        return gone?.uid === (host.node?.uid ?? "") ? now - gone.since : undefined;
      },
      hold: () => {
        const problem = this.#options.nodesProblem?.() ?? "";
        hold ??= this.#hold(
          problem === ""
            ? holdOf(nodes, registry.hosts().hosts, world)
            : "it is not known now which Nodes there are",
        );
        return hold;
      },
    };
    return world;
  }

  #hold(why: string): string {
    if (why !== this.#held && why !== "") {
      this.#options.log.warn(
        { reason: why },
        "hosts of Nodes that are gone are not removed; check which cluster is followed, or remove them yourself",
      );
    }
    this.#held = why;
    return why;
  }

  /** Remembers what waits, and since when Nodes are gone. */
  #note(names: readonly string[], waits: readonly NodeWait[]): void {
    const byName = Map.groupBy(waits, ({ name }) => name);
    const now = this.#options.clock.monotonic();
    for (const name of names) {
      const own = byName.get(name) ?? [];
      if (own.length === 0) {
        this.#waits.delete(name);
      } else {
        this.#waits.set(name, own);
      }
      const gone = own.find((wait) => wait.kind === "gone");
      const uid = gone?.host.node?.uid ?? "";
      if (gone === undefined) {
        this.#gone.delete(name);
      } else if (this.#gone.get(name)?.uid !== uid) {
        this.#gone.set(name, { uid, since: now });
      }
    }
  }

  /** Removes hosts; answers which of them are still there. */
  async #remove(removals: readonly HostRemoval[]): Promise<ReadonlySet<string>> {
    const { registry, log, agents } = this.#options;
    const kept = new Set<string>();
    for (const removal of removals) {
      const { name, uid } = removal;
      try {
        await registry.removeHost(name, this.#abort.signal, { node: uid });
      } catch (error) {
        if (error instanceof NetworkError && error.code === "HOST_REPLACED") {
          kept.add(name);
        }
        if (
          !(error instanceof NetworkError) ||
          (error.code !== "HOST_REPLACED" && error.code !== "HOST_NOT_FOUND")
        ) {
          throw error;
        }
        continue;
      }
      agents.forget(name);
      this.#notices.removed(removal);
      log.warn(
        { host: name, ip: removal.ip, reason: removal.why },
        "the Node of a host is gone, the host is removed with its addresses",
      );
    }
    return kept;
  }

  async #register(hosts: readonly NodeHost[]): Promise<void> {
    const { registry, log, agents } = this.#options;
    for (let first = 0; first < hosts.length; first += BATCH) {
      const batch = hosts.slice(first, first + BATCH);
      const outcomes = await registry.addHosts(batch, this.#abort.signal);
      const byName = new Map(outcomes.map((outcome) => [outcome.name, outcome]));
      const done = batch.filter(({ name }) => byName.get(name)?.outcome !== "conflict");
      const added = done.filter(({ change }) => change === "add");
      for (const { name } of batch) {
        const { outcome, reason } = byName.get(name) ?? { outcome: "conflict", reason: "it was left out" };
        if (outcome === "conflict") {
          this.#waits.set(name, [{ kind: "place", name }]);
          const uid = this.#options.nodes.get(name)?.uid ?? "";
          this.#notices.tell(name, [
            { name, uid, reason: "HostAddressTaken", note: `The Node cannot become a host: ${reason}.` },
          ]);
        }
      }
      added.forEach(({ name }) => agents.forget(name));
      if (done.length > 0) {
        const [one] = done;
        log.info(
          {
            hosts: done.length,
            added: added.length,
            ...(done.length === 1 ? { host: one?.name, change: one?.change } : {}),
          },
          "hosts follow their Nodes",
        );
      }
      this.#turnOffChecks(added);
    }
  }

  /** At once for a few new hosts; many are the work of a pass, within its budget. */
  #turnOffChecks(hosts: readonly NodeHost[]): void {
    const interfaces = hosts.flatMap(({ name, ip, node: { instanceId } }) => {
      const own = this.#instances
        ?.instance(instanceId)
        ?.interfaces.find(({ addresses }) => addresses.includes(ip));
      return own?.sourceDestCheck === true ? [{ host: name, interfaceId: own.id, instanceId }] : [];
    });
    const { cloud } = this.#options;
    if (cloud !== undefined && interfaces.length > 0 && hosts.length <= ALONE) {
      const work = cloud.placed(interfaces, this.#abort.signal).finally(() => this.#placing.delete(work));
      this.#placing.add(work);
    }
  }

  /** Sets the one timer for whatever has its time: another try, the end of a grace time, another question to EC2. */
  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#abort.signal.aborted) {
      return;
    }
    if (this.#failures > 0) {
      this.#wake(Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10)), () => []);
      return;
    }
    if (this.#dirty.size > 0) {
      this.#begin();
      return;
    }
    const next = [this.#instances?.nextMs(this.#wanted()), this.#graceMs()].filter((ms) => ms !== undefined);
    if (next.length > 0) {
      this.#wake(Math.min(...next), () => [
        ...this.#namesThatWait("instance"),
        ...this.#namesThatWait("confirm"),
        ...this.#namesThatWait("gone"),
      ]);
    }
  }

  #wake(delayMs: number, names: () => readonly string[]): void {
    this.#timer = this.#options.clock.setTimer(delayMs, async () => {
      this.#timer = undefined;
      this.#look(names());
      await this.#work;
    });
  }

  /** Milliseconds until the grace time of a host is over, without AWS, or until it is looked again whether removal is still held. */
  #graceMs(): number | undefined {
    const { hostGraceMs, clock } = this.#options;
    if (this.#instances !== undefined || this.#gone.size === 0) {
      return undefined;
    }
    if (this.#held !== "") {
      return LAST_RETRY_MS;
    }
    const first = Math.min(...[...this.#gone.values()].map(({ since }) => since));
    return Math.max(1, first + hostGraceMs - clock.monotonic());
  }

  #namesThatWait(kind: NodeWait["kind"]): readonly string[] {
    return [...this.#waits]
      .filter(([, waits]) => waits.some((wait) => wait.kind === kind))
      .map(([name]) => name);
  }

  #waitingFor(instanceId: string): readonly string[] {
    return [...this.#waits]
      .filter(([, waits]) => waits.some((wait) => "instanceId" in wait && wait.instanceId === instanceId))
      .map(([name]) => name);
  }

  /** Instances that somebody waits for. */
  #wanted(): ReadonlySet<string> {
    return new Set(
      [...this.#waits.values()].flat().flatMap((wait) => ("instanceId" in wait ? [wait.instanceId] : [])),
    );
  }
}
