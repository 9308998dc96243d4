import type { DueItem } from "./due-queue.ts";
import type { HealthOptions } from "./options.ts";
import type { TargetState } from "./target.ts";

/**
 * The quick probes that confirm or clear one suspicion. The suspect gets every round, the others each round until they answered.
 *
 *     start   +25 ms   +50 ms   +75 ms (seenUntilMs)   +100 ms    +200 ms
 *     round 1 round 2  round 3  round 4                round 5    verdict
 *     └─ others' answers to probes sent here prove ─┘
 *        that we could see
 *
 * Why not later: an interruption of ours that ends about the last round could let another's answer in, while the suspect is not asked again. So
 * the suspect was asked once more, one gap of the burst later, than anything that counts; round trips may differ by that gap.
 */
export interface Burst extends DueItem {
  readonly kind: "burst";
  readonly suspect: TargetState;
  /** The suspect is down already by another's word: the burst only asks who could take over. */
  readonly forced: boolean;
  /** Its stand-ins and one more node. */
  readonly others: readonly TargetState[];
  readonly startMs: number;
  rounds: number;
  lastSentMs: number;
  /** When the round before the last one was sent. */
  seenUntilMs: number;
  /** Those of `others` that answered a probe sent since the start. */
  readonly answered: Set<string>;
  /** When the first of the answered probes was sent. */
  firstAnsweredSentMs: number;
  /** Concluded, or cleared: whatever is still scheduled for it is void. */
  over: boolean;
}

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
      burst.firstAnsweredSentMs = Math.min(burst.firstAnsweredSentMs, sentMs);
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
