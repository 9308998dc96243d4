/** One line of the table that `make bench` prints, and one object of `bench/results.json`. */
export interface BenchRow {
  readonly id: string;
  readonly name: string;
  readonly figure: number;
  readonly unit: string;
  readonly bar: number;
  readonly met: boolean;
  /** Who was measured or cited beside us, and the figure in words; empty where there is nobody to compare with. */
  readonly peer: string;
  readonly peerFigure: string;
}

/** Median, 99th percentile, least and greatest of some measurements (nearest rank). */
export interface Summary {
  readonly median: number;
  readonly p99: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (quantile: number) => sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99), min: at(0), max: at(1), count: sorted.length };
}

/** The figure of a row, rounded to three decimals, beside its bar. */
export function bar(
  value: number,
  unit: string,
  limit: number,
  sense: "at most" | "at least",
): Pick<BenchRow, "figure" | "unit" | "bar" | "met"> {
  const figure = Math.round(value * 1000) / 1000;
  return { figure, unit, bar: limit, met: sense === "at most" ? figure <= limit : figure >= limit };
}
