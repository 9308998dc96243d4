import { NetworkError } from "../core/errors.ts";

/** How often an option may be given: `single` once, `list` again and again or comma-separated, `switch` without a value. */
export type OptionForm = "single" | "list" | "switch";

/**
 * One setting of a program. It can be given as a flag (`--probe-interval 1s`), as a variable (`ROMANA_PROBE_INTERVAL`) and as a key of the
 * configuration file (`probe-interval: 1s`), and reads the same in all three.
 */
export interface Option<T> {
  /** In kebab-case, as flag and key are written. */
  readonly name: string;
  readonly form: OptionForm;
  /** Other names for it, deprecated or not. */
  readonly aliases: readonly string[];
  /** What stands for the value in help texts: `FILE`, `aws|none`; empty for a switch. */
  readonly placeholder: string;
  /** As it would be written; undefined when there is none. */
  readonly defaultText: string | undefined;
  /** What holds when it is not given, for people. */
  readonly defaultNote: string;
  readonly help: string;
  /** The heading under which it is documented. */
  readonly section: string;
  /** Reads what was given, one text for each time; undefined when nothing was and there is no default. Throws `NetworkError` kind `invalid`. */
  readonly read: (texts: readonly string[] | undefined) => T;
}

/** Options under the names that code uses for them, in camelCase. */
export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The values of a table of options. */
export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never;
};

interface Description {
  readonly name: string;
  readonly section: string;
  readonly help: string;
  readonly aliases?: readonly string[];
}

interface ValueDescription<T> extends Description {
  readonly placeholder: string;
  readonly parse: (text: string) => T;
}

/** An option that always has a value, by its default if by nothing else. */
export function withDefault<T>(spec: ValueDescription<T> & { readonly default: string }): Option<T> {
  const { parse, default: fallback, ...description } = spec;
  return {
    aliases: [],
    ...description,
    form: "single",
    defaultText: fallback,
    defaultNote: `\`${fallback}\``,
    read: (texts) => parse(texts?.at(-1) ?? fallback),
  };
}

/** An option that may have no value. `defaultNote` says what holds then. */
export function optional<T>(
  spec: ValueDescription<T> & { readonly defaultNote: string },
): Option<T | undefined> {
  const { parse, ...description } = spec;
  return {
    aliases: [],
    ...description,
    form: "single",
    defaultText: undefined,
    read: (texts) => {
      const text = texts?.at(-1);
      return text === undefined ? undefined : parse(text);
    },
  };
}

/** An option that may be given several times; the default is an empty list. */
export function list<T>(spec: ValueDescription<T>): Option<readonly T[]> {
  const { parse, ...description } = spec;
  return {
    aliases: [],
    ...description,
    form: "list",
    defaultText: undefined,
    defaultNote: "none",
    read: (texts) => (texts ?? []).map((text) => parse(text)),
  };
}

/** The same with a default that holds when it is not given at all. */
export function listWithDefault<T>(
  spec: ValueDescription<T> & { readonly default: string },
): Option<readonly T[]> {
  const { default: fallback, ...description } = spec;
  const { read, ...option } = list(description);
  return {
    ...option,
    defaultText: fallback,
    defaultNote: `\`${fallback}\``,
    read: (texts) => read(texts === undefined || texts.length === 0 ? [fallback] : texts),
  };
}

/** A flag without a value; off by default. */
export function toggle(spec: Description): Option<boolean> {
  return {
    aliases: [],
    ...spec,
    form: "switch",
    placeholder: "",
    defaultText: "false",
    defaultNote: "off",
    read: (texts) => parseSwitch(texts?.at(-1) ?? "false"),
  };
}

/** The variable of the environment that gives this option: `ROMANA_PROBE_INTERVAL`. */
export function variableName(name: string): string {
  return `ROMANA_${name.toUpperCase().replaceAll("-", "_")}`;
}

function parseSwitch(text: string): boolean {
  if (text === "true" || text === "false") {
    return text === "true";
  }
  throw new NetworkError("invalid", "VALUE_INVALID", `expected true or false, not "${text}"`, { text });
}
