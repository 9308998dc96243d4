import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import { answer } from "../answers.ts";
import type { LeaderSource } from "../replica.ts";
import type { Resource } from "../resource.ts";

const Leader = z.object({
  id: z.string(),
  url: z.string(),
  epoch: z.int(),
  since: z.iso.datetime(),
  self: z.boolean(),
});

/** Who leads. */
export const leaderResource: Resource<{ leader: LeaderSource | undefined }> = (
  app,
  { leader: source },
  done,
) => {
  app.get(
    "/leader",
    {
      schema: { summary: "The replica that leads", tags: ["controller"], response: { 200: Leader } },
      config: { failures: [404] },
    },
    (_request, reply) => {
      const leader = source?.leader();
      if (source === undefined || leader === undefined) {
        throw new NetworkError(
          "not-found",
          "LEADER_NONE",
          source === undefined
            ? "there is no leader: this controller runs alone"
            : "nobody leads just now: a leader is elected within seconds of the end of the last one",
        );
      }
      const { id, url, epoch, since } = leader;
      return answer(reply, {
        id,
        url,
        epoch,
        since: new Date(since).toISOString(),
        self: id === source.selfId,
      });
    },
  );
  done();
};
