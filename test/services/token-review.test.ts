import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import type { TokenReviewer } from "../../src/ports/cluster.ts";
import { TokenReviewAuthenticator } from "../../src/services/token-review.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

type Found = Awaited<ReturnType<TokenReviewer["review"]>>;

const never = new AbortController().signal;
const AGENT = "system:serviceaccount:kube-system:romana-agent";
const BOUND = {
  "authentication.kubernetes.io/node-name": ["ip-10-0-1-7"],
  "authentication.kubernetes.io/pod-name": ["romana-agent-x"],
};

function jwt(name: string): string {
  return `eyJhbGciOiJSUzI1NiJ9.${name}.c2lnbmF0dXJl`;
}

function make(answers: Readonly<Record<string, Found>> = {}) {
  const clock = new FakeClock();
  const asked: { readonly token: string; readonly audience: string }[] = [];
  const state: { failure: NetworkError | undefined; held: (() => void)[]; holds: boolean } = {
    failure: undefined,
    held: [],
    holds: false,
  };
  const lines: { readonly level: string; readonly fields: object }[] = [];
  const log = {
    ...silentLog,
    child: () => log,
    warn: (fields: object) => void lines.push({ level: "warn", fields }),
    error: (fields: object) => void lines.push({ level: "error", fields }),
    info: (fields: object) => void lines.push({ level: "info", fields }),
  };
  const reviewer: TokenReviewer = {
    review: async (token, audience, signal) => {
      asked.push({ token, audience });
      if (state.holds) {
        await new Promise<void>((resolve, reject) => {
          state.held.push(resolve);
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        });
      }
      if (state.failure !== undefined) {
        throw state.failure;
      }
      return answers[token];
    },
  };
  const authenticator = new TokenReviewAuthenticator({
    reviewer,
    audience: "romana",
    agentServiceAccount: { namespace: "kube-system", name: "romana-agent" },
    hash: (token) => `hash of ${token.length} ${token}`,
    clock,
    log,
  });
  return { clock, asked, state, lines, authenticator };
}

const person = (...groups: string[]) => ({ user: "ann", groups, extra: {} });

describe("callers by tokens of the cluster", () => {
  it.for<{ readonly who: string; readonly found: Found; readonly caller: object | undefined }>([
    {
      who: "an agent whose token was made for a Pod on a node",
      found: { user: AGENT, groups: ["system:serviceaccounts"], extra: BOUND },
      caller: { user: AGENT, role: "agent", host: "ip-10-0-1-7" },
    },
    {
      who: "a person in romana:admin",
      found: person("romana:admin"),
      caller: { user: "ann", role: "admin", host: "" },
    },
    {
      who: "a person in romana:reader",
      found: person("romana:reader"),
      caller: { user: "ann", role: "reader", host: "" },
    },
    {
      who: "a person in both groups",
      found: person("romana:reader", "romana:admin"),
      caller: { user: "ann", role: "admin", host: "" },
    },
    { who: "a person in neither group", found: person("system:masters", "romana:agent"), caller: undefined },
    {
      who: "another service account in a Pod",
      found: { user: "system:serviceaccount:default:romana-agent", groups: [], extra: BOUND },
      caller: undefined,
    },
    {
      who: "nobody with a name",
      found: { user: "", groups: ["romana:admin"], extra: {} },
      caller: undefined,
    },
    { who: "a token that the cluster does not know", found: undefined, caller: undefined },
  ])("knows $who", async ({ found, caller }) => {
    const { authenticator, asked } = make({ [jwt("t")]: found });

    expect(await authenticator.callerOf(jwt("t"), never)).toEqual(caller);
    expect(asked).toEqual([{ token: jwt("t"), audience: "romana" }]);
  });

  it.for([
    { what: "no Pod", extra: {} },
    { what: "a Node and no Pod", extra: { "authentication.kubernetes.io/node-name": ["ip-10-0-1-7"] } },
    { what: "a Pod on no node", extra: { "authentication.kubernetes.io/pod-name": ["x"] } },
    { what: "an empty node", extra: { ...BOUND, "authentication.kubernetes.io/node-name": [""] } },
    { what: "two nodes", extra: { ...BOUND, "authentication.kubernetes.io/node-name": ["a", "b"] } },
  ])("refuses an agent's token that was made for $what, with words", async ({ extra }) => {
    const { authenticator, asked } = make({
      [jwt("t")]: { user: AGENT, groups: ["romana:admin"], extra },
    });

    for (let times = 0; times < 2; times += 1) {
      await expect(authenticator.callerOf(jwt("t"), never)).rejects.toMatchObject({
        code: "TOKEN_UNBOUND",
        message: expect.stringContaining("kube-system/romana-agent") as string,
      });
    }
    expect(asked).toHaveLength(1);
  });

  it.for(["", "abc", "b1a0c2d4e5f6a7b8", "a.b", "a.b.c.d", "a..c", "a.b.c=", "a.b. c", "k8s-aws-v1.aHR0cHM"])(
    "does not send what is no JWT: %j",
    async (token) => {
      const { authenticator, asked } = make();

      expect(await authenticator.callerOf(token, never)).toBeUndefined();
      expect(asked).toEqual([]);
    },
  );

  it("keeps what it was told for ten seconds, good or bad, counted from the question", async () => {
    const { authenticator, asked, clock } = make({ [jwt("good")]: person("romana:reader") });
    for (const each of ["good", "bad"]) {
      await authenticator.callerOf(jwt(each), never);
    }
    await clock.advance(9_999);
    expect(await authenticator.callerOf(jwt("good"), never)).toBeDefined();
    expect(await authenticator.callerOf(jwt("bad"), never)).toBeUndefined();
    expect(asked).toHaveLength(2);
    await clock.advance(1);
    await authenticator.callerOf(jwt("good"), never);
    await authenticator.callerOf(jwt("bad"), never);

    expect(asked).toHaveLength(4);
  });

  it("asks once for all who come with the same token at once, also when the first of them leaves", async () => {
    const { authenticator, asked, state } = make({ [jwt("t")]: person("romana:reader") });
    state.holds = true;
    const leaving = new AbortController();
    const first = authenticator.callerOf(jwt("t"), leaving.signal);
    const others = [1, 2, 3].map(() => authenticator.callerOf(jwt("t"), never));
    leaving.abort(new Error("gone"));
    await expect(first).rejects.toThrow("gone");
    await turns();
    state.held.forEach((release) => release());

    expect((await Promise.all(others)).map((caller) => caller?.role)).toEqual(["reader", "reader", "reader"]);
    expect(asked).toHaveLength(1);
  });

  it("has 32 questions under way at most, and answers all", async () => {
    const { authenticator, asked, state } = make();
    state.holds = true;
    const all = Array.from({ length: 100 }, (_, index) => authenticator.callerOf(jwt(`t${index}`), never));
    await turns();
    expect(asked).toHaveLength(32);
    state.holds = false;
    state.held.forEach((release) => release());

    expect(await Promise.all(all)).toHaveLength(100);
    expect(asked).toHaveLength(100);
  });

  it("goes on with what it knows while the API server is away, then asks to try again", async () => {
    const { authenticator, clock, state, lines } = make({ [jwt("t")]: person("romana:reader") });
    await authenticator.callerOf(jwt("t"), never);
    state.failure = new NetworkError("transient", "CLUSTER_UNAVAILABLE", "connection refused");
    await clock.advance(9_000);
    expect(await authenticator.callerOf(jwt("t"), never)).toBeDefined();
    await clock.advance(1_000);
    for (let times = 0; times < 3; times += 1) {
      await expect(authenticator.callerOf(jwt("t"), never)).rejects.toMatchObject({
        kind: "transient",
        code: "TOKEN_REVIEW_FAILED",
      });
    }
    state.failure = undefined;

    expect(await authenticator.callerOf(jwt("t"), never)).toBeDefined();
    expect(lines.map(({ level }) => level)).toEqual(["warn", "info"]);
  });

  it("asks to try again when our own role is not enough, and says so once as an error", async () => {
    const { authenticator, state, lines } = make();
    state.failure = new NetworkError("invalid", "CLUSTER_FORBIDDEN", "no", {
      verb: "create",
      resource: "tokenreviews",
    });
    for (let times = 0; times < 3; times += 1) {
      await expect(authenticator.callerOf(jwt("t"), never)).rejects.toMatchObject({ kind: "transient" });
    }

    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "error", fields: { verb: "create", resource: "tokenreviews" } });
  });

  it("waits five seconds for an answer", async () => {
    const { authenticator, clock, state } = make();
    state.holds = true;
    const failed = authenticator.callerOf(jwt("t"), never).catch((error: unknown) => error);
    await clock.advance(5_000);

    expect(await failed).toMatchObject({ code: "TOKEN_REVIEW_FAILED" });
  });

  it("keeps ten thousand answers at most, the newest", async () => {
    const { authenticator, asked } = make();
    for (let index = 0; index <= 10_000; index += 1) {
      await authenticator.callerOf(jwt(`t${index}`), never);
    }
    await authenticator.callerOf(jwt("t1"), never);
    expect(asked).toHaveLength(10_001);
    await authenticator.callerOf(jwt("t0"), never);

    expect(asked).toHaveLength(10_002);
  });

  it("writes no token anywhere", async () => {
    const { authenticator, state, lines } = make({ [jwt("agent")]: { user: AGENT, groups: [], extra: {} } });
    const unbound: unknown = await authenticator
      .callerOf(jwt("agent"), never)
      .catch((error: unknown) => error);
    state.failure = new NetworkError("transient", "CLUSTER_UNAVAILABLE", "away");
    const failed: unknown = await authenticator
      .callerOf(jwt("secret"), never)
      .catch((error: unknown) => error);
    const said = [unbound, failed]
      .map((error) => (error instanceof NetworkError ? error.message + JSON.stringify(error.details) : ""))
      .concat(JSON.stringify(lines))
      .join(" ");

    expect(said).toContain("service account");
    expect(said).not.toMatch(/eyJ/);
  });
});

/** Lets what only awaits promises go on. */
function turns(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("who asks too often", () => {
  const refuse = (): never => {
    throw new NetworkError("transient", "AUTH_THROTTLED", "too many");
  };

  it("has no token reviewed that was not known before", async () => {
    const { authenticator, asked } = make();

    await expect(authenticator.callerOf(jwt("junk"), never, refuse)).rejects.toMatchObject({
      code: "AUTH_THROTTLED",
    });

    expect(asked).toEqual([]);
  });

  it("does not keep out a token from the same address that was known, until it is not known any more", async () => {
    const answers: Record<string, Found> = { [jwt("good")]: person("romana:reader") };
    const { authenticator, clock } = make(answers);
    await authenticator.callerOf(jwt("good"), never);
    await clock.advance(60_000);

    expect(await authenticator.callerOf(jwt("good"), never, refuse)).toMatchObject({ user: "ann" });

    await clock.advance(60_000);
    Reflect.deleteProperty(answers, jwt("good"));
    expect(await authenticator.callerOf(jwt("good"), never, refuse)).toBeUndefined();
    await clock.advance(60_000);
    await expect(authenticator.callerOf(jwt("good"), never, refuse)).rejects.toMatchObject({
      code: "AUTH_THROTTLED",
    });
  });
});
