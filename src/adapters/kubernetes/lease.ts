import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import type { LeaseLock, LeaseState } from "../../ports/cluster.ts";
import { errorOfConnection } from "./classify-error.ts";
import { formatMicroTime, parseTime } from "./micro-time.ts";
import { labels, part, text } from "./parts.ts";
import type { Transport } from "./transport.ts";

/** Where the holder is reached. */
const URL_ANNOTATION = "romana.io/url";
const LEASES = "leases";

const whole = z.number().int().nonnegative().default(0).catch(0);
const Lease = z.object({
  metadata: z.object({ resourceVersion: z.string().min(1), annotations: labels, labels }),
  spec: part({
    holderIdentity: text,
    leaseDurationSeconds: whole,
    acquireTime: text,
    renewTime: text,
    leaseTransitions: whole,
  }),
});
type Lease = z.output<typeof Lease>;

export interface KubernetesLeaseOptions {
  readonly transport: Transport;
  readonly namespace: string;
  readonly name: string;
}

/** One Lease (coordination.k8s.io/v1). Its duration is kept in whole seconds, rounded up. */
export class KubernetesLease implements LeaseLock {
  readonly #options: KubernetesLeaseOptions;
  /** As last seen: what others wrote on it, labels and annotations, stays on it. */
  #seen: Lease | undefined;

  constructor(options: KubernetesLeaseOptions) {
    this.#options = options;
  }

  async read(signal: AbortSignal): Promise<LeaseState | undefined> {
    try {
      return await this.#call("get", "GET", this.#path, undefined, signal);
    } catch (error) {
      if (error instanceof NetworkError && error.code === "CLUSTER_NOT_FOUND") {
        return undefined;
      }
      throw error;
    }
  }

  async create(state: Omit<LeaseState, "resourceVersion">, signal: AbortSignal): Promise<LeaseState> {
    return this.#call("create", "POST", this.#collection, this.#body(state), signal);
  }

  async update(state: LeaseState, signal: AbortSignal): Promise<LeaseState> {
    return this.#call("update", "PUT", this.#path, this.#body(state, state.resourceVersion), signal);
  }

  get #collection(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#options.namespace}/leases`;
  }

  get #path(): string {
    return `${this.#collection}/${this.#options.name}`;
  }

  #body(state: Omit<LeaseState, "resourceVersion">, resourceVersion?: string): object {
    const { namespace, name } = this.#options;
    const others =
      this.#seen?.metadata.resourceVersion === resourceVersion ? this.#seen?.metadata : undefined;
    return {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: {
        namespace,
        name,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
        labels: others?.labels ?? {},
        annotations: { ...others?.annotations, [URL_ANNOTATION]: state.url },
      },
      spec: {
        // Nobody is said by leaving it out: an empty name is refused.
        ...(state.holder === "" ? {} : { holderIdentity: state.holder }),
        leaseDurationSeconds: Math.max(1, Math.ceil(state.durationMs / 1000)),
        acquireTime: formatMicroTime(state.acquireMs),
        renewTime: formatMicroTime(state.renewMs),
        leaseTransitions: state.transitions,
      },
    };
  }

  async #call(
    verb: "get" | "create" | "update",
    method: "GET" | "POST" | "PUT",
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<LeaseState> {
    const call = { verb, resource: LEASES, method, path, ...(body === undefined ? {} : { body }) };
    const { success, data } = Lease.safeParse(await this.#options.transport.json(call, signal));
    if (!success) {
      throw errorOfConnection(call, "the answer is no Lease");
    }
    this.#seen = data;
    return stateOf(data);
  }
}

function stateOf({ metadata, spec }: Lease): LeaseState {
  return {
    holder: spec.holderIdentity,
    durationMs: spec.leaseDurationSeconds * 1000,
    acquireMs: parseTime(spec.acquireTime),
    renewMs: parseTime(spec.renewTime),
    transitions: spec.leaseTransitions,
    url: metadata.annotations[URL_ANNOTATION] ?? "",
    resourceVersion: metadata.resourceVersion,
  };
}
