import type { TargetState } from "./state.ts";

interface Link {
  readonly target: TargetState;
  newer: Link | undefined;
  older: Link | undefined;
}

interface Zone {
  newest: Link | undefined;
  oldest: Link | undefined;
}

/** How many nodes of a zone are looked at for one that is up, beside those that must not be chosen. */
const LOOKS = 8;

/**
 * Targets by zone (our own machine is none of them), the one that answered last in front. Tells in a few steps who is the best witness that we can still see anything, and whether
 * anybody answered within a window of time. Moving a target to the front is O(1).
 */
export class Recency {
  readonly #links = new Map<TargetState, Link>();
  readonly #zones = new Map<string, Zone>();

  /** A target that has not answered yet comes last in its zone. */
  add(target: TargetState): void {
    if (target.own) {
      return;
    }
    const zone = this.#zone(target.zone);
    const link: Link = { target, newer: zone.oldest, older: undefined };
    if (zone.oldest === undefined) {
      zone.newest = link;
    } else {
      zone.oldest.older = link;
    }
    zone.oldest = link;
    this.#links.set(target, link);
  }

  /** To be called before the target's zone is changed. */
  remove(target: TargetState): void {
    const link = this.#links.get(target);
    if (link === undefined) {
      return;
    }
    const zone = this.#zone(target.zone);
    unlink(zone, link);
    this.#links.delete(target);
    if (zone.newest === undefined) {
      this.#zones.delete(target.zone);
    }
  }

  /** The target answered just now. */
  touch(target: TargetState): void {
    const link = this.#links.get(target);
    if (link === undefined || link.newer === undefined) {
      return;
    }
    const zone = this.#zone(target.zone);
    unlink(zone, link);
    link.older = zone.newest;
    if (zone.newest === undefined) {
      zone.oldest = link;
    } else {
      zone.newest.newer = link;
    }
    zone.newest = link;
  }

  /**
   * The node beside `suspect` and `others` that most surely answers if we can see at all: one that is up before one that is not, one of another
   * zone before one of the suspect's, then the one that answered last.
   */
  witness(suspect: TargetState, others: ReadonlySet<TargetState>): TargetState | undefined {
    let best: TargetState | undefined;
    let bestRank = -1;
    for (const zone of this.#zones.values()) {
      const candidate = candidateOf(zone, suspect, others);
      if (candidate !== undefined) {
        const rank = (candidate.health === "up" ? 2 : 0) + (candidate.zone === suspect.zone ? 0 : 1);
        if (
          rank > bestRank ||
          (rank === bestRank && best !== undefined && candidate.answeredMs > best.answeredMs)
        ) {
          best = candidate;
          bestRank = rank;
        }
      }
    }
    return best;
  }

  /** Whether anybody answered a probe that was sent from `fromMs` to `untilMs`, both included. Looks at those who answered since `fromMs` only. */
  answeredWithin(fromMs: number, untilMs: number): boolean {
    for (const zone of this.#zones.values()) {
      for (
        let link = zone.newest;
        link !== undefined && link.target.answeredMs >= fromMs;
        link = link.older
      ) {
        const sentMs = link.target.answeredSentMs;
        if (sentMs >= fromMs && sentMs <= untilMs) {
          return true;
        }
      }
    }
    return false;
  }

  #zone(name: string): Zone {
    let zone = this.#zones.get(name);
    if (zone === undefined) {
      zone = { newest: undefined, oldest: undefined };
      this.#zones.set(name, zone);
    }
    return zone;
  }
}

function candidateOf(
  zone: Zone,
  suspect: TargetState,
  others: ReadonlySet<TargetState>,
): TargetState | undefined {
  let first: TargetState | undefined;
  let looks = 0;
  for (let link = zone.newest; link !== undefined && looks < LOOKS; link = link.older) {
    const { target } = link;
    if (target !== suspect && !others.has(target)) {
      if (target.health === "up") {
        return target;
      }
      first ??= target;
      looks += 1;
    }
  }
  return first;
}

function unlink(zone: Zone, link: Link): void {
  if (link.newer === undefined) {
    zone.newest = link.older;
  } else {
    link.newer.older = link.older;
  }
  if (link.older === undefined) {
    zone.oldest = link.newer;
  } else {
    link.older.newer = link.newer;
  }
  link.newer = undefined;
  link.older = undefined;
}
