/**
 * The name that `text` was probably meant to be: the one with the fewest letters added, left out or changed, when these are at most a third of
 * it. Case and `_` for `-` do not count.
 */
export function nearestName(text: string, names: readonly string[]): string | undefined {
  const wanted = plain(text);
  let nearest: string | undefined;
  let least = Math.floor(wanted.length / 3) + 1;
  for (const name of names) {
    const edits = editDistance(wanted, plain(name));
    if (edits < least) {
      nearest = name;
      least = edits;
    }
  }
  return nearest;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[-_]/g, "");
}

/** Levenshtein's distance, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const changed = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(changed, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    above = current;
  }
  return above[b.length] ?? 0;
}
