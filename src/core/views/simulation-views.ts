// What a simulation tells of itself: the timeline's events and the summary of `romana simulate --json`. Times named `…Ms` are virtual
// milliseconds since the simulation began, unless the comment says otherwise.

/** A leaf group and the node that its route leads to; "" when no table has a route for it. */
export interface GroupCell {
  readonly zone: string;
  readonly destination: string;
  readonly gateway: string;
  readonly alive: boolean;
}

/** How many ordered pairs of pods reach each other. */
export interface ReachView {
  readonly checked: number;
  readonly unreachable: number;
  /** Ordered pairs of groups among them. */
  readonly groupPairs: number;
  /** Why packets died, with counts. */
  readonly causes: Readonly<Record<string, number>>;
  /** One of the packets that died, as a sentence; "" when all arrived. */
  readonly example: string;
}

/** A node that held routes and died. Milliseconds since its death; `null` when it did not happen. */
export interface FailoverView {
  readonly node: string;
  readonly routes: number;
  readonly detectedMs: number | null;
  readonly routesMovedMs: number | null;
}

/** The result of a simulation; docs/simulator.md explains each field. */
export interface SimulationSummary {
  readonly scenario: string;
  readonly seed: number;
  readonly region: string;
  readonly zones: readonly string[];
  readonly nodes: number;
  readonly pods: number;
  readonly groups: number;
  readonly virtualSeconds: number;
  readonly convergedMs: number | null;
  readonly pairsChecked: number;
  readonly pairsUnreachable: number;
  readonly groupPairsChecked: number;
  readonly strayPacketsChecked: number;
  readonly strayPacketsLooping: number;
  readonly failovers: readonly FailoverView[];
  /** Routes of ours that were changed or deleted after the cluster had converged, by whomever. */
  readonly routeMoves: number;
  /** Writes that a further pass would make at the end; null when the controller is stopped. */
  readonly operationsLeft: number | null;
  readonly routesPerTable: Readonly<Record<string, number>>;
  readonly ec2Calls: Readonly<Record<string, number>>;
  readonly probes: { readonly sent: number; readonly answered: number; readonly failedSends: number };
  readonly foreignChanges: readonly string[];
  readonly ok: boolean;
  /** Why it is not ok; empty when it is. */
  readonly problems: readonly string[];
}

export type SimulationEvent =
  | {
      readonly kind: "built";
      readonly scenario: string;
      readonly description: string;
      readonly seed: number;
      readonly region: string;
      readonly zones: readonly string[];
      readonly nodes: number;
    }
  | { readonly kind: "placed"; readonly atMs: number; readonly pods: number; readonly blocks: number }
  | {
      readonly kind: "converged";
      readonly atMs: number;
      readonly tables: Readonly<Record<string, number>>;
      readonly checksOff: number;
    }
  | { readonly kind: "picture"; readonly cells: readonly GroupCell[] }
  | { readonly kind: "step"; readonly atMs: number; readonly text: string }
  | {
      readonly kind: "verdict";
      readonly atMs: number;
      readonly node: string;
      /** Since the node's death. */
      readonly afterMs: number;
    }
  | {
      readonly kind: "routes";
      readonly atMs: number;
      readonly changes: readonly {
        readonly destination: string;
        readonly from: string;
        readonly to: string;
        readonly tables: number;
      }[];
    }
  | {
      readonly kind: "reach";
      readonly atMs: number;
      readonly phase: "before" | "during" | "after" | "end";
      readonly reach: ReachView;
    }
  | { readonly kind: "end"; readonly atMs: number; readonly summary: SimulationSummary };
