import type { preHandlerHookHandler } from "fastify";

import { NetworkError } from "../core/errors.ts";
import type { StoreContact } from "./replica.ts";

/** How old what we know is. */
export interface Staleness {
  /** Whole seconds since the store answered, once that is longer than is tolerated; `undefined` before. */
  seconds(): number | undefined;
}

/** Without a store to ask nothing is ever stale. */
export function stalenessOf(store: StoreContact | undefined, toleratedMs: number): Staleness {
  return {
    seconds: () => {
      const silentMs = store?.silentMs() ?? 0;
      return silentMs > toleratedMs ? Math.floor(silentMs / 1000) : undefined;
    },
  };
}

/**
 * While the store is silent, reads are answered from memory with the header `Romana-Stale: SECONDS`, and everything else is refused (503): what cannot be
 * written down must not be promised. It ends with the store's next answer.
 */
export function markStale(staleness: Staleness): preHandlerHookHandler {
  return (request, reply, done) => {
    const seconds = staleness.seconds();
    if (seconds === undefined) {
      done();
    } else if (request.method === "GET" || request.method === "HEAD") {
      reply.header("romana-stale", String(seconds));
      done();
    } else {
      done(
        new NetworkError(
          "transient",
          "STORE_SILENT",
          `the store has not answered for ${seconds} s, so nothing can be changed: try again, or ask another replica`,
          { silentSeconds: seconds },
        ),
      );
    }
  };
}
