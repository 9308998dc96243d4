import type { ClusterEvent, EventRecorder } from "../../src/ports/cluster.ts";

/** Keeps what was recorded, in order. */
export class RecordedEvents implements EventRecorder {
  readonly events: Omit<ClusterEvent, "firstMs">[] = [];

  record(event: Omit<ClusterEvent, "firstMs">): void {
    this.events.push(event);
  }

  /** What was recorded since the last call, one line each. */
  take(): readonly string[] {
    return this.events
      .splice(0)
      .map(
        ({ type, reason, subject: { kind, namespace, name, uid } }) =>
          `${type} ${reason} on ${kind} ${namespace}/${name} ${uid}`,
      );
  }
}
