import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";

/** What a call is bounded by: `who` does not answer, and `code` is what that is called. */
interface Bound {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly who: string;
  readonly code: "STORE_UNAVAILABLE" | "CLUSTER_UNAVAILABLE";
}

/** Gives a call up after its time, or with the signal; rejects with what the call then rejects with, which is the signal's reason or `code` (transient). */
export async function within<T>(bound: Bound, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { clock, timeoutMs, signal, who, code } = bound;
  const attempt = new AbortController();
  const timer = clock.setTimer(timeoutMs, () =>
    attempt.abort(
      new NetworkError("transient", code, `${who} did not answer within ${Math.round(timeoutMs)} ms`),
    ),
  );
  try {
    return await work(signal === undefined ? attempt.signal : AbortSignal.any([attempt.signal, signal]));
  } finally {
    timer.cancel();
  }
}

/** What a call to the store is bounded by. */
export function storeBound(
  { clock }: { readonly clock: Clock },
  timeoutMs: number,
  signal?: AbortSignal,
): Bound {
  return { clock, timeoutMs, signal, who: "the store", code: "STORE_UNAVAILABLE" };
}

/** What a call to the API server of a cluster is bounded by. */
export function clusterBound(
  { clock }: { readonly clock: Clock },
  timeoutMs: number,
  signal?: AbortSignal,
): Bound {
  return { clock, timeoutMs, signal, who: "the API server", code: "CLUSTER_UNAVAILABLE" };
}
