import type { Clock } from "../../ports/clock.ts";
import type { HostTables } from "./forwarding-walk.ts";
import { planHostTables, type HostView } from "./host-routes.ts";

/** Stands in for the agents of all hosts: what they hear of the control plane becomes routes after a delay. */
export class HostAgents {
  readonly #clock: Clock;
  readonly #delayMs: number;
  #tables: ReadonlyMap<string, HostTables> = new Map();

  /** `delayMs`: from a change in the control plane to the routes of the hosts (0: at once). */
  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** The control plane as agents hear of it now. */
  hear(view: HostView): void {
    if (this.#delayMs === 0) {
      this.#tables = planHostTables(view);
      return;
    }
    this.#clock.setTimer(this.#delayMs, () => {
      this.#tables = planHostTables(view);
    });
  }

  /** Routes on the hosts now, by host name. */
  tables(): ReadonlyMap<string, HostTables> {
    return this.#tables;
  }
}
