import type { Cidr } from "../../core/net/cidr.ts";
import type { Ec2Action } from "./simulated-ec2.ts";
import type { CutMode } from "./simulated-prober.ts";

/**
 * Which nodes a step means: a name, `random` (one of those that live), `all`, `last` (those of the latest `kill`), the gateway of a
 * destination (`random`: one that has a living stand-in, if there is one), or a zone.
 */
export type NodeSelector = string | { readonly "gateway-of": "random" | Cidr } | { readonly zone: string };

/** Something that happens to a simulated cluster. `at` in milliseconds; the words are those of scenario files (docs/simulator.md). */
export type ScenarioStep = { readonly at: number } & (
  | { readonly do: "kill" | "heal" | "terminate" | "remove-node" | "check-on"; readonly target: NodeSelector }
  | { readonly do: "add-node"; readonly zone: string; readonly count: number }
  | { readonly do: "loss"; readonly percent: number; readonly target: NodeSelector }
  | {
      readonly do: "burst-loss";
      readonly percent: number;
      readonly "mean-outage": number;
      readonly target: NodeSelector;
    }
  | { readonly do: "cut"; readonly mode: CutMode }
  | {
      readonly do: "throttle";
      readonly actions?: readonly Ec2Action[] | undefined;
      readonly capacity: number;
      readonly "per-second": number;
    }
  | { readonly do: "latency"; readonly min: number; readonly rest: number }
  | { readonly do: "deny" | "allow"; readonly action: Ec2Action }
  | {
      readonly do: "edit";
      readonly change: "delete" | "retarget";
      readonly table: string;
      readonly count: number;
    }
  | { readonly do: "reconnect" | "stop-controller" | "start-controller" }
);

/** What happens, and how it must end. Times in milliseconds after the cluster has converged; steps sorted by time. */
export interface SimulatedScenario {
  readonly name: string;
  readonly description: string;
  readonly duration: number;
  /** EC2 actions that IAM denies from the beginning. */
  readonly denied: readonly Ec2Action[];
  readonly steps: readonly ScenarioStep[];
  readonly expect: {
    readonly unreachable: "none" | "some";
    /** At least so many nodes that held routes are found dead. */
    readonly failovers: number;
    readonly moves: "any" | "none";
  };
}
