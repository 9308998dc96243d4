import type { TargetState } from "./state.ts";

/** A probe under way. `open` until it was answered, could not be sent, or was judged lost. */
export interface OpenProbe {
  readonly target: TargetState;
  readonly sentMs: number;
  open: boolean;
}

/** Dead probes at the front are kept until there are this many of them. */
const KEPT = 1_024;

/**
 * Regular probes in the order of their sending, which is that of their deadlines: each is lost `timeoutMs` after it was sent. Closing one costs nothing,
 * it is forgotten when it comes to the front.
 */
export class OpenProbes {
  readonly #timeoutMs: number;
  #probes: OpenProbe[] = [];
  #head = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** `probe.sentMs` is no earlier than that of the one before. */
  push(probe: OpenProbe): void {
    this.#probes.push(probe);
  }

  /** When the first open probe will be lost; Infinity when none is open. */
  nextDeadline(): number {
    const first = this.#first();
    return first === undefined ? Infinity : first.sentMs + this.#timeoutMs;
  }

  /** Closes and returns the first open probe whose deadline is `untilMs` or earlier. */
  takeOverdue(untilMs: number): OpenProbe | undefined {
    const first = this.#first();
    if (first === undefined || first.sentMs + this.#timeoutMs > untilMs) {
      return undefined;
    }
    first.open = false;
    return first;
  }

  /** Closes all. */
  clear(): void {
    for (const probe of this.#probes) {
      probe.open = false;
    }
    this.#probes = [];
    this.#head = 0;
  }

  #first(): OpenProbe | undefined {
    const probes = this.#probes;
    let head = this.#head;
    while (head < probes.length && probes[head]?.open === false) {
      head += 1;
    }
    // Half of the list is dead when it is cut, so cutting costs a constant per probe.
    if (head > KEPT && head * 2 > probes.length) {
      probes.copyWithin(0, head);
      probes.length -= head;
      head = 0;
    }
    this.#head = head;
    return probes[head];
  }
}
