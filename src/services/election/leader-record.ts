import type { LeaderView } from "../../ports/election.ts";

/** The leader's key as it is stored, with its revision. */
export interface LeaderRecord extends LeaderView {
  /** Who holds the Lease for it; "" where the key itself is the election. */
  readonly holder: string;
  /** How long its holder's Lease is believed, in milliseconds; 0 where the key does not say. */
  readonly durationMs: number;
}

/** A key that somebody else wrote in another form still says that somebody leads. */
export function readLeader(value: string, epoch: number): LeaderRecord {
  const record = parse(value);
  const text = (field: unknown): string => (typeof field === "string" ? field : "");
  const number = (field: unknown): number => (typeof field === "number" ? field : 0);
  return {
    id: text(record["id"]),
    url: text(record["url"]),
    epoch,
    since: number(record["since"]),
    holder: text(record["holder"]),
    durationMs: number(record["durationMs"]),
  };
}

function parse(value: string): Readonly<Record<string, unknown>> {
  try {
    const record: unknown = JSON.parse(value);
    return typeof record === "object" && record !== null ? { ...record } : {};
  } catch (error) {
    if (error instanceof SyntaxError) {
      return {};
    }
    throw error;
  }
}
