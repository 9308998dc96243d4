import type { Option } from "commander";

const known = new WeakMap<Option, readonly string[]>();

/** Says which values an option takes, for a shell's completion; its parser says so for itself. Answers the option. */
export function withValues(option: Option, values: readonly string[]): Option {
  known.set(option, values);
  return option;
}

/** The values that an option takes; none where they are not a few words. */
export function valuesOf(option: Option): readonly string[] {
  return known.get(option) ?? [];
}
