import type { ProbeTarget } from "../core/health/state.ts";
import type { HealthSnapshot } from "../core/health/view.ts";

/** What routes ask of the probes. `HealthMonitor` is the implementation; without probes every node is `unknown` (`NO_PROBES`). */
export interface HealthSource {
  setTargets(targets: readonly ProbeTarget[]): void;
  snapshot(): HealthSnapshot;
  whenMeasured(signal: AbortSignal, maxMs: number): Promise<void>;
}

/** Health without probes: nothing is known, nothing moves on account of it. */
export const NO_PROBES: HealthSource = {
  setTargets: () => undefined,
  snapshot: () => ({ blind: false, nodes: new Map(), confirmed: () => true }),
  whenMeasured: () => Promise.resolve(),
};
