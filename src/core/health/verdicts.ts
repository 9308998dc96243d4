import { closeBurst, creditBursts, newBurst } from "./burst.ts";
import type { HealthOptions } from "./options.ts";
import { Recency } from "./recency.ts";
import type { Burst, ProbeTarget, TargetState } from "./state.ts";
import { countAnswer, countLoss, entryOf, markDown, markUnmeasured, newTarget } from "./target.ts";
import type { HealthSnapshot, NodeHealthEntry } from "./view.ts";

/**
 * What the probes led to. Times are monotonic milliseconds. `answered`: the stand-ins (and the one more node) that answered the burst which
 * confirmed this; no route may go to any other.
 */
export type HealthVerdict =
  | {
      readonly kind: "down";
      readonly host: string;
      readonly at: number;
      readonly answered: ReadonlySet<string>;
    }
  | { readonly kind: "up"; readonly host: string; readonly at: number }
  | { readonly kind: "blind"; readonly at: number }
  | { readonly kind: "sighted"; readonly at: number };

/** What `setTargets` changed. `moved`: role changed. */
export interface TargetChanges {
  readonly added: readonly TargetState[];
  readonly moved: readonly TargetState[];
  readonly removed: readonly TargetState[];
}

/**
 * From probe results and times to verdicts: the same calls with the same times give the same verdicts. It sends nothing and waits for nothing: the
 * caller tells what became of each probe, holds the bursts' schedule, and calls `conclude` at its end. State lives in memory only and is changed in place.
 *
 *     what happened                             to whom            then
 *     ----------------------------------------  -----------------  ---------------------------------------------------------
 *     `fall` losses in a row                    not down           suspect; a burst starts
 *     any answer, late or of a burst            suspect            as before; its burst ends
 *     our send failed                           anyone             unmeasured until a probe can be sent; its burst ends
 *     burst over, nobody but it silent          suspect            down; hold-down starts
 *     burst over, nobody else answered either   suspect            stays suspect; we are blind
 *     burst over, others answered at its end    suspect            stays suspect for another burst
 *     any answer                                we, blind          sighted; suspects wait for a fresh burst each
 *     burst began while we were blind           suspect            stays suspect, whatever it says
 *     every target unmeasured                   we                 blind (our own machine, as a target, counts nowhere here)
 *     `rise` answers in row, no hold-down       unknown, rising,   up
 *                                               down
 *
 * "Else answered" is anyone: the burst's own others, or any target that answered a probe sent before the burst's last round (`Burst` says
 * how long before). Each call is O(1), but what starts, rounds or ends a burst, which is O(stand-ins), and `setTargets`.
 */
export class HealthVerdicts {
  readonly #options: HealthOptions;
  readonly #targets = new Map<string, TargetState>();
  readonly #recency = new Recency();
  readonly #bursts = new Map<TargetState, Burst>();
  #verdicts: HealthVerdict[] = [];
  #changed: TargetState[] = [];
  #snapshot: HealthSnapshot | undefined;
  #blind = false;
  #sightedMs = -Infinity;
  #burstStartedMs = -Infinity;
  /** Targets other than our own machine, and how many of them are unmeasured. */
  #foreign = 0;
  #unmeasured = 0;
  #unjudged = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Targets that have had no verdict yet. */
  get unjudged(): number {
    return this.#unjudged;
  }

  /** Makes the targets exactly these. A known host keeps its state unless its address changed; of two with one name the later counts. */
  setTargets(targets: readonly ProbeTarget[]): TargetChanges {
    const wanted = new Map(targets.map((target) => [target.host, target]));
    const changes = { added: [] as TargetState[], moved: [] as TargetState[], removed: [] as TargetState[] };
    for (const state of this.#targets.values()) {
      const target = wanted.get(state.host);
      if (target?.address !== state.address || (target.own ?? false) !== state.own) {
        this.#remove(state);
        changes.removed.push(state);
      }
    }
    for (const target of wanted.values()) {
      const state = this.#targets.get(target.host);
      if (state === undefined) {
        changes.added.push(this.#add(target));
      } else if (this.#update(state, target)) {
        changes.moved.push(state);
      }
    }
    return changes;
  }

  /** A probe that was sent at `sentMs` was answered. `inTime`: it was a regular one, before its deadline. */
  answered(target: TargetState, sentMs: number, inTime: boolean, nowMs: number): void {
    if (target.removed) {
      return;
    }
    target.answeredMs = nowMs;
    target.answeredSentMs = Math.max(target.answeredSentMs, sentMs);
    this.#recency.touch(target);
    if (target.awaitedBy.length > 0) {
      creditBursts(target, sentMs);
    }
    if (this.#blind && !target.own) {
      this.#setBlind(false, nowMs);
    }
    const before = target.health;
    const cameUp = countAnswer(target, inTime, nowMs, this.#options);
    if (target.health !== before) {
      this.#left(target, before);
    }
    if (cameUp) {
      this.#judge(target);
      this.#verdicts.push({ kind: "up", host: target.host, at: nowMs });
    }
  }

  /** A regular probe was lost. Returns the burst to send when the target is suspect by now and one may start. */
  lost(target: TargetState, nowMs: number): Burst | undefined {
    if (target.removed) {
      return undefined;
    }
    const before = target.health;
    const suspect = countLoss(target, this.#options);
    if (target.health !== before) {
      this.#left(target, before);
    }
    return suspect ? this.burstFor(target, nowMs) : undefined;
  }

  /** We could not send to it. */
  sendFailed(target: TargetState, nowMs: number): void {
    if (target.removed || target.health === "unmeasured") {
      return;
    }
    const before = target.health;
    markUnmeasured(target);
    this.#left(target, before);
    this.#unmeasured += target.own ? 0 : 1;
    if (!target.own && this.#unmeasured === this.#foreign) {
      this.#setBlind(true, nowMs);
    }
  }

  /**
   * The burst to send for a suspect, when its turn to be probed comes; `undefined` when it is no suspect, when its burst is under way, or when none may
   * start now: there are `maxBursts`, or we are blind and one started within the last interval.
   */
  burstFor(target: TargetState, nowMs: number): Burst | undefined {
    const tooSoon = this.#blind && nowMs < this.#burstStartedMs + this.#options.intervalMs;
    if (target.health !== "suspect" || this.#bursts.has(target) || tooSoon) {
      return undefined;
    }
    return this.#bursts.size < this.#options.maxBursts ? this.#startBurst(target, nowMs, false) : undefined;
  }

  /** Whether a burst for this target is under way; it needs no regular probes then. */
  hasBurst(target: TargetState): boolean {
    return this.#bursts.size > 0 && this.#bursts.has(target);
  }

  /** The time for answers to a burst's last round is over, and all that arrived was told. Gives the verdict. */
  conclude(burst: Burst, nowMs: number): void {
    if (burst.over) {
      return;
    }
    this.#close(burst);
    const { suspect, startMs, seenUntilMs } = burst;
    if (burst.forced) {
      this.#verdicts.push({ kind: "down", host: suspect.host, at: nowMs, answered: burst.answered });
      return;
    }
    const fresh = !this.#blind && this.#sightedMs < startMs;
    const seen =
      burst.firstAnsweredSentMs <= seenUntilMs || this.#recency.answeredWithin(startMs, seenUntilMs);
    if (fresh && seen) {
      this.#down(suspect, nowMs);
      this.#verdicts.push({ kind: "down", host: suspect.host, at: nowMs, answered: burst.answered });
    } else if (fresh && !this.#recency.answeredWithin(startMs, Infinity)) {
      this.#setBlind(true, nowMs);
    }
  }

  /**
   * Another authority says that the host does not run. It is down at once; the verdict follows when the returned burst has asked its stand-ins. Does
   * nothing, and returns `undefined`, when the host is no target or is down already; one that answers all the same rises again after its hold-down.
   */
  forceDown(host: string, nowMs: number): Burst | undefined {
    const target = this.#targets.get(host);
    if (target === undefined || target.last === "down") {
      return undefined;
    }
    this.#down(target, nowMs);
    return this.#startBurst(target, nowMs, true);
  }

  /** Ends every burst without a verdict. */
  dropBursts(): void {
    for (const burst of this.#bursts.values()) {
      closeBurst(burst);
    }
    this.#bursts.clear();
  }

  /** Whether `takeVerdicts` has any to give. */
  get verdictsWaiting(): boolean {
    return this.#verdicts.length > 0;
  }

  /** The verdicts since the last call, in their order. */
  takeVerdicts(): readonly HealthVerdict[] {
    const taken = this.#verdicts;
    if (taken.length > 0) {
      this.#verdicts = [];
    }
    return taken;
  }

  /** The targets whose health changed since the last call; one may occur several times. */
  takeChanged(): readonly TargetState[] {
    const taken = this.#changed;
    if (taken.length > 0) {
      this.#changed = [];
    }
    return taken;
  }

  /** Everything as it stands; the same object until something changes. */
  snapshot(): HealthSnapshot {
    if (this.#snapshot === undefined) {
      const nodes = new Map<string, NodeHealthEntry>();
      for (const target of this.#targets.values()) {
        nodes.set(target.host, entryOf(target));
      }
      const confirmed = (standIn: string, dead: string) => this.#confirmed(standIn, dead);
      this.#snapshot = { blind: this.#blind, nodes, confirmed };
    }
    return this.#snapshot;
  }

  #confirmed(standIn: string, dead: string): boolean {
    const { burst, burstIntervalMs, burstTimeoutMs } = this.#options;
    const downMs = this.#targets.get(dead)?.wentDownMs ?? -Infinity;
    const answeredSentMs = this.#targets.get(standIn)?.answeredSentMs ?? -Infinity;
    return answeredSentMs >= downMs - ((burst - 1) * burstIntervalMs + burstTimeoutMs);
  }

  #add(target: ProbeTarget): TargetState {
    const state = newTarget(target);
    this.#targets.set(state.host, state);
    this.#recency.add(state);
    this.#foreign += state.own ? 0 : 1;
    this.#unjudged += 1;
    this.#snapshot = undefined;
    return state;
  }

  #remove(state: TargetState): void {
    state.removed = true;
    this.#targets.delete(state.host);
    this.#recency.remove(state);
    this.#endBurst(state);
    state.awaitedBy.length = 0;
    this.#unjudged -= state.judged ? 0 : 1;
    this.#foreign -= state.own ? 0 : 1;
    this.#unmeasured -= state.health === "unmeasured" && !state.own ? 1 : 0;
    this.#snapshot = undefined;
  }

  /** Returns whether the role changed. */
  #update(state: TargetState, { role, standIns, zone }: ProbeTarget): boolean {
    const moved = state.role !== role;
    state.role = role;
    state.standIns = standIns;
    if (state.zone !== zone) {
      this.#recency.remove(state);
      state.zone = zone;
      this.#recency.add(state);
    }
    return moved;
  }

  #startBurst(suspect: TargetState, nowMs: number, forced: boolean): Burst {
    const others = this.#standInsOf(suspect);
    const witness = this.#recency.witness(suspect, others);
    if (witness !== undefined) {
      others.add(witness);
    }
    const burst = newBurst(suspect, [...others], nowMs, forced);
    this.#bursts.set(suspect, burst);
    this.#burstStartedMs = nowMs;
    return burst;
  }

  /** The first `burstStandIns` that are up; where there are fewer, the first of the rest. */
  #standInsOf(suspect: TargetState): Set<TargetState> {
    const known: TargetState[] = [];
    for (const name of suspect.standIns) {
      const target = this.#targets.get(name);
      if (target !== undefined && target !== suspect) {
        known.push(target);
      }
    }
    const ranked = [
      ...known.filter(({ health }) => health === "up"),
      ...known.filter(({ health }) => health !== "up"),
    ];
    return new Set(ranked.slice(0, this.#options.burstStandIns));
  }

  #down(target: TargetState, nowMs: number): void {
    const before = target.health;
    markDown(target, nowMs, this.#options);
    this.#left(target, before);
    this.#judge(target);
  }

  /** The target's health changed from `before`. */
  #left(target: TargetState, before: TargetState["health"]): void {
    this.#snapshot = undefined;
    this.#changed.push(target);
    if (before === "suspect") {
      this.#endBurst(target);
    } else if (before === "unmeasured") {
      this.#unmeasured -= target.own ? 0 : 1;
    }
  }

  #judge(target: TargetState): void {
    if (!target.judged) {
      target.judged = true;
      this.#unjudged -= 1;
    }
  }

  #endBurst(suspect: TargetState): void {
    const burst = this.#bursts.get(suspect);
    if (burst !== undefined && (!burst.forced || suspect.removed)) {
      this.#close(burst);
    }
  }

  #close(burst: Burst): void {
    this.#bursts.delete(burst.suspect);
    closeBurst(burst);
  }

  #setBlind(blind: boolean, nowMs: number): void {
    if (this.#blind === blind) {
      return;
    }
    this.#blind = blind;
    if (!blind) {
      this.#sightedMs = nowMs;
    }
    this.#snapshot = undefined;
    this.#verdicts.push({ kind: blind ? "blind" : "sighted", at: nowMs });
  }
}
