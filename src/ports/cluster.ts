import type { ClusterKind, ClusterNode, ClusterObjects } from "../core/cluster/objects.ts";

/** Takes the objects of one kind as they arrive, in order. Its methods return at once and never throw. */
export interface ObjectSink<T> {
  /** All objects of the kind: whatever is not among them is gone. Called first, and after every gap. */
  replace(objects: readonly T[]): void;
  /** Added or changed. */
  put(object: T): void;
  /** Gone, with the UID that it had. */
  remove(object: { readonly uid: string; readonly namespace: string; readonly name: string }): void;
}

/** How well a kind is being followed. */
export interface FollowState {
  /** Why nothing arrives now, "" while all is well: `list pods: 403 forbidden …`. What was handed over last still stands. */
  readonly problem: string;
  /** What the role lacks, `watch pods`; "" for nothing. */
  readonly missingVerb: string;
  /** Lists and watches begun so far. */
  readonly lists: number;
  readonly watches: number;
  /** Objects that came so far, by lists and by watches, changed or not. */
  readonly read: number;
  /** Objects that cannot be read now: a NetworkPolicy closes its pods, see `ClusterNetworkPolicy.unreadable`; any other one is left out. */
  readonly unreadable: number;
}

/** Follows the objects of a cluster: list, watch, and list again after a gap, for as long as it takes. Implementation: `adapters/kubernetes`. */
export interface ClusterSource {
  /** Hands every object of the kind to `sink` until `signal` is aborted. Never rejects: what goes wrong is repeated with a back-off of at most 2 s, and said in `state`. */
  follow<K extends ClusterKind>(
    kind: K,
    sink: ObjectSink<ClusterObjects[K]>,
    signal: AbortSignal,
  ): Promise<void>;
  state(kind: ClusterKind): FollowState;
}

/** The object that an event is about. */
export interface EventSubject {
  /** `v1`, `networking.k8s.io/v1`. */
  readonly apiVersion: string;
  /** `Node`, `NetworkPolicy`. */
  readonly kind: string;
  /** "" for an object of the whole cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** An event as it is written (events.k8s.io/v1). */
export interface ClusterEvent {
  readonly subject: EventSubject;
  readonly type: "Normal" | "Warning";
  /** UpperCamelCase, up to 128 characters. */
  readonly reason: string;
  /** What was done or tried, UpperCamelCase. */
  readonly action: string;
  /** Cut to 1,024 bytes by whoever writes it. */
  readonly note: string;
  /** Wall clock, milliseconds since 1970, of the first occurrence. */
  readonly firstMs: number;
}

/**
 * What we write to the cluster. Errors are `NetworkError`s:
 *
 *     CLUSTER_UNAVAILABLE      transient  network error, time-out, 429, 5xx: the outcome is unknown
 *     CLUSTER_CONFLICT         conflict   the object changed meanwhile, or exists
 *     CLUSTER_NOT_FOUND        not-found
 *     CLUSTER_FORBIDDEN        invalid    RBAC says no; details verb and resource
 *     CLUSTER_UNAUTHENTICATED  invalid    the token is expired or unknown
 *     CLUSTER_REFUSED          invalid    the API server does not take it; its words are in the message
 */
export interface ClusterWriter {
  /** Takes the taints of that key off a node, while it is as `node` says (resourceVersion). Nothing to take off: done. */
  removeTaint(node: ClusterNode, key: string, signal: AbortSignal): Promise<void>;
  /** On the very node that is meant, by its UID: else `CLUSTER_CONFLICT`. */
  setCondition(
    node: { readonly name: string; readonly uid: string },
    condition: {
      readonly type: string;
      readonly status: "True" | "False" | "Unknown";
      readonly reason: string;
      readonly message: string;
    },
    signal: AbortSignal,
  ): Promise<void>;
  /** Writes a new event; its name in the cluster comes back, for `repeatEvent`. */
  createEvent(
    event: ClusterEvent,
    signal: AbortSignal,
  ): Promise<{ readonly namespace: string; readonly name: string }>;
  /** Says of an event that it goes on: `series` with that count (2 or more) and the time of the last occurrence. `CLUSTER_NOT_FOUND` when it is gone. */
  repeatEvent(
    event: { readonly namespace: string; readonly name: string },
    series: { readonly count: number; readonly lastMs: number },
    signal: AbortSignal,
  ): Promise<void>;
}

/** A Lease (coordination.k8s.io/v1) as elections use it. */
export interface LeaseState {
  /** "" while nobody holds it. */
  readonly holder: string;
  readonly durationMs: number;
  /** Wall clock of the holder, milliseconds since 1970; compare for equality only. */
  readonly acquireMs: number;
  readonly renewMs: number;
  readonly transitions: number;
  /** Free text that goes along: where the holder is reached. */
  readonly url: string;
  readonly resourceVersion: string;
}

/** One Lease object. Errors: see `ClusterWriter`. */
export interface LeaseLock {
  /** `undefined` while there is none. */
  read(signal: AbortSignal): Promise<LeaseState | undefined>;
  /** `CLUSTER_CONFLICT` when it exists. */
  create(state: Omit<LeaseState, "resourceVersion">, signal: AbortSignal): Promise<LeaseState>;
  /** `CLUSTER_CONFLICT` unless it is at `state.resourceVersion`. One that was deleted is brought back: so an API server takes it. */
  update(state: LeaseState, signal: AbortSignal): Promise<LeaseState>;
}

/** Says who a token belongs to (authentication.k8s.io/v1 TokenReview). */
export interface TokenReviewer {
  /** `undefined` for a token that the cluster does not know, or not for this audience. Errors: see `ClusterWriter`. */
  review(
    token: string,
    audience: string,
    signal: AbortSignal,
  ): Promise<
    | {
        readonly user: string;
        readonly groups: readonly string[];
        readonly extra: Readonly<Record<string, readonly string[]>>;
      }
    | undefined
  >;
}

/** Tells people what happened, on the object that it happened to. */
export interface EventRecorder {
  /** Returns at once and never throws: one event per object and reason, repeated as a series at most every 5 minutes, 10 a second in all. What is too much is dropped and counted. */
  record(event: Omit<ClusterEvent, "firstMs">): void;
}
