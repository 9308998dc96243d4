import type { Ipv4 } from "../../core/net/ipv4.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Prober, ProbeOutcome } from "../../ports/prober.ts";
import { LossyPath, type LossModel } from "./loss-model.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedRegion } from "./simulated-region.ts";

/** A round trip takes `minMs` plus an exponentially distributed rest with the mean `restMs`. */
export interface RoundTrip {
  readonly minMs: number;
  readonly restMs: number;
}

export interface SimulatedProberOptions {
  readonly clock: Clock;
  readonly region: SimulatedRegion;
  readonly random: SeededRandom;
  /** Where the observer stands: on an instance of the region (with it, it falls silent), or outside the cluster in a zone. */
  readonly observer: { readonly instanceId: string } | { readonly zone: string };
  /** Defaults: 0.3 + 0.1 ms within a zone, 0.9 + 0.3 ms between zones. An assumption, not measured. */
  readonly withinZone?: RoundTrip;
  readonly betweenZones?: RoundTrip;
}

/** `silent`: nothing comes through, and nothing says so. `send-failures`: our own machine refuses to send. */
export type CutMode = "silent" | "send-failures";

export interface ProbeCounts {
  readonly sent: number;
  readonly answered: number;
  readonly failedSends: number;
}

/** Probes through the simulated region: who hangs or is gone is silent, paths lose what their model says, the own link may be cut. */
export class SimulatedProber implements Prober {
  readonly #clock: Clock;
  readonly #region: SimulatedRegion;
  readonly #random: SeededRandom;
  readonly #observer: SimulatedProberOptions["observer"];
  readonly #withinZone: RoundTrip;
  readonly #betweenZones: RoundTrip;
  readonly #paths = new Map<Ipv4, LossyPath>();
  readonly #lossOf = new Map<Ipv4, LossModel>();
  #lossOfAll: LossModel | undefined;
  #lossChanges = 0;
  #cut: CutMode | undefined;
  #closed = false;
  #sent = 0;
  #answered = 0;
  #failedSends = 0;

  constructor(options: SimulatedProberOptions) {
    this.#clock = options.clock;
    this.#region = options.region;
    this.#random = options.random;
    this.#observer = options.observer;
    this.#withinZone = options.withinZone ?? { minMs: 0.3, restMs: 0.1 };
    this.#betweenZones = options.betweenZones ?? { minMs: 0.9, restMs: 0.3 };
  }

  probe(address: Ipv4, listener: (outcome: ProbeOutcome) => void): void {
    if (this.#closed) {
      return;
    }
    if (this.#cut === "send-failures") {
      this.#failedSends += 1;
      this.#clock.setTimer(0, () => {
        listener({ kind: "send-failed", reason: "network is unreachable" });
      });
      return;
    }
    this.#sent += 1;
    const target = this.#region.interfaceAt(address);
    if (target === undefined || this.#loses(address)) {
      return;
    }
    const zone = this.#region.subnets.get(target.subnetId)?.zone;
    const { minMs, restMs } = zone === this.#zone() ? this.#withinZone : this.#betweenZones;
    this.#clock.setTimer(minMs + this.#random.exponential(restMs), () => {
      if (!this.#closed && this.#isLinked() && this.#region.isAlive(target.instanceId)) {
        this.#answered += 1;
        listener({ kind: "answer" });
      }
    });
  }

  settle(callback: () => void | Promise<void>): void {
    this.#clock.setTimer(0, callback);
  }

  close(): void {
    this.#closed = true;
  }

  /** Cuts the observer off, or (`undefined`) links it again. */
  cut(mode: CutMode | undefined): void {
    this.#cut = mode;
  }

  /** Sets how paths lose packets from now on, to these addresses or to all; `undefined` ends it. */
  setLoss(model: LossModel | undefined, addresses?: readonly Ipv4[]): void {
    this.#lossChanges += 1;
    if (addresses === undefined) {
      this.#lossOfAll = model;
      this.#lossOf.clear();
      this.#paths.clear();
      return;
    }
    for (const address of addresses) {
      this.#paths.delete(address);
      if (model === undefined) {
        this.#lossOf.delete(address);
      } else {
        this.#lossOf.set(address, model);
      }
    }
  }

  counts(): ProbeCounts {
    return { sent: this.#sent, answered: this.#answered, failedSends: this.#failedSends };
  }

  #loses(address: Ipv4): boolean {
    if (this.#cut !== undefined || !this.#isLinked()) {
      return true;
    }
    const model = this.#lossOf.get(address) ?? this.#lossOfAll;
    if (model === undefined || model.probability === 0) {
      return false;
    }
    const now = this.#clock.monotonic();
    let path = this.#paths.get(address);
    if (path === undefined) {
      path = new LossyPath(model, this.#random.fork(`loss ${this.#lossChanges} ${address}`), now);
      this.#paths.set(address, path);
    }
    return path.loses(now);
  }

  #isLinked(): boolean {
    const standsOn = "instanceId" in this.#observer ? this.#observer.instanceId : undefined;
    return this.#cut === undefined && (standsOn === undefined || this.#region.isAlive(standsOn));
  }

  #zone(): string | undefined {
    return "zone" in this.#observer
      ? this.#observer.zone
      : this.#region.instances.get(this.#observer.instanceId)?.zone;
  }
}
