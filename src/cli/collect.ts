/**
 * Reads an option that may be given several times, a value each. It takes no more than one value at a time, so that arguments which follow it are not
 * swallowed.
 */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}
