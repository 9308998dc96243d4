import type { ClusterNode, ClusterPod } from "../core/cluster/objects.ts";
import { NetworkError } from "../core/errors.ts";
import { findLeak, type LeakTimes } from "../core/ipam/check-address.ts";
import { dueAt } from "../core/ipam/plan-leaks.ts";
import type { AddressView } from "../core/ipam/view.ts";
import type { IpamCheck, IpamFinding, LeakRelease } from "../core/views/ipam-views.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { EventRecorder } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";
import type { KeyCompare } from "../ports/store.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import { nextTurn } from "../services/next-turn.ts";
import { checkAddresses } from "./address-check.ts";
import { isSame, LeakSuspects, type Suspect } from "./leak-suspects.ts";

/** Between two looks. */
const LOOK_MS = 30_000;
/** Addresses that are looked at before others have their turn. */
const STEP = 5_000;
/** Released at one look: each is a transaction of its own, before which pods' allocations wait. */
const MAX_RELEASES = 200;

/** What the collector asks of addressing. */
export type CollectedAddresses = Pick<
  AddressingService,
  "eachAddress" | "address" | "addressAt" | "host" | "networks" | "onBatch" | "release"
>;

export interface AddressCollectorOptions {
  readonly addresses: CollectedAddresses;
  readonly pods: ObjectReader<ClusterPod>;
  /** Why what is known of Pods may be old, "" while all is well (`ClusterSource.state`). Absent: it is known whenever it is synced. */
  readonly podsProblem?: () => string;
  readonly agents: AgentReports;
  /** To tell hosts whose Node is gone, and for events on Nodes. */
  readonly nodes?: ObjectReader<ClusterNode>;
  readonly events?: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long both sources must agree, without interruption. */
  readonly graceMs: number;
  /** Of the term as leader: every release carries it. */
  readonly guard?: KeyCompare;
}

/**
 * Releases addresses that leaked (decision 11): recorded, but no Pod holds them by the API server, and by their node's agent no interface has them, for the whole of a grace time. Looks every
 * 30 s. In doubt an address is kept: while Pods are not known or an agent is silent, nothing is released. A release names the UID and the address, so what a name holds by then is never
 * taken from another Pod; a UID that is gone never comes back, so the decision does not grow old.
 */
export class AddressCollector {
  readonly #options: AddressCollectorOptions;
  readonly #suspects: LeakSuspects;
  readonly #stopping = new AbortController();
  #work: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #leave: readonly (() => void)[] = [];
  #collected = 0;

  constructor(options: AddressCollectorOptions) {
    this.#options = options;
    this.#suspects = new LeakSuspects(options.pods, options.agents);
  }

  start(): void {
    const { addresses, clock } = this.#options;
    this.#suspects.start(() => clock.monotonic());
    this.#leave = [
      addresses.onBatch(({ reset, released }) => {
        if (reset) {
          this.#suspects.clear();
        } else if (this.#suspects.size > 0) {
          released.forEach(({ name }) => this.#suspects.drop(name));
        }
      }),
    ];
    this.#next(0);
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort(
      new NetworkError("transient", "LEADERSHIP_LOST", "this replica collects no addresses any more"),
    );
    this.#timer?.cancel();
    await this.#work;
    this.#leave.forEach((leave) => leave());
    this.#suspects.stop();
  }

  /** Addresses of which both sources agree that they leaked, the grace time over or not; and how many were released since the start. */
  counts(): { readonly leaked: number; readonly collected: number } {
    const now = this.#options.clock.monotonic();
    let leaked = 0;
    for (const each of this.#suspects.values()) {
      const stage = this.#suspects.stage(each, now, this.#options.graceMs);
      leaked += stage === "waiting" || stage === "leaked" ? 1 : 0;
    }
    return { leaked, collected: this.#collected };
  }

  /** Looks at every address, and releases what leaked. Never rejects. */
  look(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#see();
      await this.#release(this.#leaked(this.#options.graceMs).slice(0, MAX_RELEASES));
    }).catch((error: unknown) => {
      if (this.#stopping.signal.aborted) {
        return;
      }
      const level = error instanceof NetworkError && error.kind === "transient" ? "warn" : "error";
      this.#options.log[level]({ err: error }, "the look for leaked addresses failed; it is repeated");
    });
  }

  /** What is not as it should be, now. Rejects with the signal's reason. */
  check(signal: AbortSignal): Promise<IpamCheck> {
    return this.#inTurn(async () => {
      await this.#see();
      return checkAddresses({
        ...this.#options,
        problem: this.#problem(),
        findLeak: (name) => this.#finding(this.#suspects.of(name)),
        signal,
      });
    });
  }

  /**
   * Releases what leaked, now. `graceMs` instead of the configured one; both sources are asked all the same, and an address is never released within 90 s of the first look that saw it without Pod. Throws `PODS_UNKNOWN` (transient)
   * while it is not known which Pods there are.
   */
  releaseLeaked(
    {
      graceMs = this.#options.graceMs,
      dryRun,
    }: { readonly graceMs?: number | undefined; readonly dryRun: boolean },
    signal: AbortSignal,
  ): Promise<LeakRelease> {
    return this.#inTurn(async () => {
      const problem = this.#problem();
      if (problem !== "") {
        throw new NetworkError(
          "transient",
          "PODS_UNKNOWN",
          `nothing was released: it is not known which Pods there are (${problem}); try again once the cluster is followed`,
        );
      }
      await this.#see();
      const due = this.#leaked(graceMs);
      const findings = new Map(due.map((each) => [each, this.#finding(each, graceMs)]));
      const kept = [...this.#suspects.values()].filter((each) => !findings.has(each));
      const failures = dryRun ? new Map<Suspect, string>() : await this.#release(due, graceMs, signal);
      const released: IpamFinding[] = [];
      const failed: IpamFinding[] = [];
      for (const [each, finding] of findings) {
        const message = failures.get(each);
        if (finding !== undefined && message === undefined) {
          released.push(finding);
        } else if (finding !== undefined && message !== undefined) {
          failed.push({ ...finding, message });
        }
      }
      return { dryRun, released, kept: kept.flatMap((each) => this.#finding(each, graceMs) ?? []), failed };
    });
  }

  #next(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, async () => {
      await this.look();
      if (!this.#stopping.signal.aborted) {
        this.#next(LOOK_MS);
      }
    });
  }

  /** One after the other: a look, a check and a release see the same suspects. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#work.then(() => {
      this.#stopping.signal.throwIfAborted();
      return work();
    });
    this.#work = turn.catch(() => undefined);
    return turn;
  }

  /** Why nothing can be said of Pods; "" when something can. */
  #problem(): string {
    const { pods, podsProblem } = this.#options;
    return pods.synced ? (podsProblem?.() ?? "") : "Pods are not listed yet";
  }

  async #see(): Promise<void> {
    const { addresses, clock } = this.#options;
    if (this.#problem() !== "") {
      this.#suspects.clear();
      return;
    }
    const look = this.#suspects.look();
    let seen = 0;
    for (const address of addresses.eachAddress()) {
      look.take(address, clock.monotonic());
      seen += 1;
      if (seen % STEP === 0) {
        await nextTurn();
        this.#stopping.signal.throwIfAborted();
      }
    }
    look.end();
  }

  #leaked(graceMs: number): readonly Suspect[] {
    const now = this.#options.clock.monotonic();
    return [...this.#suspects.values()].filter(
      (each) => this.#suspects.stage(each, now, graceMs) === "leaked",
    );
  }

  /** Says which failed, and why. Each is looked at once more when it is its turn. */
  async #release(
    due: readonly Suspect[],
    graceMs = this.#options.graceMs,
    signal: AbortSignal = this.#stopping.signal,
  ): Promise<ReadonlyMap<Suspect, string>> {
    const { addresses, clock, guard, log } = this.#options;
    const failures = new Map<Suspect, string>();
    for (const each of due) {
      signal.throwIfAborted();
      this.#stopping.signal.throwIfAborted();
      const { name, address, host, pod } = each.address;
      const now = addresses.address(name);
      if (
        this.#problem() !== "" ||
        this.#suspects.of(name) !== each ||
        now === undefined ||
        !isSame(now, each.address) ||
        this.#suspects.stage(each, clock.monotonic(), graceMs) !== "leaked"
      ) {
        failures.set(each, "something speaks for it since: it is kept");
        continue;
      }
      try {
        await addresses.release(name, signal, { podUid: pod?.uid ?? "", address, host, guard });
        this.#collected += 1;
        log.info({ address, name, host, pod }, "a leaked address was released");
        this.#tell(each.address);
      } catch (error) {
        if (!(error instanceof NetworkError)) {
          throw error;
        }
        failures.set(each, error.message);
        log.warn(
          { address, name, host, err: error },
          "a leaked address could not be released; it is tried again",
        );
        if (error.code === "LEADERSHIP_LOST") {
          throw error;
        }
      }
    }
    return failures;
  }

  #tell({ address, name, host, pod }: AddressView): void {
    const { nodes, events } = this.#options;
    const node = nodes?.get(host);
    if (node === undefined) {
      return;
    }
    const of = pod === undefined ? "" : ` of Pod ${pod.namespace}/${pod.name} (${pod.uid})`;
    events?.record({
      subject: { apiVersion: "v1", kind: "Node", namespace: "", name: node.name, uid: node.uid },
      type: "Normal",
      reason: "AddressReleased",
      action: "ReleaseAddress",
      note: `released ${address} ("${name}")${of}: no such Pod, and no such interface on this node`,
    });
  }

  #finding(each: Suspect | undefined, graceMs = this.#options.graceMs): IpamFinding | undefined {
    if (each === undefined) {
      return undefined;
    }
    const { clock } = this.#options;
    const stage = this.#suspects.stage(each, clock.monotonic(), graceMs);
    const { podlessSince } = each.suspicion;
    const due = stage === "waiting" || stage === "leaked" ? dueAt(each.suspicion, graceMs) : undefined;
    const times: LeakTimes = {
      since: this.#wall(podlessSince),
      releaseAt: due === undefined ? null : this.#wall(due),
    };
    return findLeak(each.address, stage, times);
  }

  #wall(monotonicMs: number): string {
    const { clock } = this.#options;
    return new Date(clock.now() + monotonicMs - clock.monotonic()).toISOString();
  }
}
