import type { HealthOptions } from "./options.ts";
import type { Burst, TargetState } from "./state.ts";

/** A burst that begins now; `nextRound` says whom to probe. From here on the answers of `others` are credited to it. */
export function newBurst(
  suspect: TargetState,
  others: readonly TargetState[],
  nowMs: number,
  forced: boolean,
): Burst {
  const burst: Burst = {
    kind: "burst",
    suspect,
    forced,
    others,
    startMs: nowMs,
    rounds: 0,
    lastSentMs: nowMs,
    seenUntilMs: -Infinity,
    answered: new Set(),
    firstAnsweredSentMs: Infinity,
    over: false,
    dueMs: nowMs,
    place: -1,
  };
  for (const other of others) {
    other.awaitedBy.push(burst);
  }
  return burst;
}

/** Ends a burst: nobody's answer counts for it any more. */
export function closeBurst(burst: Burst): void {
  burst.over = true;
  for (const { awaitedBy } of burst.others) {
    const at = awaitedBy.indexOf(burst);
    if (at >= 0) {
      awaitedBy.splice(at, 1);
    }
  }
}

/** Credits an answer to every burst that waits for this target and began before the probe was sent. */
export function creditBursts(target: TargetState, sentMs: number): void {
  const { awaitedBy } = target;
  for (let index = awaitedBy.length - 1; index >= 0; index -= 1) {
    const burst = awaitedBy[index];
    if (burst !== undefined && sentMs >= burst.startMs) {
      burst.answered.add(target.host);
      burst.firstAnsweredSentMs = Math.min(burst.firstAnsweredSentMs, target.own ? Infinity : sentMs);
      awaitedBy.splice(index, 1);
    }
  }
}

/**
 * Starts the next round: returns whom to probe now, the suspect first, and sets `dueMs` to the next round or, after the last, to the moment of the verdict.
 * Others that answered, or that another burst has just probed for this one too, are left out.
 */
export function nextRound(burst: Burst, nowMs: number, options: HealthOptions): TargetState[] {
  const asked = burst.forced ? [] : [burst.suspect];
  for (const other of burst.others) {
    const justProbed = other.sentMs >= burst.startMs && nowMs - other.sentMs < options.burstIntervalMs;
    if (!justProbed && !burst.answered.has(other.host) && !other.removed) {
      asked.push(other);
    }
  }
  burst.seenUntilMs = burst.rounds === 0 ? -Infinity : burst.lastSentMs;
  burst.rounds += 1;
  burst.lastSentMs = nowMs;
  burst.dueMs = nowMs + (burst.rounds < options.burst ? options.burstIntervalMs : options.burstTimeoutMs);
  return asked;
}
