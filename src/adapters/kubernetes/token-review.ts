import { z } from "zod";

import type { TokenReviewer } from "../../ports/cluster.ts";
import { errorOfConnection } from "./classify-error.ts";
import { flag, part, text, texts } from "./parts.ts";
import type { Transport } from "./transport.ts";

const Review = z.object({
  status: z.object({
    authenticated: flag,
    audiences: texts,
    user: part({
      username: text,
      groups: texts,
      extra: z.record(z.string(), z.array(z.string())).default({}).catch({}),
    }),
  }),
});

/** Asks the API server who a token belongs to. */
export class KubernetesTokenReviewer implements TokenReviewer {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async review(token: string, audience: string, signal: AbortSignal): ReturnType<TokenReviewer["review"]> {
    const call = {
      verb: "create",
      resource: "tokenreviews",
      method: "POST",
      path: "/apis/authentication.k8s.io/v1/tokenreviews",
      body: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: { token, audiences: [audience] },
      },
      secret: token,
    } as const;
    const { success, data } = Review.safeParse(await this.#transport.json(call, signal));
    if (!success) {
      throw errorOfConnection(call, "the answer is no TokenReview");
    }
    const { authenticated, audiences, user } = data.status;
    // A server that knows no audiences answers without them, for any token: that one is not for us.
    if (!authenticated || !audiences.includes(audience) || user.username === "") {
      return undefined;
    }
    return { user: user.username, groups: user.groups, extra: user.extra };
  }
}
