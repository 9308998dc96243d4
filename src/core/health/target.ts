import type { HealthOptions } from "./options.ts";
import { hostHash } from "./phase.ts";
import type { ProbeTarget, TargetState } from "./state.ts";
import type { NodeHealth, NodeHealthEntry } from "./view.ts";

/** A target of which nothing is known yet. */
export function newTarget({ host, address, role, standIns, zone, own = false }: ProbeTarget): TargetState {
  return {
    kind: "target",
    host,
    address,
    hash: hostHash(host),
    own,
    role,
    zone,
    standIns,
    health: "unknown",
    last: "unknown",
    lostInRow: 0,
    answersInRow: 0,
    holdDownUntilMs: 0,
    wentDownMs: -Infinity,
    doublings: 0,
    sentMs: -Infinity,
    answeredSentMs: -Infinity,
    answeredMs: -Infinity,
    judged: false,
    awaitedBy: [],
    removed: false,
    entry: undefined,
    dueMs: 0,
    place: -1,
  };
}

/** How often it is probed now: gateways and whoever is about to get a verdict quickly, stand-ins at leisure. Milliseconds. */
export function probeIntervalMs(target: TargetState, options: HealthOptions): number {
  if (target.role === "gateway" || target.health === "suspect") {
    return options.intervalMs;
  }
  return target.last === "up" || target.last === "down" ? options.standbyIntervalMs : options.intervalMs;
}

/**
 * Counts an answer. `inTime`: it answers a regular probe before its deadline; any other clears a suspicion but does not count towards `rise`.
 * Returns whether the target came up by it.
 *
 *     before       after an answer in time                     after any other answer
 *     -----------  ------------------------------------------  ----------------------
 *     unknown      rising, or up                               unknown
 *     rising       up after `rise` in a row and the hold-down  rising
 *     up           up                                          up
 *     suspect      as `last`, then as its row says             as `last`
 *     down         rising, or up                               down
 *     unmeasured   as `last`, then as its row says             as `last`
 */
export function countAnswer(
  target: TargetState,
  inTime: boolean,
  nowMs: number,
  options: HealthOptions,
): boolean {
  target.lostInRow = 0;
  if (target.health !== target.last) {
    setHealth(target, target.last, target.last);
  }
  if (!inTime || target.last === "up") {
    return false;
  }
  target.answersInRow += 1;
  if (target.answersInRow >= options.rise && nowMs >= target.holdDownUntilMs) {
    target.holdDownUntilMs = 0;
    setHealth(target, "up", "up");
    return true;
  }
  if (target.last !== "rising") {
    setHealth(target, "rising", "rising");
  }
  return false;
}

/** Counts a lost regular probe. Returns whether the target became suspect by it; one that is down stays down. */
export function countLoss(target: TargetState, options: HealthOptions): boolean {
  target.answersInRow = 0;
  target.lostInRow += 1;
  if (target.health === "unmeasured") {
    setHealth(target, target.last, target.last);
  }
  if (target.last === "down" || target.health === "suspect" || target.lostInRow < options.fall) {
    return false;
  }
  setHealth(target, "suspect", target.last);
  return true;
}

/** Marks that we could not send to it. Everything else about it freezes until a probe can be sent again. */
export function markUnmeasured(target: TargetState): void {
  setHealth(target, "unmeasured", target.last);
}

/** Gives the verdict `down`; the hold-down starts, twice as long as the last one when that was not long ago. */
export function markDown(target: TargetState, nowMs: number, options: HealthOptions): void {
  const again = nowMs - target.wentDownMs <= options.holdDownWindowMs;
  const longestMs = options.holdDownMaxMs;
  // Beyond 2^31 times no option can tell the difference.
  target.doublings = again ? Math.min(target.doublings + 1, 31) : 0;
  target.wentDownMs = nowMs;
  target.holdDownUntilMs = nowMs + Math.min(options.holdDownMs * 2 ** target.doublings, longestMs);
  target.lostInRow = 0;
  target.answersInRow = 0;
  setHealth(target, "down", "down");
}

/** The target's entry of a snapshot; the same object until something changes. */
export function entryOf(target: TargetState): NodeHealthEntry {
  target.entry ??= { health: target.health, last: target.last, holdDownUntil: target.holdDownUntilMs };
  return target.entry;
}

function setHealth(target: TargetState, health: NodeHealth, last: NodeHealthEntry["last"]): void {
  target.health = health;
  target.last = last;
  target.entry = undefined;
}
