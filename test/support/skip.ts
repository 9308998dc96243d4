/**
 * For `it.skipIf`: true when a test has to be left out because this machine lacks `what`, which is said loudly. With `CI=true` nothing is left out:
 * the test runs and fails.
 */
export function skipUnless(
  available: boolean,
  what: string,
  say: (text: string) => void = (text) => void process.stderr.write(text),
): boolean {
  if (available || process.env["CI"] === "true") {
    return false;
  }
  say(`\nSKIPPED: this machine lacks ${what}; with CI=true this is a failure\n`);
  return true;
}
