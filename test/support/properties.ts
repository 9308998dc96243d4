import fc from "fast-check";

/**
 * Runs before the tests of every file. Properties draw new cases each time; `PROPERTY_SEED` makes them draw the same ones, and `PROPERTY_RUNS` as many as it says where a test names no number
 * of its own. A failure prints the seed that shows it again.
 */
const seed = process.env["PROPERTY_SEED"];
const runs = process.env["PROPERTY_RUNS"];
fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(runs === undefined ? {} : { numRuns: Number(runs) }),
});
