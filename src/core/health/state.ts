import type { Ipv4 } from "../net/ipv4.ts";
import type { DueItem } from "./due-queue.ts";
import type { NodeHealth, NodeHealthEntry } from "./view.ts";

/** A node to probe. */
export interface ProbeTarget {
  readonly host: string;
  readonly address: Ipv4;
  /** `gateway`: holds routes now. `stand-in`: could take some over. */
  readonly role: "gateway" | "stand-in";
  /** Hosts that could take over its routes, the best first; names that are no targets are passed over. */
  readonly standIns: readonly string[];
  /** Nodes of one zone are expected to fail together: a suspect's witness comes from another one if it can. */
  readonly zone: string;
  /** This very machine, default no: it answers itself whatever becomes of the network, so its answers never prove that we can see. */
  readonly own?: boolean;
}

/** What the probes said of one target so far. Changed in place by the functions below and by `HealthVerdicts`; others only read it. */
export interface TargetState extends DueItem {
  readonly kind: "target";
  readonly host: string;
  readonly address: Ipv4;
  readonly hash: number;
  readonly own: boolean;
  role: ProbeTarget["role"];
  zone: string;
  standIns: readonly string[];
  health: NodeHealth;
  last: NodeHealthEntry["last"];
  /** Probes lost, and answers in time, since the last of the other kind. */
  lostInRow: number;
  answersInRow: number;
  /** Monotonic ms; 0 when there is none. */
  holdDownUntilMs: number;
  /** The last time it went down, and how often the hold-down has been doubled since it was calm. */
  wentDownMs: number;
  doublings: number;
  /** When its last probe was sent and when the last one that it answered was sent and answered; -Infinity for never. */
  sentMs: number;
  answeredSentMs: number;
  answeredMs: number;
  /** Has had its first verdict, up or down. */
  judged: boolean;
  /** Bursts that still wait for its answer. */
  readonly awaitedBy: Burst[];
  /** No longer a target: what still arrives for it means nothing. */
  removed: boolean;
  /** The snapshot's entry, made when it is asked for. */
  entry: NodeHealthEntry | undefined;
}

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
  /** When the first of the answered probes was sent; those to our own machine apart. */
  firstAnsweredSentMs: number;
  /** Concluded, or cleared: whatever is still scheduled for it is void. */
  over: boolean;
}
