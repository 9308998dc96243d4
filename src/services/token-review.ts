import type { Caller } from "../core/access/access.ts";
import { NetworkError } from "../core/errors.ts";
import type { TokenAuthenticator } from "../ports/authenticator.ts";
import type { Clock } from "../ports/clock.ts";
import type { TokenReviewer } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";
import { Troubles } from "./troubles.ts";

export interface TokenReviewOptions {
  readonly reviewer: TokenReviewer;
  /** For whom a token must be made out, `romana`. */
  readonly audience: string;
  /** Whose tokens stand for the node of the Pod that they were made for. */
  readonly agentServiceAccount: { readonly namespace: string; readonly name: string };
  /** A hash under which answers are kept, from which the token cannot be told. */
  readonly hash: (token: string) => string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long an answer counts, the longest that a token goes on after it was taken back. */
const KEPT_MS = 10_000;
const MAX_KEPT = 10_000;
/** Reviews on their way to the API server at once; one takes some milliseconds. */
const MAX_IN_FLIGHT = 32;
/** Reviews that wait for their turn: the agents of a large cluster come back all at once. */
const MAX_WAITING = 10_000;
const REVIEW_MS = 5_000;

const GROUPS = { admin: "romana:admin", reader: "romana:reader" } as const;
const NODE_NAME = "authentication.kubernetes.io/node-name";
const POD_NAME = "authentication.kubernetes.io/pod-name";

/** What a token stands for: a caller, nobody, or somebody who is refused with these words. */
type Verdict = Caller | NetworkError | undefined;

interface Kept {
  readonly verdict: Verdict;
  readonly untilMs: number;
}

/**
 * Knows callers by the tokens of a cluster, each reviewed by its API server for our audience.
 *
 *     the agents' service account, its token made for a Pod on a node   agent of the host of that name
 *     the same, for no Pod                                              refused
 *     group romana:admin                                                admin
 *     group romana:reader                                               reader
 *     anybody else                                                      unknown
 *
 * Answers are kept for 10 s, under the hash of the token. What does not look like a JWT is no token of a cluster, and is not sent.
 */
export class TokenReviewAuthenticator implements TokenAuthenticator {
  readonly #options: TokenReviewOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #reviews = new Map<string, Promise<Verdict>>();
  readonly #waiting: (() => void)[] = [];
  /** Hashes of tokens that stood for somebody when they were reviewed last. */
  readonly #trusted = new Set<string>();
  #inFlight = 0;
  readonly #troubles: Troubles<"review">;

  constructor(options: TokenReviewOptions) {
    this.#options = options;
    this.#troubles = new Troubles(options.log.child({ component: "token-review" }));
  }

  /**
   * Throws `TOKEN_UNBOUND` (invalid) for a token of the agents that was made for no Pod, `TOKEN_REVIEW_FAILED` (transient) while the API server cannot be asked, and
   * `TOKEN_REVIEWS_TOO_MANY` (transient).
   */
  async callerOf(token: string, signal: AbortSignal, beforeAsking?: () => void): Promise<Caller | undefined> {
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
      return undefined;
    }
    const key = this.#options.hash(token);
    const kept = this.#kept.get(key);
    const verdict =
      kept !== undefined && this.#options.clock.monotonic() < kept.untilMs
        ? kept.verdict
        : await unlessAborted(this.#shared(key, token, beforeAsking), signal);
    if (verdict instanceof NetworkError) {
      throw verdict;
    }
    return verdict;
  }

  /** One review for all who ask for the same token. It goes on when one of them leaves. */
  #shared(key: string, token: string, beforeAsking?: () => void): Promise<Verdict> {
    const running = this.#reviews.get(key);
    if (running !== undefined) {
      return running;
    }
    if (!this.#trusted.has(key)) {
      beforeAsking?.();
    }
    const review = this.#review(key, token).finally(() => this.#reviews.delete(key));
    this.#reviews.set(key, review);
    // Whoever asked may have left: then nobody listens.
    review.catch(() => undefined);
    return review;
  }

  async #review(key: string, token: string): Promise<Verdict> {
    const { reviewer, audience, clock } = this.#options;
    await this.#turn();
    const stop = new AbortController();
    const timer = clock.setTimer(REVIEW_MS, () =>
      stop.abort(
        new NetworkError(
          "transient",
          "CLUSTER_UNAVAILABLE",
          `the API server did not answer within ${REVIEW_MS} ms`,
        ),
      ),
    );
    // Before it is asked: from then on the answer grows old.
    const untilMs = clock.monotonic() + KEPT_MS;
    try {
      const found = await reviewer.review(token, audience, stop.signal);
      const verdict = found === undefined ? undefined : this.#verdict(found);
      this.#keep(key, { verdict, untilMs });
      this.#troubles.went("review", "tokens of the cluster are reviewed again");
      return verdict;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      timer.cancel();
      this.#inFlight -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Waits until fewer than `MAX_IN_FLIGHT` are on their way, and counts one more. */
  async #turn(): Promise<void> {
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      if (this.#waiting.length >= MAX_WAITING) {
        throw new NetworkError(
          "transient",
          "TOKEN_REVIEWS_TOO_MANY",
          `cannot find out whom the token stands for: ${MAX_WAITING} others wait for the same; try again in a second`,
        );
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
    this.#inFlight += 1;
  }

  #verdict({
    user,
    groups,
    extra,
  }: {
    readonly user: string;
    readonly groups: readonly string[];
    readonly extra: Readonly<Record<string, readonly string[]>>;
  }): Verdict {
    const { namespace, name } = this.#options.agentServiceAccount;
    if (user === `system:serviceaccount:${namespace}:${name}`) {
      const [host = "", other] = extra[NODE_NAME] ?? [];
      const [pod = ""] = extra[POD_NAME] ?? [];
      return host !== "" && other === undefined && pod !== ""
        ? { user, role: "agent", host }
        : new NetworkError(
            "invalid",
            "TOKEN_UNBOUND",
            `the token is one of ${namespace}/${name}, the agents' service account, and was made for no Pod on a node, so it does not say for which host it stands: use the token that is projected into the agent's Pod`,
            { user },
          );
    }
    if (user === "") {
      return undefined;
    }
    if (groups.includes(GROUPS.admin)) {
      return { user, role: "admin", host: "" };
    }
    return groups.includes(GROUPS.reader) ? { user, role: "reader", host: "" } : undefined;
  }

  #keep(key: string, kept: Kept): void {
    this.#trusted.delete(key);
    if (kept.verdict !== undefined) {
      this.#trusted.add(key);
    }
    for (const oldest of this.#trusted) {
      if (this.#trusted.size <= MAX_KEPT) {
        break;
      }
      this.#trusted.delete(oldest);
    }
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    // Oldest first, in the order in which they were kept: all live equally long.
    const nowMs = this.#options.clock.monotonic();
    for (const [oldest, { untilMs }] of this.#kept) {
      if (untilMs > nowMs && this.#kept.size <= MAX_KEPT) {
        break;
      }
      this.#kept.delete(oldest);
    }
  }

  /** What a caller is told when the API server could not be asked; the log has the reason, once. */
  #failed(error: unknown): NetworkError {
    this.#troubles.failed(
      "review",
      error,
      "tokens of the cluster cannot be reviewed; their holders are asked to try again",
    );
    return new NetworkError(
      "transient",
      "TOKEN_REVIEW_FAILED",
      "cannot find out now whom the token stands for: the cluster's API server was asked and gave no answer; try again in a second, or use a token of the controller's token file",
      {},
      error,
    );
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
