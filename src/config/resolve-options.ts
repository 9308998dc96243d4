import { NetworkError } from "../core/errors.ts";
import type { ConfigFile } from "./config-file.ts";
import { nearestName } from "./nearest-name.ts";
import { variableName, type Option, type OptionTable, type OptionValues } from "./option.ts";
import { originalOptions } from "./original-options.ts";

/** Flags as a command line gives them: by the option's name in camelCase; a switch as `true`. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** The environment of the process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where options come from. The first that has one wins: flags, environment, file, default. */
export interface Sources {
  readonly flags: Flags;
  readonly environment: Environment;
  readonly file?: ConfigFile & { readonly path: string };
}

/** Every option that could be read (those with a problem are left out), and every problem, with where it stands. */
export interface Resolved<Table extends OptionTable> {
  readonly values: Partial<OptionValues<Table>>;
  readonly problems: readonly string[];
}

/** Reads each option of the table from the first source that has it. */
export function resolveOptions<Table extends OptionTable>(table: Table, sources: Sources): Resolved<Table> {
  const options = Object.values(table);
  const problems = [
    ...(sources.file?.problems ?? []),
    ...unknownNames([...(sources.file?.texts.keys() ?? [])], options, (option) => option).map(
      (text) => `${sources.file?.path}: ${text}`,
    ),
    ...unknownNames(definedNames(sources.flags), options, camelCase).map((text) => `flags: ${text}`),
  ];
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    try {
      values[key] = readOption(option, sources);
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      problems.push(error.message);
    }
  }
  return { values: values as Partial<OptionValues<Table>>, problems };
}

/** `probe-interval` as `probeInterval`. */
export function camelCase(name: string): string {
  return name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

interface Given {
  readonly place: string;
  readonly texts: readonly string[];
}

function readOption<T>(option: Option<T>, sources: Sources): T {
  for (const source of [fromFlags, fromEnvironment, fromFile]) {
    const found = [option.name, ...option.aliases].map((name) => source(name, option, sources));
    const given = found.filter((each) => each !== undefined);
    const [first, second] = given;
    if (first !== undefined) {
      return within(`${first.place}: `, () => {
        if (second !== undefined) {
          throw problem(`is the same option as ${second.place}: give one of them`);
        }
        if (option.form !== "list" && first.texts.length !== 1) {
          throw problem(`expected one value, not ${first.texts.length}`);
        }
        return option.read(first.texts);
      });
    }
  }
  return option.read(undefined);
}

function fromFlags(name: string, option: Option<unknown>, { flags }: Sources): Given | undefined {
  const value = flags[camelCase(name)];
  if (value === undefined || (value === false && option.form !== "switch")) {
    return undefined;
  }
  const texts = typeof value === "object" ? value : [String(value)];
  return { place: `--${name}`, texts: option.form === "list" ? texts.flatMap(split) : texts.slice(-1) };
}

/** A variable that is empty counts as not set, as templates leave it. */
function fromEnvironment(name: string, option: Option<unknown>, { environment }: Sources): Given | undefined {
  const variable = variableName(name);
  const value = environment[variable];
  if (value === undefined || value === "") {
    return undefined;
  }
  return { place: variable, texts: option.form === "list" ? split(value) : [value] };
}

function fromFile(name: string, option: Option<unknown>, { file }: Sources): Given | undefined {
  const texts = file?.texts.get(name);
  if (file === undefined || texts === undefined) {
    return undefined;
  }
  return { place: `${file.path}: ${name}`, texts: option.form === "list" ? texts.flatMap(split) : texts };
}

function split(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function definedNames(flags: Flags): string[] {
  return Object.keys(flags).filter((name) => flags[name] !== undefined);
}

function unknownNames(
  given: readonly string[],
  options: readonly Option<unknown>[],
  spell: (name: string) => string,
): string[] {
  const known = options.flatMap(({ name, aliases }) => [name, ...aliases]).map((name) => spell(name));
  return given
    .filter((name) => !known.includes(name))
    .map((name) => {
      const original = originalOptions.find((each) => each.here === undefined && spell(each.name) === name);
      if (original !== undefined) {
        return `"${original.name}" was an option of the original's ${original.component}: ${original.answer}`;
      }
      const nearest = nearestName(name, known);
      return `unknown option "${name}"${nearest === undefined ? "" : `; did you mean "${nearest}"?`}`;
    });
}

function within<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof NetworkError ? problem(`${place}${error.message}`, error) : error;
  }
}

function problem(message: string, cause?: unknown): NetworkError {
  return new NetworkError("invalid", "VALUE_INVALID", message, {}, cause);
}
