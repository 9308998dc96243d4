/**
 * Whether a history of concurrent operations could have happened one after another: Wing and Gong's search with the cache of Lowe ("Testing for
 * linearizability", 2017), as the Porcupine checker does it. Each register (an address, a name) is checked by itself, which is sound because linearizability is local
 * (Herlihy and Wing, 1990).
 */

/** One operation on one register. Times may be of any unit; an operation whose outcome was never learned ends at `Infinity`. */
export interface Operation<Call> {
  readonly call: Call;
  readonly start: number;
  readonly end: number;
}

/** What a register may do: the state after `call`, or `undefined` when the call could not have ended as it did in this state. */
export interface RegisterModel<State, Call> {
  readonly initial: State;
  step(state: State, call: Call): State | undefined;
  /** Equal for equal states, and for those only. */
  key(state: State): string;
}

/** `undefined` when the history is linearizable; else the operations of a shortest impossible beginning, in the order of their starts. */
export function findViolation<State, Call>(
  model: RegisterModel<State, Call>,
  history: readonly Operation<Call>[],
): readonly Operation<Call>[] | undefined {
  if (isLinearizable(model, history)) {
    return undefined;
  }
  // The shortest beginning that is impossible by itself is what a person wants to look at.
  const ends = history.map(({ end }) => end).toSorted((a, b) => a - b);
  for (const end of ends) {
    const beginning = history
      .filter(({ start }) => start <= end)
      .map((operation) => (operation.end <= end ? operation : { ...operation, end: Infinity }));
    if (!isLinearizable(model, beginning)) {
      return beginning.toSorted((a, b) => a.start - b.start);
    }
  }
  return history;
}

interface Entry<Call> {
  readonly kind: "call" | "return";
  readonly id: number;
  readonly call: Call;
  match: Entry<Call> | undefined;
  previous: Entry<Call> | undefined;
  next: Entry<Call> | undefined;
}

/** Operations that end at `Infinity` may also never have happened. */
function isLinearizable<State, Call>(
  model: RegisterModel<State, Call>,
  history: readonly Operation<Call>[],
): boolean {
  const head = linked(history);
  const seen = new Set<string>();
  const done = new Bits(history.length);
  const stack: { readonly entry: Entry<Call>; readonly state: State }[] = [];
  let state = model.initial;
  let entry = head.next;
  const mustEnd = history.filter(({ end }) => end !== Infinity).length;
  let ended = 0;
  while (ended < mustEnd) {
    if (entry === undefined) {
      return false;
    }
    if (entry.kind === "call") {
      const next = model.step(state, entry.call);
      done.flip(entry.id);
      const key = next === undefined ? "" : `${model.key(next)} ${done.key()}`;
      if (next !== undefined && !seen.has(key)) {
        seen.add(key);
        stack.push({ entry, state });
        state = next;
        ended += entry.match === undefined ? 0 : 1;
        lift(entry);
        entry = head.next;
        continue;
      }
      done.flip(entry.id);
      entry = entry.next;
      continue;
    }
    const last = stack.pop();
    if (last === undefined) {
      return false;
    }
    state = last.state;
    done.flip(last.entry.id);
    ended -= last.entry.match === undefined ? 0 : 1;
    unlift(last.entry);
    entry = last.entry.next;
  }
  return true;
}

/** Calls and returns in the order of their times, behind an empty head; operations without an end have no return. */
function linked<Call>(history: readonly Operation<Call>[]): Entry<Call> {
  const events = history
    .flatMap((operation, id) => [
      { time: operation.start, order: 0, id, operation },
      ...(operation.end === Infinity ? [] : [{ time: operation.end, order: 1, id, operation }]),
    ])
    // A call at the very time of a return is taken as concurrent with it.
    .toSorted((a, b) => a.time - b.time || a.order - b.order);
  const [first] = history;
  const head = {
    kind: "call",
    id: -1,
    call: first?.call,
    match: undefined,
    previous: undefined,
    next: undefined,
  } as Entry<Call>;
  const calls = new Map<number, Entry<Call>>();
  let last = head;
  for (const { order, id, operation } of events) {
    const entry: Entry<Call> = {
      kind: order === 0 ? "call" : "return",
      id,
      call: operation.call,
      match: undefined,
      previous: last,
      next: undefined,
    };
    last.next = entry;
    last = entry;
    if (order === 0) {
      calls.set(id, entry);
    } else {
      const call = calls.get(id);
      if (call !== undefined) {
        call.match = entry;
      }
    }
  }
  return head;
}

/** Takes a call and its return out of the list; `unlift` puts them back, in the opposite order. */
function lift<Call>(entry: Entry<Call>): void {
  unlink(entry);
  if (entry.match !== undefined) {
    unlink(entry.match);
  }
}

function unlift<Call>(entry: Entry<Call>): void {
  if (entry.match !== undefined) {
    relink(entry.match);
  }
  relink(entry);
}

function unlink<Call>(entry: Entry<Call>): void {
  if (entry.previous !== undefined) {
    entry.previous.next = entry.next;
  }
  if (entry.next !== undefined) {
    entry.next.previous = entry.previous;
  }
}

function relink<Call>(entry: Entry<Call>): void {
  if (entry.previous !== undefined) {
    entry.previous.next = entry;
  }
  if (entry.next !== undefined) {
    entry.next.previous = entry;
  }
}

/** A set of small numbers whose text is quickly made: a search looks at millions of them. */
class Bits {
  readonly #words: Uint16Array;

  constructor(size: number) {
    this.#words = new Uint16Array(Math.ceil(size / 16));
  }

  /** Takes the number in, or out when it is in. */
  flip(index: number): void {
    const word = index >> 4;
    this.#words[word] = (this.#words[word] ?? 0) ^ (1 << (index & 15));
  }

  /** Equal for equal sets of one size, and for those only. */
  key(): string {
    return String.fromCharCode(...this.#words);
  }
}
