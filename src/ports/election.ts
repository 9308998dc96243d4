import type { KeyCompare } from "./store.ts";

/** Who leads, as a replica last saw it. */
export interface LeaderView {
  /** Name of the replica: unique among those that run. */
  readonly id: string;
  /** Where its REST API is reached, `https://10.0.0.5:9600`; "" when it does not say. */
  readonly url: string;
  /** Grows with every change of leader: the create revision of the leader's key. */
  readonly epoch: number;
  /** When it was elected, by its own wall clock, milliseconds since 1970. */
  readonly since: number;
}

/** A term as leader (decision 29). It ends by itself when it cannot be renewed in time. */
export interface Leadership {
  readonly epoch: number;
  /** Every transaction that only the leader may make carries it: it fails once somebody else was elected. */
  readonly guard: KeyCompare;
  /** Milliseconds in which a call to the cloud may still be sent; 0 or less when the term may be over. */
  remainingMs(): number;
  /** Aborted when the term is over, for whatever reason. */
  readonly ended: AbortSignal;
  /** Gives the term up, so that the next one begins at once. Never rejects. */
  resign(): Promise<void>;
}

/** Chooses one leader among the replicas. Implementations: on the store; later on a Kubernetes Lease. */
export interface Election {
  /** Stands for election until elected; rejects only with the signal's reason. */
  campaign(signal: AbortSignal): Promise<Leadership>;
  /** `undefined` while nobody leads. */
  leader(): LeaderView | undefined;
  /** Calls the listener after `leader()` changed; it must not throw. Returns what ends that. */
  onChange(listener: () => void): () => void;
}
