/** Something that is to happen at `dueMs`. `place` belongs to the queue: -1 while it is in none. */
export interface DueItem {
  dueMs: number;
  place: number;
}

/** Items in the order of their due times: a binary heap whose items know their places, so that one can be moved or taken out in O(log n). */
export class DueQueue<T extends DueItem> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The item that is due first; among equals, any, but the same for the same history. */
  peek(): T | undefined {
    return this.#items[0];
  }

  /** Puts `item` at `dueMs`, whether it is in the queue or not. */
  schedule(item: T, dueMs: number): void {
    if (item.place < 0) {
      item.place = this.#items.length;
      this.#items.push(item);
      item.dueMs = dueMs;
      this.#rise(item);
      return;
    }
    const earlier = dueMs < item.dueMs;
    item.dueMs = dueMs;
    if (earlier) {
      this.#rise(item);
    } else {
      this.#sink(item);
    }
  }

  /** Takes `item` out; does nothing when it is not in. */
  remove(item: T): void {
    const { place } = item;
    if (place < 0) {
      return;
    }
    item.place = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) {
      return;
    }
    this.#items[place] = last;
    last.place = place;
    this.#rise(last);
    this.#sink(last);
  }

  #rise(item: T): void {
    const items = this.#items;
    let { place } = item;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || parent.dueMs <= item.dueMs) {
        break;
      }
      items[place] = parent;
      parent.place = place;
      place = above;
    }
    items[place] = item;
    item.place = place;
  }

  #sink(item: T): void {
    const items = this.#items;
    let { place } = item;
    for (;;) {
      const left = 2 * place + 1;
      const right = items[left + 1];
      let child = items[left];
      if (child === undefined) {
        break;
      }
      if (right !== undefined && right.dueMs < child.dueMs) {
        child = right;
      }
      if (child.dueMs >= item.dueMs) {
        break;
      }
      const below = child.place;
      items[place] = child;
      child.place = place;
      place = below;
    }
    items[place] = item;
    item.place = place;
  }
}
