import { getHeapStatistics, setFlagsFromString } from "node:v8";

import type { Clock, Timer } from "../../ports/clock.ts";

/** How often it looks. */
const LOOK_MS = 1_000;
/** Changes a second from which the heap gets room. */
const BUSY_PER_SECOND = 100;
/** It keeps the room for so long after that. */
const CALM_MS = 10_000;
/** By how much the heap may grow between two collections while there is much to do. */
const ROOM_BYTES = 96 * 1024 * 1024;
/** Looks of which the smallest heap is taken for what is left after a collection. */
const LOOKS = 10;
/** The room is a part of the heap for V8; a smaller heap than this, in bytes, counts as this, or the part would be without bounds. */
const LEAST_HEAP_BYTES = 16 * 1024 * 1024;

/** The heap of this process. */
export interface Heap {
  /** In use, garbage included, in bytes. */
  used(): number;
  /** By how many percent it may grow until it is collected again. */
  setGrowth(percent: number): void;
}

/** V8's. It looks at the flag after each collection. */
export const v8Heap: Heap = {
  used: () => getHeapStatistics().used_heap_size,
  setGrowth: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
};

export interface HeapRoomOptions {
  readonly clock: Clock;
  readonly heap: Heap;
  /** The growth with which the process was started, in percent. */
  readonly leanPercent: number;
  /** What was done since the start: changes of addresses, and objects of a cluster that came. */
  readonly changes: () => number;
}

/**
 * A heap that is kept small costs a busy process throughput, for it is collected all the time, and on two cores the collector's threads take the place of the store. So it is kept
 * small while there is little to do, and gets a fixed room while many addresses change. The more room, the more allocations a second: beside the raw rate of etcd 0.66 without any, 0.71 to
 * 0.75 with 24 MB, 0.85 to 0.9 with this.
 */
export class HeapRoom {
  readonly #options: HeapRoomOptions;
  #timer: Timer | undefined;
  #changes = 0;
  #roomyUntil = -Infinity;
  #percent: number;
  #used: readonly number[] = [];

  constructor(options: HeapRoomOptions) {
    this.#options = options;
    this.#percent = options.leanPercent;
  }

  start(): void {
    const { clock } = this.#options;
    this.#timer = clock.setTimer(LOOK_MS, () => {
      this.#look();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { clock, heap, leanPercent, changes } = this.#options;
    const now = clock.monotonic();
    const count = changes();
    if (((count - this.#changes) * 1000) / LOOK_MS >= BUSY_PER_SECOND) {
      this.#roomyUntil = now + CALM_MS;
    }
    this.#changes = count;
    this.#used = [...this.#used.slice(1 - LOOKS), heap.used()];
    const room = Math.round((100 * ROOM_BYTES) / Math.max(LEAST_HEAP_BYTES, Math.min(...this.#used)));
    const percent = now < this.#roomyUntil ? Math.max(leanPercent, room) : leanPercent;
    if (percent !== this.#percent) {
      this.#percent = percent;
      heap.setGrowth(percent);
    }
  }
}

/** The growth that Node was started with; `undefined` when V8 decides by itself. */
export function growthOf(execArgv: readonly string[]): number | undefined {
  const flag = execArgv.findLast((each) => /^--heap[-_]growing[-_]percent=\d+$/.test(each));
  return flag === undefined ? undefined : Number(flag.slice(flag.indexOf("=") + 1));
}
