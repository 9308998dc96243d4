import type { AddressChange } from "../../core/ipam/change.ts";
import type { Transaction } from "../../ports/store.ts";

/** How many shared transactions may be on their way at once. */
const MOST = 2;

/** Names, hosts and blocks of the changes in one transaction that is on its way, and how many changes those are. */
interface Sent {
  readonly names: Set<string>;
  readonly hosts: Set<string>;
  /** First addresses. */
  readonly blocks: Set<number>;
  readonly members: number;
}

/**
 * What shared transactions on their way touch. Another one may go at the same time if it touches none of it: the two have one outcome in either order then, and neither is planned on what
 * is not known yet. That no decision stands over a change that it did not see is the compares' work, with or without this; it only keeps a process from contending with itself.
 */
export class UnderWay {
  readonly #sent = new Map<Transaction, Sent>();
  #members = 0;

  get isEmpty(): boolean {
    return this.#sent.size === 0;
  }

  get isFull(): boolean {
    return this.#sent.size >= MOST;
  }

  /** Changes that are on their way. */
  get members(): number {
    return this.#members;
  }

  /** True when the change has to wait for what is on its way. */
  touches(change: AddressChange): boolean {
    const host = hostOf(change);
    for (const { names, hosts, blocks } of this.#sent.values()) {
      if (blocks.has(change.first) || names.has(change.name) || hosts.has(host)) {
        return true;
      }
    }
    return false;
  }

  add(transaction: Transaction, changes: readonly AddressChange[]): void {
    const sent: Sent = { names: new Set(), hosts: new Set(), blocks: new Set(), members: changes.length };
    for (const change of changes) {
      sent.names.add(change.name);
      sent.hosts.add(hostOf(change));
      sent.blocks.add(change.first);
    }
    this.#sent.set(transaction, sent);
    this.#members += sent.members;
  }

  remove(transaction: Transaction): void {
    this.#members -= this.#sent.get(transaction)?.members ?? 0;
    this.#sent.delete(transaction);
  }
}

/** Whose block it is, or was. */
function hostOf({ owner, block }: AddressChange): string {
  return owner?.host ?? block?.holding?.record.host ?? "";
}
