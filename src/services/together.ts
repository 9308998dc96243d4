import type { AddressingService } from "./addressing-service.ts";
import type { StoreFollower } from "./store-follower.ts";

/**
 * Resolves when addressing answers from the revision that the other caches of the follower stand at: it stays behind while it reads everything anew, and is ahead when that read more
 * than the watch has brought. Whoever then reads all of them without waiting in between reads one revision. Rejects with the signal's reason.
 */
export async function together(
  addressing: Pick<AddressingService, "revision" | "onBatch">,
  follower: Pick<StoreFollower, "revision" | "changedSince">,
  signal: AbortSignal,
): Promise<void> {
  while (addressing.revision() !== follower.revision) {
    await (addressing.revision() > follower.revision
      ? follower.changedSince(follower.revision, signal)
      : nextBatch(addressing, signal));
  }
}

async function nextBatch(addressing: Pick<AddressingService, "onBatch">, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const forget = addressing.onBatch(() => resolve());
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await promise;
  } finally {
    signal.removeEventListener("abort", abort);
    forget();
  }
}
