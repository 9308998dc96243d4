import type { BlockList, BlockState } from "./state.ts";

/** Puts the block into the list by its sequence number, which is mostly the highest; equal ones (of two replicas) by address, as they are loaded. */
export function link(list: BlockList, block: BlockState): void {
  let before = list.tail;
  while (before !== undefined && isAfter(before, block)) {
    before = before.previous;
  }
  const after = before === undefined ? list.head : before.next;
  block.previous = before;
  block.next = after;
  if (before === undefined) {
    list.head = block;
  } else {
    before.next = block;
  }
  if (after === undefined) {
    list.tail = block;
  } else {
    after.previous = block;
  }
}

/** Takes the block out of the list that it is in. */
export function unlink(list: BlockList, block: BlockState): void {
  const { previous, next } = block;
  if (previous === undefined) {
    list.head = next;
  } else {
    previous.next = next;
  }
  if (next === undefined) {
    list.tail = previous;
  } else {
    next.previous = previous;
  }
  block.previous = undefined;
  block.next = undefined;
}

function isAfter(a: BlockState, b: BlockState): boolean {
  return a.sequence > b.sequence || (a.sequence === b.sequence && a.first > b.first);
}
