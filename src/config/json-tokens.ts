/** A bracket or a scalar of a JSON text, as it is written there, and the offset at which it stands. */
export interface JsonToken {
  readonly at: number;
  readonly text: string;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{}]|[^\s"[\]{},:]+/g;

/**
 * The brackets and scalars of a text that `JSON.parse` takes, in order, with their places: for messages that say where something stands, and for keys that come
 * twice, of which `JSON.parse` knows nothing. Takes time in proportion to the text, however deep it goes.
 */
export class JsonTokens {
  readonly #tokens: Iterator<RegExpExecArray>;

  constructor(text: string) {
    this.#tokens = text.matchAll(TOKEN);
  }

  /** The next one; at the end of the text one that is empty. */
  next(): JsonToken {
    const found = this.#tokens.next();
    return found.done === true ? { at: 0, text: "" } : { at: found.value.index, text: found.value[0] };
  }

  /** Goes to the end of a value whose first token is `first`. */
  skip(first: JsonToken): void {
    let depth = depthOf(first);
    while (depth > 0) {
      depth += depthOf(this.next());
    }
  }
}

function depthOf({ text }: JsonToken): number {
  switch (text) {
    case "{":
    case "[":
      return 1;
    case "}":
    case "]":
      return -1;
    default:
      return 0;
  }
}

/** Says where the offsets of a text are, for people. */
export class TextPlaces {
  readonly #starts: readonly number[];

  constructor(text: string) {
    this.#starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  }

  /** `line 3, column 7`, both counted from 1. */
  placeOf(offset: number): string {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return `line ${low + 1}, column ${offset - (this.#starts[low] ?? 0) + 1}`;
  }
}
