import { controllerOptions } from "../src/config/controller-options.ts";
import type { Option } from "../src/config/option.ts";

/** A part of a JSON Schema (draft 7, which Helm reads). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema of the file that `romana controller --config` reads, made from the table of its options. It knows the names, what is a list, a number, a switch or
 * a duration, and the words that an option takes; what it lets pass, the controller still checks.
 */
export function configSchema(title: string): JsonSchema {
  const options = Object.values<Option<unknown>>(controllerOptions).filter(
    // A file cannot name another.
    ({ name }) => name !== controllerOptions.config.name,
  );
  return {
    title,
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(
      options.flatMap((option) =>
        [option.name, ...option.aliases].map((name) => [name, optionSchema(option)]),
      ),
    ),
  };
}

function optionSchema(option: Option<unknown>): JsonSchema {
  const value = valueSchema(option);
  return {
    description: option.help,
    ...(option.form === "list" ? { anyOf: [value, { type: "array", items: value }] } : value),
    ...(option.defaultText === undefined ? {} : { default: defaultOf(value, option.defaultText) }),
  };
}

function valueSchema({ form, placeholder, read }: Option<unknown>): JsonSchema {
  if (form === "switch") {
    return { type: "boolean" };
  }
  if (/^[a-z]+(\|[a-z]+)+$/.test(placeholder)) {
    return { enum: placeholder.split("|") };
  }
  if (placeholder === "DURATION") {
    return { type: "string", pattern: String.raw`^\d+(ms|s|m|h)$` };
  }
  if (placeholder === "N" || placeholder === "PORT") {
    return { type: takesFractions(read) ? "number" : "integer", minimum: 0 };
  }
  return { type: "string", minLength: 1 };
}

function takesFractions(read: (texts: readonly string[]) => unknown): boolean {
  try {
    read(["1.5"]);
    return true;
  } catch {
    // The option says itself that it wants a whole number.
    return false;
  }
}

function defaultOf({ type }: JsonSchema, text: string): unknown {
  if (type === "boolean") {
    return text === "true";
  }
  return type === "integer" || type === "number" ? Number(text) : text;
}
