import { addressExists } from "../../core/ipam/allocate.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Compare, StoreEntry, StoreLimits, Transaction } from "../../ports/store.ts";
import type { AddressingKeys } from "../keys.ts";
import { nextTurn } from "../next-turn.ts";
import { readAddress } from "../stored-records.ts";
import type { AddressingCache } from "./cache.ts";
import { contended, isUnknown, MAX_ATTEMPTS, notTaken, outcomeUnknown, type Committer } from "./committer.ts";
import { planGroup, type Group, type Member } from "./plan-group.ts";
import type { TransactionContext } from "./transaction.ts";
import { UnderWay } from "./under-way.ts";
import { WaitingLine, type Waiting, type WaitingAllocation, type WaitingRelease } from "./waiting.ts";

/** Counts since the start. */
export interface AddressingCounters {
  /** Allocations and releases that are durable. */
  readonly allocations: number;
  readonly releases: number;
  /** Plans that were made again after a lost compare. */
  readonly retries: number;
  /** Shared transactions that were sent, and the allocations and releases in them. */
  readonly groups: number;
  readonly members: number;
}

/** What `GroupCommit` needs. */
export interface GroupCommitOptions {
  readonly log: Logger;
  readonly keys: AddressingKeys;
  readonly limits: StoreLimits;
  readonly cache: AddressingCache;
  readonly committer: Committer;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** A name that no other transaction of any replica has. */
  readonly nextId: () => string;
  /** Runs a release that needs a transaction of its own; settles it, and never rejects. */
  readonly release: (waiting: WaitingRelease) => Promise<void>;
}

/**
 * Runs changes in the order in which they were asked for. Allocations and releases that wait share one transaction; while it is on its way, the next ones collect. Other decisions run alone.
 *
 *     line ─► planGroup ─► commit ─┬─ taken ───► all are answered, after the cache has it
 *              ▲                   ├─ lost ────► whose compares failed are planned again when the cache has what they met, the others at once
 *              └───────────────────┘
 *                                  └─ unknown ─► never sent again: the names' keys are read, and tell
 *
 * A second transaction goes while one is on its way, once as much waits as that one has, so that neither the store nor this process waits for the other: with what has nothing in common
 * with the first (`UnderWay`), for it is planned on a state that does not have that yet.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #line = new WaitingLine();
  readonly #underWay = new UnderWay();
  #isRunning = false;
  /** Ends the pause of the loop. */
  #wake: (() => void) | undefined;
  /** The last transaction on its way has just arrived, and something waits. */
  #isStoreIdle = false;
  /** What the last plan passed over: of no use until something arrives. */
  #passed = 0;
  readonly #counters = { allocations: 0, releases: 0, retries: 0, groups: 0, members: 0 };

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  get counters(): AddressingCounters {
    return { ...this.#counters };
  }

  /** Lets the change wait for its turn. Throws `ADDRESSING_BUSY`. */
  push(item: Waiting): void {
    this.#line.push(item);
    this.#start();
  }

  /** One more plan after a lost compare. */
  countRetry(): void {
    this.#counters.retries += 1;
  }

  #start(): void {
    if (!this.#isRunning) {
      this.#isRunning = true;
      void this.#run();
    } else if (this.#wake !== undefined && this.#mayGo()) {
      this.#wake();
    }
  }

  /** Never rejects: what fails, fails for those who wait. */
  async #run(): Promise<void> {
    while (this.#line.length > 0) {
      // All requests that have arrived share a transaction, those too that no code has seen yet. But the store shall not wait for them.
      if (!this.#isStoreIdle) {
        await nextTurn();
      }
      this.#isStoreIdle = false;
      try {
        // A change that came while the loop woke up may have made it wait again.
        do {
          await this.#options.committer.ready();
        } while (!this.#options.cache.isReady);
        if (this.#mayGo()) {
          await this.#turn();
        } else {
          await this.#pause();
        }
      } catch (error) {
        for (const { reject } of this.#line.drain()) {
          reject(error);
        }
      }
    }
    this.#isRunning = false;
  }

  /** Whether another transaction is worth its cost: at once when none is on its way. */
  #mayGo(): boolean {
    const underWay = this.#underWay;
    return (
      underWay.isEmpty ||
      (!underWay.isFull &&
        this.#line.peek()?.kind !== "decision" &&
        this.#line.length - this.#passed >= underWay.members)
    );
  }

  /** Until something arrives, or enough waits. */
  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
  }

  async #turn(): Promise<void> {
    const first = this.#line.peek();
    if (first?.kind === "decision") {
      this.#line.shift();
      await first.run();
      return;
    }
    const { keys, cache, limits, random, nextId, release } = this.#options;
    const context: TransactionContext = {
      keys,
      addressing: cache.current,
      revision: cache.revision,
      id: nextId(),
    };
    const group = planGroup(context, this.#line, { limits, random, underWay: this.#underWay });
    // Nothing but what waits for others: nothing can go before something arrives.
    this.#passed = group.passed > 0 && group.transaction === undefined ? Infinity : group.passed;
    if (group.doubted.length > 0) {
      void this.#makeSure(group.doubted);
    }
    const { alone, transaction } = group;
    const sent = transaction === undefined ? undefined : this.#send(context, group, transaction);
    if (alone !== undefined) {
      await sent;
      while (!this.#underWay.isEmpty) {
        await this.#pause();
      }
      await release(alone);
    }
  }

  async #send(context: TransactionContext, group: Group, transaction: Transaction): Promise<void> {
    const { cache } = this.#options;
    this.#underWay.add(transaction, group.changes);
    const forget = group.written === undefined ? undefined : cache.expect(group.written);
    const isDone = await this.#commit(context, group, transaction);
    forget?.();
    this.#underWay.remove(transaction);
    this.#passed = 0;
    this.#isStoreIdle = this.#underWay.isEmpty && this.#line.length > 0;
    // Something may have come back, or wait for this.
    this.#start();
    this.#wake?.();
    if (isDone) {
      await this.#succeed(group.members);
    }
  }

  /** Plans again what was refused, once the cache has all that the store had. Never rejects. */
  async #makeSure(doubted: readonly (WaitingAllocation | WaitingRelease)[]): Promise<void> {
    try {
      await this.#options.committer.sync();
    } catch (error) {
      doubted.forEach(({ reject }) => reject(error));
      return;
    }
    for (const waiting of doubted) {
      waiting.isFresh = true;
    }
    this.#line.putBack(doubted);
    this.#start();
  }

  /** Whether it is done; all others of the group are answered, or wait again. Never rejects. */
  async #commit(context: TransactionContext, { members }: Group, transaction: Transaction): Promise<boolean> {
    const { committer, log } = this.#options;
    this.#counters.groups += 1;
    this.#counters.members += members.length;
    try {
      const result = await committer.commit(transaction);
      if (result.ok) {
        return true;
      }
      log.warn(
        { members: members.length, failed: result.failed.length },
        "another replica changed addresses or hosts first; planned again",
      );
      this.#planAgain(members, transaction, result.failed);
    } catch (failure) {
      if (isUnknown(failure)) {
        log.warn({ err: failure }, "the store did not answer; the names are read to see what became of them");
        await this.#findOut(context, members, failure);
      } else {
        members.forEach(({ waiting }) => waiting.reject(failure));
      }
    }
    return false;
  }

  /** The cache has it, unless it is being read anew: then the answers wait for that. When the store has nothing to do, what waits goes to it before answers are written. Never rejects. */
  async #succeed(members: readonly Member[]): Promise<void> {
    const { committer, log } = this.#options;
    const othersGo = this.#isStoreIdle;
    await committer.ready().catch((error: unknown) => {
      log.warn({ err: error }, "a change is durable, but its reader may not see it yet");
    });
    if (othersGo) {
      await nextTurn();
    }
    for (const member of members) {
      switch (member.kind) {
        case "allocate":
          this.#counters.allocations += 1;
          member.waiting.resolve(member.address);
          break;
        case "release":
          this.#counters.releases += 1;
          member.waiting.resolve();
          break;
        case "refusal":
          member.waiting.reject(member.error);
          break;
      }
    }
  }

  #planAgain(members: readonly Member[], transaction: Transaction, failed: readonly Compare[]): void {
    const lost = new Set(failed.map((item) => ("key" in item ? item.key : item.prefix)));
    const keyed = new Set(members.flatMap((member) => (member.kind === "refusal" ? [] : member.keys)));
    // The topology, the generation, or none that is known: everybody lost.
    const all = lost.size === 0 || [...lost].some((key) => !keyed.has(key));
    const behind: Waiting[] = [];
    const atOnce: Waiting[] = [];
    for (const member of members) {
      const { waiting } = member;
      const isLost = member.kind !== "refusal" && (all || member.keys.some((key) => lost.has(key)));
      if (!isLost) {
        atOnce.push(waiting);
        continue;
      }
      this.#counters.retries += 1;
      waiting.attempts += 1;
      const [blockKey = ""] = member.keys;
      if (member.kind === "allocate" && member.newBlock && lost.has(blockKey)) {
        member.waiting.spread = true;
      }
      if (waiting.attempts < MAX_ATTEMPTS) {
        behind.push(waiting);
      } else {
        waiting.reject(contended());
      }
    }
    const needsWait = failed.some((item) => "key" in item && item.modRevision === 0);
    this.#line.putBack(needsWait ? atOnce : inOrder(members, [...behind, ...atOnce]));
    if (needsWait && behind.length > 0) {
      void this.#putBackLater(behind, transaction, failed);
    }
  }

  /** What lost to a deletion has its turn once the cache knows of that; the others do not wait for it. Never rejects. */
  async #putBackLater(
    behind: readonly Waiting[],
    transaction: Transaction,
    failed: readonly Compare[],
  ): Promise<void> {
    await this.#options.committer.caughtUp(transaction, failed);
    this.#line.putBack(behind);
    this.#start();
  }

  /** The outcome is unknown, and the transaction may still be taken: what the names' keys hold now decides the answers, and nothing is sent again. */
  async #findOut(
    { keys, id }: TransactionContext,
    members: readonly Member[],
    failure: unknown,
  ): Promise<void> {
    const { committer } = this.#options;
    let entries: ReadonlyMap<Member, StoreEntry | undefined>;
    try {
      const read = members.map(async (member): Promise<[Member, StoreEntry | undefined]> => {
        const name = nameOf(member);
        return [member, name === undefined ? undefined : await committer.get(keys.address(name))];
      });
      entries = new Map(await Promise.all(read));
      const own = [...entries.values()].find(
        (entry) => entry !== undefined && readAddress(entry.key, entry.value).transaction === id,
      );
      if (own !== undefined) {
        await committer.reached(own.modRevision);
        await this.#succeed(members);
        return;
      }
    } catch (error) {
      members.forEach(({ waiting }) => waiting.reject(outcomeUnknown("the change", [failure, error])));
      return;
    }
    await Promise.all([...entries].map(([member, entry]) => this.#answer(member, entry, failure)));
  }

  /** For one member of a transaction that the store does not show to have been taken. */
  async #answer(member: Member, entry: StoreEntry | undefined, failure: unknown): Promise<void> {
    const { committer, cache } = this.#options;
    switch (member.kind) {
      case "allocate":
        member.waiting.reject(
          entry === undefined
            ? notTaken(`the address of "${member.waiting.request.name}"`, failure)
            : addressExists(readAddress(entry.key, entry.value)),
        );
        break;
      case "release":
        if (entry === undefined) {
          await committer.holds(() => !cache.current.state.names.has(member.name));
          this.#counters.releases += 1;
          member.waiting.resolve();
        } else {
          member.waiting.reject(notTaken(`the release of "${member.name}"`, failure));
        }
        break;
      case "refusal":
        this.#line.putBack([member.waiting]);
        break;
    }
  }
}

function nameOf(member: Member): string | undefined {
  switch (member.kind) {
    case "allocate":
      return member.waiting.request.name;
    case "release":
      return member.name;
    case "refusal":
      return undefined;
  }
}

/** In the order of the group. */
function inOrder(members: readonly Member[], items: readonly Waiting[]): readonly Waiting[] {
  const wanted = new Set(items);
  return members.map(({ waiting }) => waiting).filter((waiting) => wanted.has(waiting));
}
