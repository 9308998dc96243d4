import { nextRound } from "../core/health/burst.ts";
import { DueQueue } from "../core/health/due-queue.ts";
import { type OpenProbe, OpenProbes } from "../core/health/open-probes.ts";
import type { HealthOptions } from "../core/health/options.ts";
import { nextInPhase } from "../core/health/phase.ts";
import type { Burst, ProbeTarget, TargetState } from "../core/health/state.ts";
import { probeIntervalMs } from "../core/health/target.ts";
import { type HealthVerdict, HealthVerdicts } from "../core/health/verdicts.ts";
import type { HealthSnapshot } from "../core/health/view.ts";
import type { Ipv4 } from "../core/net/ipv4.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Prober, ProbeOutcome } from "../ports/prober.ts";

export interface HealthMonitorParts {
  readonly prober: Prober;
  readonly clock: Clock;
  readonly log: Logger;
  /** Checked ones (`healthOptions`). */
  readonly options: HealthOptions;
  /** Called with each verdict at once, without waiting for the work on the one before. What it rejects with is logged. */
  readonly onVerdict: (verdict: HealthVerdict) => void | Promise<void>;
  /** Whether an address is this machine's (`adapters/probe/own-addresses`): its answers then prove nothing about the network. Default: none is. */
  readonly isOwn?: (address: Ipv4) => boolean;
  /** Called after the snapshot changed, at most once per turn. */
  readonly onChange?: () => void;
}

interface Waiter {
  readonly done: () => void;
}

/**
 * Probes the targets and tells the verdicts of `core/health`. Every target has its own place in the interval (by its name's hash), so probes of many spread
 * by themselves. Deadlines are judged after `prober.settle` only: what lies unread in a socket is no loss.
 *
 *     one timer for what is due first ──► a target's turn: probe, or a burst if suspect ──► prober
 *                                     ├─► a burst's next round ─────────────────────────► prober
 *                                     └─► a deadline: settle, judge ──► verdicts ──► onVerdict
 *     prober's answers ──► verdicts (up, sighted) ──► a timer of 0 ms ──► onVerdict
 */
export class HealthMonitor {
  readonly #parts: HealthMonitorParts;
  readonly #verdicts: HealthVerdicts;
  readonly #due = new DueQueue<TargetState | Burst>();
  readonly #probes: OpenProbes;
  /** Bursts whose last round's time is over, to be judged after the next settling. */
  #ending: Burst[] = [];
  #running = false;
  #settling = false;
  #timer: Timer | undefined;
  #timerMs = Infinity;
  #flushTimer: Timer | undefined;
  #waiters = new Set<Waiter>();

  constructor(parts: HealthMonitorParts) {
    this.#parts = parts;
    this.#probes = new OpenProbes(parts.options.timeoutMs);
    this.#verdicts = new HealthVerdicts(parts.options);
  }

  /** Begins to probe. */
  start(): void {
    if (this.#running) {
      return;
    }
    this.#running = true;
    this.#arm();
  }

  /**
   * Probes no more. What the prober still answers changes nothing, and bursts under way give no verdict; the state is kept for another `start`. The prober
   * stays open.
   */
  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timerMs = Infinity;
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
    this.#probes.clear();
    this.#ending = [];
    this.#verdicts.dropBursts();
  }

  /** Makes the targets exactly these. A known host keeps its state, also when its role changes; at another address it starts anew. */
  setTargets(targets: readonly ProbeTarget[]): void {
    const nowMs = this.#parts.clock.monotonic();
    const { isOwn } = this.#parts;
    const known =
      isOwn === undefined ? targets : targets.map((target) => ({ own: isOwn(target.address), ...target }));
    const { added, moved, removed } = this.#verdicts.setTargets(known);
    for (const target of removed) {
      this.#due.remove(target);
    }
    for (const target of [...added, ...moved]) {
      this.#hurry(target, nowMs);
    }
    if (added.length > 0 || removed.length > 0) {
      this.#changed();
    }
    if (this.#running) {
      this.#arm();
    }
  }

  /** Another authority (EC2's instance state) says that this host does not run: down, as soon as its stand-ins were asked. */
  forceDown(host: string): void {
    const nowMs = this.#parts.clock.monotonic();
    const burst = this.#verdicts.forceDown(host, nowMs);
    if (burst !== undefined) {
      this.#due.schedule(burst, nowMs);
      this.#heard();
    }
  }

  /** All verdicts now. Cheap: the same object until something changes. */
  snapshot(): HealthSnapshot {
    return this.#verdicts.snapshot();
  }

  /** Resolves when every target has had a first verdict, at the latest after `maxMs`. Rejects with the signal's reason when it is aborted. */
  whenMeasured(signal: AbortSignal, maxMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      if (this.#verdicts.unjudged === 0) {
        resolve();
        return;
      }
      const end = (): void => {
        this.#waiters.delete(waiter);
        timer.cancel();
        signal.removeEventListener("abort", abort);
      };
      const waiter = {
        done: () => {
          end();
          resolve();
        },
      };
      const abort = (): void => {
        end();
        reject(signal.reason as Error);
      };
      const timer = this.#parts.clock.setTimer(maxMs, waiter.done);
      signal.addEventListener("abort", abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** What is due: turns, rounds, deadlines. Returns a promise when verdicts were told. */
  #tick(): void | Promise<void> {
    this.#timerMs = Infinity;
    const nowMs = this.#parts.clock.monotonic();
    for (let item = this.#due.peek(); item !== undefined && item.dueMs <= nowMs; item = this.#due.peek()) {
      if (item.kind === "target") {
        this.#turn(item, nowMs);
      } else if (item.over) {
        this.#due.remove(item);
      } else if (item.rounds < this.#parts.options.burst) {
        this.#round(item, nowMs);
      } else {
        this.#due.remove(item);
        this.#ending.push(item);
      }
    }
    const work = this.#settle(nowMs);
    this.#arm();
    return work;
  }

  /** Judges what is over by `nowMs`, once everything that has arrived was heard. */
  #settle(nowMs: number): void | Promise<void> {
    const overdue = this.#probes.nextDeadline() <= nowMs;
    if (this.#settling || (!overdue && this.#ending.length === 0)) {
      return undefined;
    }
    const ending = this.#ending;
    this.#ending = [];
    this.#settling = true;
    let work: void | Promise<void> = undefined;
    this.#parts.prober.settle(() => {
      this.#settling = false;
      work = this.#running ? this.#judge(nowMs, ending) : undefined;
      return work;
    });
    return work;
  }

  #judge(untilMs: number, ending: readonly Burst[]): void | Promise<void> {
    const nowMs = this.#parts.clock.monotonic();
    for (const burst of ending) {
      this.#verdicts.conclude(burst, nowMs);
    }
    for (
      let probe = this.#probes.takeOverdue(untilMs);
      probe !== undefined;
      probe = this.#probes.takeOverdue(untilMs)
    ) {
      const burst = this.#verdicts.lost(probe.target, nowMs);
      if (burst !== undefined) {
        this.#round(burst, nowMs);
      }
    }
    const work = this.#after();
    this.#arm();
    return work;
  }

  /** A target's turn to be probed. */
  #turn(target: TargetState, nowMs: number): void {
    const intervalMs = probeIntervalMs(target, this.#parts.options);
    const dueMs = nextInPhase(target.hash, intervalMs, Math.max(nowMs, target.dueMs));
    // After a stall the next place may be near; two probes at once would be lost together.
    this.#due.schedule(target, dueMs - nowMs < intervalMs / 2 ? dueMs + intervalMs : dueMs);
    if (this.#verdicts.hasBurst(target)) {
      return;
    }
    const burst = this.#verdicts.burstFor(target, nowMs);
    if (burst === undefined) {
      this.#probe(target, nowMs, true);
    } else {
      this.#round(burst, nowMs);
    }
  }

  #round(burst: Burst, nowMs: number): void {
    for (const target of nextRound(burst, nowMs, this.#parts.options)) {
      this.#probe(target, nowMs, false);
    }
    this.#due.schedule(burst, burst.dueMs);
  }

  #probe(target: TargetState, nowMs: number, regular: boolean): void {
    const probe: OpenProbe = { target, sentMs: nowMs, open: regular };
    target.sentMs = nowMs;
    if (regular) {
      this.#probes.push(probe);
    }
    this.#parts.prober.probe(target.address, (outcome) => this.#hear(probe, outcome));
  }

  #hear(probe: OpenProbe, outcome: ProbeOutcome): void {
    const inTime = probe.open;
    if (!this.#running) {
      return;
    }
    switch (outcome.kind) {
      case "answer":
        probe.open = false;
        this.#verdicts.answered(probe.target, probe.sentMs, inTime, this.#parts.clock.monotonic());
        break;
      case "send-failed":
        probe.open = false;
        this.#sendFailed(probe.target, outcome.reason);
        break;
      case "error":
        // It is lost like one that nobody answers, and no sooner: the bounds of detection hold for both.
        return;
    }
    this.#heard();
  }

  #sendFailed(target: TargetState, reason: string): void {
    const before = target.health;
    this.#verdicts.sendFailed(target, this.#parts.clock.monotonic());
    if (target.health !== before) {
      this.#parts.log.warn(
        { host: target.host, address: target.address, reason },
        "cannot send probes to a host",
      );
    }
  }

  /** After an answer: most change nothing. Verdicts are told from a timer, so that a simulated clock can wait for the work on them. */
  #heard(): void {
    const changed = this.#verdicts.takeChanged();
    if (changed.length > 0) {
      this.#reschedule(changed);
    }
    if (this.#verdicts.verdictsWaiting && this.#flushTimer === undefined) {
      this.#flushTimer = this.#parts.clock.setTimer(0, () => {
        this.#flushTimer = undefined;
        return this.#after();
      });
    }
  }

  /** Tells what happened. Returns a promise that never rejects when somebody was told a verdict. */
  #after(): void | Promise<void> {
    const changed = this.#verdicts.takeChanged();
    if (changed.length > 0) {
      this.#reschedule(changed);
    }
    const verdicts = this.#verdicts.takeVerdicts();
    if (verdicts.length === 0) {
      return undefined;
    }
    return Promise.all(verdicts.map((verdict) => this.#tell(verdict))).then(() => undefined);
  }

  async #tell(verdict: HealthVerdict): Promise<void> {
    const { log, onVerdict } = this.#parts;
    const host = "host" in verdict ? { host: verdict.host } : {};
    const answered = verdict.kind === "down" ? { answered: [...verdict.answered] } : {};
    log[verdict.kind === "blind" ? "warn" : "info"]({ ...host, ...answered }, MESSAGES[verdict.kind]);
    try {
      await onVerdict(verdict);
    } catch (error) {
      log.error({ err: error, verdict: verdict.kind, ...host }, "a health verdict could not be acted on");
    }
  }

  #reschedule(changed: readonly TargetState[]): void {
    const nowMs = this.#parts.clock.monotonic();
    for (const target of changed) {
      if (!target.removed) {
        this.#hurry(target, nowMs);
      }
    }
    this.#changed();
    if (this.#running) {
      this.#arm();
    }
  }

  /** Brings a target's next turn forward when its interval became shorter. */
  #hurry(target: TargetState, nowMs: number): void {
    const intervalMs = probeIntervalMs(target, this.#parts.options);
    if (target.place < 0 || target.dueMs - nowMs > intervalMs) {
      this.#due.schedule(target, nextInPhase(target.hash, intervalMs, nowMs));
    }
  }

  #changed(): void {
    if (this.#verdicts.unjudged === 0) {
      for (const waiter of this.#waiters) {
        waiter.done();
      }
    }
    this.#parts.onChange?.();
  }

  /** Sets the timer for what is due first. A settling under way arms again at its end. */
  #arm(): void {
    const deadlineMs = this.#ending.length > 0 ? -Infinity : this.#probes.nextDeadline();
    const dueMs = Math.min(this.#settling ? Infinity : deadlineMs, this.#due.peek()?.dueMs ?? Infinity);
    if (dueMs >= this.#timerMs || dueMs === Infinity) {
      return;
    }
    this.#timer?.cancel();
    this.#timerMs = dueMs;
    const { clock } = this.#parts;
    this.#timer = clock.setTimer(Math.max(0, dueMs - clock.monotonic()), () => this.#tick());
  }
}

const MESSAGES: Readonly<Record<HealthVerdict["kind"], string>> = {
  down: "a host is down",
  up: "a host is up",
  blind: "nobody answers us: health moves nothing until somebody does",
  sighted: "probes are answered again",
};
