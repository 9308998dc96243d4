import { NetworkError } from "../../core/errors.ts";
import { planAllocation } from "../../core/ipam/allocate.ts";
import type { AddressChange, Change } from "../../core/ipam/change.ts";
import { planRelease } from "../../core/ipam/release.ts";
import { applyTentatively } from "../../core/ipam/tentative.ts";
import { formatIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import type { StoreLimits, Transaction } from "../../ports/store.ts";
import { addAddressChange, createDraft, finish, type Draft, type TransactionContext } from "./transaction.ts";
import type { WaitingAllocation, WaitingLine, WaitingRelease } from "./waiting.ts";

/** Compares, and operations, of one shared transaction (etcd's bound). */
const MAX_GROUP = 128;
/** Compares or operations that one more allocation may add. */
const PER_MEMBER = 4;
/** Characters of keys and values that a group may come to, at three bytes each at worst. */
const MAX_CHARACTERS = 256 * 1024;
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
  /** What the cache says no to, which may not know yet what another replica did. */
  readonly doubted: readonly (WaitingAllocation | WaitingRelease)[];
  /** A release that moves its host: it needs a transaction of its own, after this one. */
  readonly alone: WaitingRelease | undefined;
}

/**
 * Takes allocations and releases from the head of the line, in order, as many as fit one transaction. Each is planned on the state as those before it leave it (`applyTentatively`), so a group has
 * exactly the outcome of one after the other, also for several in one block; then all is taken back, and the state is what the store has. It is one synchronous step: nobody sees the state in
 * between, and the revisions to compare are those of the state that was planned on. Refusals that rest on no other member are answered at once.
 */
export function planGroup(
  context: TransactionContext,
  line: WaitingLine,
  limits: StoreLimits,
  random: () => number,
): Group {
  const draft = createDraft(context);
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
      if (waiting === undefined || waiting.kind === "decision" || (isFull && members.length > 0)) {
        break;
      }
      line.shift();
      if (waiting.signal.aborted) {
        waiting.reject(waiting.signal.reason);
        continue;
      }
      try {
        const member = planMember(context, draft, waiting, undo, random);
        if (member === undefined) {
          alone = waiting.kind === "release" ? waiting : undefined;
          break;
        }
        members.push(member);
      } catch (error) {
        if (!isRefusal(error)) {
          // A bug, or a state in need of being read again: what is planned cannot be trusted.
          [waiting, ...members.map((member) => member.waiting)].forEach(({ reject }) => reject(error));
          return { members: [], transaction: undefined, doubted: [], alone: undefined };
        }
        if (waiting.isFresh !== true && isDoubtful(error)) {
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
  const transaction = undo.length === 0 ? undefined : finish(context, draft, Infinity);
  return { members, transaction, doubted, alone };
}

/** True for a refusal that rests on what the cache has; what is wrong by itself stays wrong. */
export function isDoubtful(error: unknown): boolean {
  return error instanceof NetworkError && error.kind !== "invalid";
}

/** `undefined` for a release that takes more than its own steps. */
function planMember(
  context: TransactionContext,
  draft: Draft,
  waiting: WaitingAllocation | WaitingRelease,
  undo: (() => void)[],
  random: () => number,
): Member | undefined {
  const { state } = context.addressing;
  if (waiting.kind === "allocate") {
    const skip = waiting.spread ? Math.floor(random() * SPREAD) : 0;
    const { address, changes } = planAllocation(state, waiting.request, skip);
    const change = soleChange(changes);
    if (change === undefined) {
      throw new TypeError("an allocation is one step");
    }
    const newBlock = change.block?.holding === undefined;
    const keys = addAddressChange(context, draft, change);
    undo.push(applyTentatively(state, change));
    return { kind: "allocate", waiting, keys, address: formatIpv4(address), newBlock };
  }
  const { allocation, changes } = planRelease(state, waiting.nameOrIp, waiting.host);
  const change = soleChange(changes);
  if (change === undefined) {
    return undefined;
  }
  const keys = addAddressChange(context, draft, change);
  undo.push(applyTentatively(state, change));
  return { kind: "release", waiting, keys, name: allocation.name };
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
