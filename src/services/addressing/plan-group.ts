import { NetworkError } from "../../core/errors.ts";
import { planAllocation } from "../../core/ipam/allocate.ts";
import type { AddressChange, Change } from "../../core/ipam/change.ts";
import { planRelease } from "../../core/ipam/release.ts";
import { applyTentatively } from "../../core/ipam/tentative.ts";
import { formatIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import type { StoreLimits, Transaction } from "../../ports/store.ts";
import {
  addAddressChange,
  createDraft,
  finish,
  type TransactionContext,
  type WrittenRecords,
} from "./transaction.ts";
import type { UnderWay } from "./under-way.ts";
import type { Waiting, WaitingAllocation, WaitingLine, WaitingRelease } from "./waiting.ts";

/** Compares, and operations, of one shared transaction (etcd's bound). */
const MAX_GROUP = 128;
/** Compares or operations that one more allocation may add. */
const PER_MEMBER = 4;
/** Characters of keys and values that a group may come to, at three bytes each at worst. */
const MAX_CHARACTERS = 256 * 1024;
/** Changes that are passed over because they wait for what is on its way. */
const MAX_PASSED = 256;
/** Among how many free blocks one chooses that lost a new block to another replica. */
const SPREAD = 8;

/** An allocation or release with the plan that a shared transaction makes durable. */
export type Member =
  | {
      readonly kind: "allocate";
      readonly waiting: WaitingAllocation;
      readonly keys: readonly string[];
      readonly address: Ipv4;
      readonly newBlock: boolean;
    }
  | {
      readonly kind: "release";
      readonly waiting: WaitingRelease;
      readonly keys: readonly string[];
      readonly name: string;
    }
  /** What was refused on account of members before it: it is, once those are durable. */
  | {
      readonly kind: "refusal";
      readonly waiting: WaitingAllocation | WaitingRelease;
      readonly error: unknown;
    };

/** What one transaction takes of the line. */
export interface Group {
  readonly members: readonly Member[];
  /** Absent when there is nothing to write. */
  readonly transaction: Transaction | undefined;
  /** What the transaction writes. */
  readonly written: WrittenRecords | undefined;
  /** What the members do, in their order. */
  readonly changes: readonly AddressChange[];
  /** How many went back to the head of the line: they touch the same names, hosts or blocks as a transaction on its way, or would be refused without it. */
  readonly passed: number;
  /** What the cache says no to, which may not know yet what another replica did. */
  readonly doubted: readonly (WaitingAllocation | WaitingRelease)[];
  /** A release that moves its host: it needs a transaction of its own, after this one. */
  readonly alone: WaitingRelease | undefined;
}

export interface GroupOptions {
  readonly limits: StoreLimits;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly underWay: UnderWay;
}

const NOTHING: Group = {
  members: [],
  transaction: undefined,
  written: undefined,
  changes: [],
  passed: 0,
  doubted: [],
  alone: undefined,
};

/**
 * Takes allocations and releases from the head of the line, in order, as many as fit one transaction. Each is planned on the state as those before it leave it (`applyTentatively`), so a group has
 * exactly the outcome of one after the other, also for several in one block; then all is taken back, and the state is what the store has. It is one synchronous step: nobody sees the state in
 * between, and the revisions to compare are those of the state that was planned on. Refusals that rest on no other member are answered at once.
 */
export function planGroup(
  context: TransactionContext,
  line: WaitingLine,
  { limits, random, underWay }: GroupOptions,
): Group {
  const draft = createDraft(context);
  const changes: AddressChange[] = [];
  const passed: Waiting[] = [];
  const members: Member[] = [];
  const doubted: (WaitingAllocation | WaitingRelease)[] = [];
  const undo: (() => void)[] = [];
  let alone: WaitingRelease | undefined;
  const most = Math.min(MAX_GROUP, limits.operations) - PER_MEMBER;
  const characters = Math.min(MAX_CHARACTERS, limits.bytes / 4);
  try {
    for (;;) {
      const isFull = draft.compare.size > most || draft.values.size > most || draft.size > characters;
      const waiting = line.peek();
      if (
        waiting === undefined ||
        waiting.kind === "decision" ||
        (isFull && members.length > 0) ||
        passed.length >= MAX_PASSED
      ) {
        break;
      }
      line.shift();
      if (waiting.signal.aborted) {
        waiting.reject(waiting.signal.reason);
        continue;
      }
      try {
        const change = decide(context, waiting, random);
        if (change === undefined) {
          alone = waiting.kind === "release" ? waiting : undefined;
          break;
        }
        if (underWay.touches(change)) {
          passed.push(waiting);
          continue;
        }
        members.push(memberOf(waiting, change, addAddressChange(context, draft, change)));
        undo.push(applyTentatively(context.addressing.state, change));
        changes.push(change);
      } catch (error) {
        if (!isRefusal(error)) {
          // A bug, or a state in need of being read again: what is planned cannot be trusted.
          [waiting, ...members.map((member) => member.waiting)].forEach(({ reject }) => reject(error));
          line.putBack(passed);
          return NOTHING;
        }
        if (!underWay.isEmpty && isDoubtful(error)) {
          passed.push(waiting);
        } else if (waiting.isFresh !== true && isDoubtful(error)) {
          doubted.push(waiting);
        } else if (undo.length === 0) {
          waiting.reject(error);
        } else {
          members.push({ kind: "refusal", waiting, error });
        }
      }
    }
  } finally {
    for (const takeBack of undo.toReversed()) {
      takeBack();
    }
  }
  line.putBack(passed);
  const transaction = undo.length === 0 ? undefined : finish(context, draft, Infinity);
  return { members, transaction, written: draft.written, changes, passed: passed.length, doubted, alone };
}

/** True for a refusal that rests on what the cache has; what is wrong by itself stays wrong. */
export function isDoubtful(error: unknown): boolean {
  return error instanceof NetworkError && error.kind !== "invalid";
}

/** The step that the change comes to; `undefined` for a release that takes more than its own. */
function decide(
  { addressing: { state } }: TransactionContext,
  waiting: WaitingAllocation | WaitingRelease,
  random: () => number,
): AddressChange | undefined {
  if (waiting.kind === "release") {
    return soleChange(planRelease(state, waiting.nameOrIp, waiting.only).changes);
  }
  const skip = waiting.spread ? Math.floor(random() * SPREAD) : 0;
  const change = soleChange(planAllocation(state, waiting.request, skip).changes);
  if (change === undefined) {
    throw new TypeError("an allocation is one step");
  }
  return change;
}

function memberOf(
  waiting: WaitingAllocation | WaitingRelease,
  { name, address, block }: AddressChange,
  keys: readonly string[],
): Member {
  return waiting.kind === "allocate"
    ? {
        kind: "allocate",
        waiting,
        keys,
        address: formatIpv4(address),
        newBlock: block?.holding === undefined,
      }
    : { kind: "release", waiting, keys, name };
}

/** True for an answer that a plan gave; false for a step that does not fit the state, and for bugs. */
function isRefusal(error: unknown): boolean {
  return error instanceof NetworkError && error.code !== "STATE_INCONSISTENT";
}

function soleChange(changes: readonly Change[]): AddressChange | undefined {
  const [change, ...others] = changes;
  return others.length === 0 && (change?.kind === "allocate" || change?.kind === "release")
    ? change
    : undefined;
}
