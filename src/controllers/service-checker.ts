import { keyOf, type ClusterService } from "../core/cluster/objects.ts";
import { readVipAnnotation } from "../core/cluster/vip-annotation.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventRecorder } from "../ports/cluster.ts";
import type { ObjectChange, ObjectReader } from "../services/cluster/object-view.ts";
import { Complaints } from "./complaints.ts";

export interface ServiceCheckerOptions {
  readonly services: ObjectReader<ClusterService>;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** Tells on each Service whose annotation for a virtual IP cannot be read what is wrong with it: a Warning event `VipAnnotationInvalid`. */
export class ServiceChecker {
  readonly #services: ObjectReader<ClusterService>;
  readonly #complaints: Complaints;
  #ends: readonly (() => void)[] = [];

  constructor({ services, events, clock }: ServiceCheckerOptions) {
    this.#services = services;
    this.#complaints = new Complaints({ events, clock });
  }

  /** Services whose annotation is invalid. */
  get invalid(): number {
    return this.#complaints.size;
  }

  start(): void {
    this.#ends = [
      this.#services.onChange((change) => this.#changed(change)),
      this.#services.onSynced(() => {
        for (const service of this.#services.values()) {
          this.#check(service);
        }
      }),
    ];
  }

  stop(): Promise<void> {
    this.#ends.forEach((end) => end());
    this.#complaints.stop();
    return Promise.resolve();
  }

  #changed({ kind, object }: ObjectChange<ClusterService>): void {
    if (kind === "delete") {
      this.#complaints.set(object.uid, "", undefined);
    } else {
      this.#check(object);
    }
  }

  #check(service: ClusterService): void {
    const { namespace, name, uid, resourceVersion } = service;
    const annotation = readVipAnnotation(service);
    this.#complaints.set(
      uid,
      resourceVersion,
      annotation.kind === "invalid"
        ? {
            subject: { apiVersion: "v1", kind: "Service", namespace, name, uid },
            type: "Warning",
            reason: "VipAnnotationInvalid",
            action: "ReadAnnotation",
            note: `Service ${keyOf(service)} gets no virtual IP: annotation ${annotation.place}: ${annotation.message}`,
          }
        : undefined,
    );
  }
}
