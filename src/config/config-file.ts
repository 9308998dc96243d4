import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";

/** What a configuration file gives: for each key that it has, the texts of its value as they stand there; and what is wrong with it. */
export interface ConfigFile {
  readonly texts: ReadonlyMap<string, readonly string[]>;
  readonly problems: readonly string[];
}

/**
 * Reads a YAML file of plain values and lists of them. Values are taken as they are written (`0010` stays `0010`), so that each option reads the same
 * from a file, a flag and a variable. `path` is for the messages.
 */
export function readConfigFile(text: string, path: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number | undefined): string => `${path}:${lines.linePos(offset ?? 0).line}`;
  const problems = document.errors.map(({ message, pos }) => `${place(pos[0])}: ${message}`);
  const texts = new Map<string, readonly string[]>();
  if (problems.length > 0 || document.contents === null) {
    return { texts, problems };
  }
  if (!isMap(document.contents)) {
    return { texts, problems: [`${path}: expected options, one a line, such as "probe-interval: 200ms"`] };
  }
  for (const { key, value } of document.contents.items) {
    const name = textOf(key);
    const given = isSeq(value) ? value.items.map((item) => textOf(item)) : [textOf(value)];
    const known = given.filter((each) => each !== undefined);
    if (name === undefined || known.length < given.length) {
      problems.push(`${place(key.range[0])}: ${name ?? "this"}: expected one value, or a list of values`);
    } else {
      texts.set(name, known);
    }
  }
  return { texts, problems };
}

/** The text of a plain value; undefined for `null` and for whatever is nested. */
function textOf(node: unknown): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}
