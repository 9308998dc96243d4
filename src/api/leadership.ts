import type { preHandlerHookHandler } from "fastify";

import { NetworkError } from "../core/errors.ts";
import type { LeaderSource } from "./replica.ts";

/**
 * Sends requests that only the leader can answer (`config.leader`) to it: 307 with `Location`; 503 while nobody leads or the leader does not say where it is
 * reached. Without a source this replica is alone, and answers.
 */
export function sendToLeader(source: LeaderSource | undefined): preHandlerHookHandler {
  return (request, reply, done) => {
    if (request.routeOptions.config.leader !== true || source === undefined || source.anyAnswers === true) {
      done();
      return;
    }
    // Asked only now: it looks at the machine's clock, and nearly all requests need no leader.
    const leader = source.leader();
    if (leader?.id === source.selfId) {
      done();
      return;
    }
    if (leader === undefined) {
      done(
        new NetworkError(
          "transient",
          "LEADER_NONE",
          "only the leader can answer this, and nobody leads just now: try again in a second",
        ),
      );
      return;
    }
    const { id, url } = leader;
    if (url === "") {
      done(
        new NetworkError(
          "transient",
          "LEADER_UNREACHABLE",
          `only the leader can answer this: replica "${id}" leads, but does not say where it is reached; ask it directly`,
          { leader: id },
        ),
      );
      return;
    }
    reply.header("location", url.replace(/\/+$/, "") + (request.raw.url ?? ""));
    done(
      new NetworkError("transient", "NOT_LEADER", `only the leader can answer this: ask "${id}" at ${url}`, {
        leader: id,
        url,
      }),
    );
  };
}
