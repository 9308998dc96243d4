import type { Clock, Timer } from "../ports/clock.ts";
import type { ClusterEvent, EventRecorder } from "../ports/cluster.ts";

/** What is wrong with an object, for its events. */
export type Complaint = Omit<ClusterEvent, "firstMs">;

export interface ComplaintsOptions {
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** A cluster forgets an event after an hour: what goes on is said again this often. */
const REMIND_MS = 15 * 60_000;

/** Events of what is wrong with objects and stays so until somebody mends it: told once, again when the object has changed and it is still wrong, and every quarter of an hour. */
export class Complaints {
  readonly #options: ComplaintsOptions;
  readonly #bySubject = new Map<string, { readonly complaint: Complaint; readonly version: string }>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ComplaintsOptions) {
    this.#options = options;
  }

  /** Objects that something is wrong with. */
  get size(): number {
    return this.#bySubject.size;
  }

  /** Says what is wrong with the subject as of `version`, `undefined` for nothing. The same of the same version is told once. */
  set(subject: string, version: string, complaint: Complaint | undefined): void {
    if (this.#stopped || complaint === undefined) {
      this.#bySubject.delete(subject);
      return;
    }
    const isKnown = this.#bySubject.get(subject)?.version === version;
    this.#bySubject.set(subject, { complaint, version });
    if (!isKnown) {
      this.#options.events.record(complaint);
    }
    this.#timer ??= this.#options.clock.setTimer(REMIND_MS, () => this.#remind());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#bySubject.clear();
  }

  #remind(): void {
    this.#bySubject.forEach(({ complaint }) => this.#options.events.record(complaint));
    this.#timer =
      this.#bySubject.size === 0 ? undefined : this.#options.clock.setTimer(REMIND_MS, () => this.#remind());
  }
}
