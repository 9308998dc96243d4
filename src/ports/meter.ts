import type { CloudAction } from "./cloud.ts";

/** A failover as it is counted. `seconds` run from the verdict to the last route. */
export interface MeteredFailover {
  readonly moved: number;
  readonly failed: number;
  /** Routes that nobody could take over. */
  readonly stranded: number;
  readonly seconds: number;
}

/** Counts what the controllers do. Every call returns at once and never throws. */
export interface Meter {
  /** A write to the cloud was settled; `superseded` ones were never sent. */
  write(action: CloudAction, outcome: "done" | "superseded" | "failed"): void;
  pass(outcome: "ok" | "failed", seconds: number): void;
  failover(failover: MeteredFailover): void;
  verdict(kind: "down" | "up" | "blind" | "sighted"): void;
}
