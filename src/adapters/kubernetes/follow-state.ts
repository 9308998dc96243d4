import { NetworkError } from "../../core/errors.ts";
import type { FollowState } from "../../ports/cluster.ts";
import type { Logger } from "../../ports/logger.ts";
import { withoutSecrets } from "./credentials.ts";

export type FollowVerb = "list" | "watch";

/** How well a kind is followed, for people: in `state`, and in the log once for each change. */
export class FollowRecord {
  readonly #kind: string;
  readonly #log: Logger;
  readonly #unreadable = new Map<string, string>();
  #lists = 0;
  #read = 0;
  #watches = 0;
  #problem = "";
  #missingVerb = "";
  /** What the log has of the problem: verb and code. */
  #logged = "";

  constructor(kind: string, log: Logger) {
    this.#kind = kind;
    this.#log = log;
  }

  get state(): FollowState {
    return {
      problem: this.#problem,
      missingVerb: this.#missingVerb,
      lists: this.#lists,
      watches: this.#watches,
      read: this.#read,
      unreadable: this.#unreadable.size,
    };
  }

  begin(verb: FollowVerb): void {
    if (verb === "list") {
      this.#lists += 1;
    } else {
      this.#watches += 1;
    }
  }

  /** An object came, by a list or by a watch. */
  came(): void {
    this.#read += 1;
  }

  /** It went wrong, and will be tried again. */
  failed(verb: FollowVerb, error: unknown): void {
    const code = error instanceof NetworkError ? error.code : "unexpected";
    const message = error instanceof Error ? error.message : String(error);
    this.#problem = `${verb} ${this.#kind}: ${withoutSecrets(message)}`;
    this.#missingVerb = code === "CLUSTER_FORBIDDEN" ? `${verb} ${this.#kind}` : "";
    const mark = `${verb} ${code}`;
    if (this.#logged !== mark) {
      this.#logged = mark;
      // History that is gone is nothing out of the ordinary: every restart of the API server does that.
      const isGone = error instanceof NetworkError && error.details["status"] === 410;
      this.#log[isGone ? "info" : "warn"](
        {
          kind: this.#kind,
          verb,
          code,
          missingVerb: this.#missingVerb,
          reason: this.#problem,
          // With its stack: it is a mistake of ours.
          ...(error instanceof NetworkError ? {} : { err: error }),
        },
        "a kind of the cluster's objects is not followed; what is known of it still stands",
      );
    }
  }

  /** It is followed: a watch stands, or there is nothing to watch. */
  followed(): void {
    this.#problem = "";
    this.#missingVerb = "";
    if (this.#logged !== "") {
      this.#logged = "";
      this.#log.info({ kind: this.#kind }, "a kind of the cluster's objects is followed again");
    }
  }

  /** The server does not have the kind. */
  absent(): void {
    this.#problem = "";
    this.#missingVerb = "";
    if (this.#logged !== "absent") {
      this.#logged = "absent";
      this.#log.info({ kind: this.#kind }, "the API server does not have this kind of objects");
    }
  }

  /** An object could not be read. `uid`: what it is known by. Said once for each problem of each object. */
  unreadable(uid: string, name: string, problem: string): void {
    if (this.#unreadable.get(uid) !== problem) {
      this.#unreadable.set(uid, problem);
      this.#log.error(
        { kind: this.#kind, name, reason: problem },
        "an object of the cluster cannot be read; a policy closes its pods, any other object is left out",
      );
    }
  }

  readable(uid: string): void {
    this.#unreadable.delete(uid);
  }

  /** After a whole list: those that are not among them are gone. */
  keepUnreadable(isThere: (uid: string) => boolean): void {
    for (const uid of this.#unreadable.keys()) {
      if (!isThere(uid)) {
        this.#unreadable.delete(uid);
      }
    }
  }
}
