import { HealthMonitor } from "../../src/controllers/health-monitor.ts";
import { DueQueue } from "../../src/core/health/due-queue.ts";
import { type HealthOptions, healthOptions } from "../../src/core/health/options.ts";
import type { ProbeTarget } from "../../src/core/health/state.ts";
import type { HealthVerdict } from "../../src/core/health/verdicts.ts";
import { formatIpv4, type Ipv4 } from "../../src/core/net/ipv4.ts";
import type { Clock, Timer } from "../../src/ports/clock.ts";
import type { Logger } from "../../src/ports/logger.ts";
import type { Prober, ProbeOutcome } from "../../src/ports/prober.ts";

interface QueuedTimer {
  dueMs: number;
  place: number;
  readonly callback: () => void | Promise<void>;
}

/** A clock for millions of timers: `run` fires them in order within one turn of the loop, and waits for no promise. */
export class InstantClock implements Clock {
  readonly #queue = new DueQueue<QueuedTimer>();
  #nowMs = 0;
  /** Timers that fired. */
  fired = 0;
  /** Callbacks that returned a promise. */
  promises = 0;

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void | Promise<void>): Timer {
    const timer: QueuedTimer = { dueMs: 0, place: -1, callback };
    this.#queue.schedule(timer, this.#nowMs + delayMs);
    return { cancel: () => this.#queue.remove(timer) };
  }

  sleep(): Promise<void> {
    return Promise.reject(new Error("nothing here sleeps"));
  }

  /** Fires everything that is due until `untilMs`, which it is then. */
  run(untilMs: number): void {
    for (
      let next = this.#queue.peek();
      next !== undefined && next.dueMs <= untilMs;
      next = this.#queue.peek()
    ) {
      this.#queue.remove(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      this.fired += 1;
      if (next.callback() !== undefined) {
        this.promises += 1;
      }
    }
    this.#nowMs = untilMs;
  }

  /** The process stands still for `ms`: time passes, no timer fires. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }
}

/** What happens to a probe to `host` that is sent at `nowMs`: an outcome after a time, or silence. */
export type Fate = { readonly afterMs: number; readonly outcome: ProbeOutcome } | "silence";

export const ANSWER: ProbeOutcome = { kind: "answer" };

/** A prober without a network: `fate` decides. */
export class FateProber implements Prober {
  readonly #clock: InstantClock;
  readonly #hosts: ReadonlyMap<Ipv4, string>;
  fate: (host: string, nowMs: number) => Fate;
  readonly sent: { readonly host: string; readonly atMs: number }[] = [];
  /** Probes sent; `sent` stays empty while `record` is off. */
  count = 0;
  record = true;
  /** How long settling takes. */
  settleMs = 0;
  /** Whether what comes back from a host now reaches us. */
  arrives: (host: string) => boolean = () => true;
  /** Called by `settle` first: delivers what lies in the buffer. */
  onSettle: () => void = () => undefined;

  constructor(
    clock: InstantClock,
    hosts: ReadonlyMap<Ipv4, string>,
    fate: (host: string, nowMs: number) => Fate,
  ) {
    this.#clock = clock;
    this.#hosts = hosts;
    this.fate = fate;
  }

  probe(address: Ipv4, listener: (outcome: ProbeOutcome) => void): void {
    const host = this.#hosts.get(address) ?? address;
    const fate = this.fate(host, this.#clock.monotonic());
    this.count += 1;
    if (this.record) {
      this.sent.push({ host, atMs: this.#clock.monotonic() });
    }
    if (fate !== "silence") {
      this.#clock.setTimer(fate.afterMs, () => {
        if (this.arrives(host)) {
          listener(fate.outcome);
        }
      });
    }
  }

  settle(callback: () => void | Promise<void>): void {
    this.onSettle();
    if (this.settleMs > 0) {
      this.#clock.setTimer(this.settleMs, callback);
    } else {
      void callback();
    }
  }

  close(): void {
    this.fate = () => "silence";
  }
}

/** Collects what was logged. */
export class ListLogger implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  child(): Logger {
    return this;
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: "error", message, fields });
  }
  warn(fields: object, message: string): void {
    this.lines.push({ level: "warn", message, fields });
  }
  info(fields: object, message: string): void {
    this.lines.push({ level: "info", message, fields });
  }
  debug(fields: object, message: string): void {
    this.lines.push({ level: "debug", message, fields });
  }
}

/** `g1 gateway of zone a, with stand-ins`: one target, its address made from its place in the list. */
export interface NodePlan {
  readonly host: string;
  readonly zone?: string;
  readonly role?: ProbeTarget["role"];
  readonly standIns?: readonly string[];
  readonly own?: boolean;
}

export function targetsOf(plans: readonly NodePlan[]): ProbeTarget[] {
  return plans.map(({ host, zone = "a", role = "stand-in", standIns = [], own }, index) => ({
    host,
    zone,
    role,
    standIns,
    ...(own === undefined ? {} : { own }),
    address: formatIpv4(10 * 2 ** 24 + index + 1),
  }));
}

/** A monitor over nodes whose fate the test decides; time moves by `run` alone. */
export class HealthWorld {
  readonly clock = new InstantClock();
  readonly log = new ListLogger();
  readonly verdicts: HealthVerdict[] = [];
  readonly prober: FateProber;
  readonly monitor: HealthMonitor;
  /** Hosts that are silent now. */
  readonly silent = new Set<string>();
  /** Hosts that we cannot send to now. */
  readonly unsendable = new Set<string>();
  roundTripMs = 0.5;
  changes = 0;

  constructor(plans: readonly NodePlan[], options: Partial<HealthOptions> = {}) {
    const targets = targetsOf(plans);
    const hosts = new Map(targets.map(({ address, host }) => [address, host]));
    this.prober = new FateProber(this.clock, hosts, (host) => this.#fate(host));
    this.monitor = new HealthMonitor({
      prober: this.prober,
      clock: this.clock,
      log: this.log,
      options: healthOptions(options),
      onVerdict: (verdict) => void this.verdicts.push(verdict),
      onChange: () => void (this.changes += 1),
    });
    this.monitor.setTargets(targets);
    this.monitor.start();
  }

  #fate(host: string): Fate {
    if (this.unsendable.has(host)) {
      return { afterMs: 0, outcome: { kind: "send-failed", reason: "Operation not permitted" } };
    }
    // An answer that would arrive while the node is silent was lost on its way too.
    return this.silent.has(host) ? "silence" : { afterMs: this.roundTripMs, outcome: ANSWER };
  }

  /** Lets `ms` pass. */
  run(ms: number): void {
    this.clock.run(this.clock.monotonic() + ms);
  }

  health(host: string): string | undefined {
    return this.monitor.snapshot().nodes.get(host)?.health;
  }

  /** `down g1 at 1200 (s1, s2)`, one line per verdict since the last call. */
  take(): string[] {
    return this.verdicts.splice(0).map(show);
  }
}

export function show(verdict: HealthVerdict): string {
  if (verdict.kind === "down") {
    return `down ${verdict.host} (${[...verdict.answered].toSorted().join(", ")})`;
  }
  return "host" in verdict ? `${verdict.kind} ${verdict.host}` : verdict.kind;
}
