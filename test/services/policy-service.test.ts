import { describe, expect, it } from "vitest";

import type { Store } from "../../src/ports/store.ts";
import { PolicyService } from "../../src/services/policy-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { createLog, createStore, LaggingStore, type LogLine } from "./support.ts";
import { policy } from "./watch-support.ts";

const signal = new AbortController().signal;

async function openService(store: Store, limit?: number) {
  const lines: LogLine[] = [];
  const common = { store, clock: new FakeClock(), log: createLog(lines), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const policies = new PolicyService({ ...common, follower, ...(limit === undefined ? {} : { limit }) });
  follower.start();
  return { policies, follower, lines };
}

const idsOf = (policies: PolicyService) => policies.list().map(({ id }) => id);

it("keeps a policy under its percent-encoded id, in the form in which it is shown", async () => {
  const store = createStore();
  const { policies } = await openService(store);

  await policies.save(policy("a/b c"), signal);

  const { entries } = await store.list("/romana/", signal);
  expect(entries.map(({ key, value }) => [key, value])).toEqual([
    ["/romana/policies/a%2Fb%20c", JSON.stringify(policy("a/b c"))],
  ]);
  expect(policies.list()).toEqual([policy("a/b c")]);
});

it("has what it stored when it is opened again, sorted by key", async () => {
  const store = createStore();
  const { policies } = await openService(store);
  await policies.save([policy("b"), policy("a b"), policy("a"), policy("a.b")], signal);

  const again = await openService(store);

  expect(idsOf(again.policies)).toEqual(["a", "a b", "a.b", "b"]);
});

it("replaces a policy of the same id", async () => {
  const { policies } = await openService(createStore());

  await policies.save(policy("p", "old"), signal);
  await policies.save(policy("p", "new"), signal);

  expect(policies.list()).toEqual([policy("p", "new")]);
});

it("stores all policies of a document in one transaction, or none", async () => {
  const store = createStore();
  const { policies } = await openService(store);

  await policies.save([policy("a"), policy("b")], signal);
  await expect(
    policies.save([policy("c"), { ...policy("d"), direction: "up" }], signal),
  ).rejects.toMatchObject({
    code: "POLICY_INVALID",
  });

  expect(store.transactions.map(({ operations }) => operations.length)).toEqual([2]);
  expect(idsOf(policies)).toEqual(["a", "b"]);
});

it("finds and removes by id before name", async () => {
  const { policies } = await openService(createStore());
  await policies.save(
    [policy("one"), { ...policy("two"), name: "one" }, { ...policy("three"), name: "other" }],
    signal,
  );

  await policies.remove("one", signal);
  await policies.remove("other", signal);

  expect(policies.find("one").id).toBe("two");
  expect(idsOf(policies)).toEqual(["two"]);
  await expect(policies.remove("three", signal)).rejects.toMatchObject({
    kind: "not-found",
    code: "POLICY_NOT_FOUND",
  });
});

it("lists the ids of policies that share a name, and removes none of them", async () => {
  const { policies } = await openService(createStore());
  await policies.save(
    [
      { ...policy("b"), name: "n" },
      { ...policy("a"), name: "n" },
    ],
    signal,
  );

  await expect(policies.remove("n", signal)).rejects.toMatchObject({
    kind: "conflict",
    code: "POLICY_AMBIGUOUS",
    details: { ids: ["a", "b"] },
    message: '2 policies are called "n": name one by its id: a, b',
  });
  expect(policies.list()).toHaveLength(2);
});

it("takes as many as may be, and then only replaces", async () => {
  const { policies } = await openService(createStore(), 2);
  await policies.save([policy("a"), policy("b")], signal);

  await expect(policies.save([policy("b", "new"), policy("c")], signal)).rejects.toMatchObject({
    kind: "exhausted",
    code: "POLICIES_FULL",
  });
  await policies.save(policy("b", "new"), signal);
  expect(policies.list()).toEqual([policy("a"), policy("b", "new")]);
});

it("sees what another replica stores and removes", async () => {
  const store = createStore();
  const [one, two] = [await openService(store), await openService(store)];

  await one.policies.save([policy("a"), policy("b")], signal);
  await two.follower.reached(one.follower.revision, signal);
  await two.policies.remove("a", signal);
  await one.follower.reached(two.follower.revision, signal);

  expect(idsOf(one.policies)).toEqual(["b"]);
});

it("removes a policy that another replica changed in the same moment", async () => {
  const store = createStore();
  const [one, two] = [await openService(store), await openService(store)];
  await one.policies.save(policy("a"), signal);
  await two.follower.reached(one.follower.revision, signal);
  store.failNext(async (run) => {
    await one.policies.save(policy("a", "newer"), signal);
    return run();
  });

  await two.policies.remove("a", signal);

  expect(two.policies.list()).toEqual([]);
});

it("says that there is no such policy when another replica removed it in the same moment", async () => {
  const store = createStore();
  const [one, two] = [await openService(store), await openService(store)];
  await one.policies.save(policy("a"), signal);
  await two.follower.reached(one.follower.revision, signal);
  store.failNext(async (run) => {
    await one.policies.remove("a", signal);
    return run();
  });

  await expect(two.policies.remove("a", signal)).rejects.toMatchObject({ code: "POLICY_NOT_FOUND" });
});

it("gives up after others changed the policy five times", async () => {
  const store = createStore();
  const { policies } = await openService(store);
  const other = await openService(store);
  await policies.save(policy("a"), signal);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    // The second of each two is the other's own.
    store.failNext(async (run) => {
      await other.policies.save(policy("a", `${attempt}`), signal);
      return run();
    });
    store.failNext((run) => run());
  }

  await expect(policies.remove("a", signal)).rejects.toMatchObject({
    kind: "transient",
    code: "POLICY_CONTENDED",
  });
});

it.for([
  ["/romana/policies/p", "{", "it is no JSON"],
  ["/romana/policies/p", JSON.stringify(policy("q")), "it is another's"],
  ["/romana/policies/p", JSON.stringify({ id: "p" }), "it is no policy"],
  ["/romana/policies/%zz", JSON.stringify(policy("%zz")), "its key is none of ours"],
  ["/romana/policies/a b", JSON.stringify(policy("a b")), "its key is not encoded"],
] as const)(
  "leaves out a record %s %s because %s, with an error in the log, and shows the others",
  async ([key, value]) => {
    const store = createStore();
    await store.commit(
      {
        compare: [],
        operations: [
          { kind: "put", key, value },
          { kind: "put", key: "/romana/policies/sound", value: JSON.stringify(policy("sound")) },
        ],
      },
      signal,
    );

    const { policies, lines } = await openService(store);

    expect(idsOf(policies)).toEqual(["sound"]);
    expect(lines.filter(({ level }) => level === "error")).toHaveLength(1);
  },
);

it("warns in the log of an egress policy", async () => {
  const { policies, lines } = await openService(createStore());

  await policies.save({ ...policy("p"), direction: "egress" }, signal);

  expect(lines).toContainEqual({ level: "warn", message: "a document of policies has a warning" });
});

describe("on a replica that is behind", () => {
  /** Two replicas; what the second one watches stays away until it is let through. */
  async function behind() {
    const store = createStore();
    const one = await openService(store);
    const shared = new LaggingStore(store);
    const two = await openService(shared);
    return { one, two, shared };
  }

  it("removes what another replica has just stored, by id and by name", async () => {
    const { one, two } = await behind();
    await one.policies.save([policy("a"), { ...policy("b"), name: "named" }], signal);

    await two.policies.remove("a", signal);
    await two.policies.remove("named", signal);

    expect(idsOf(two.policies)).toEqual([]);
  });

  it("does not take one of two for the only one of its name", async () => {
    const { one, two, shared } = await behind();
    await one.policies.save({ ...policy("a"), name: "n" }, signal);
    await two.follower.sync();
    shared.hold();
    await one.policies.save({ ...policy("b"), name: "n" }, signal);

    await expect(two.policies.remove("n", signal)).rejects.toMatchObject({ code: "POLICY_AMBIGUOUS" });
  });

  it("says no only after it has asked", async () => {
    const { two } = await behind();

    await expect(two.policies.remove("nobody", signal)).rejects.toMatchObject({ code: "POLICY_NOT_FOUND" });
  });
});

it("stores a document that no transaction takes, all or nothing, and other replicas see it whole", async () => {
  const store = createStore();
  const small = new LaggingStore(store, { operations: 8, bytes: 4000 });
  const [one, two] = [await openService(small), await openService(store)];
  const seen: number[] = [];
  two.policies.onBatch(() => seen.push(two.policies.list().length));
  const many = Array.from({ length: 50 }, (_, index) => policy(`p${index}`));

  await one.policies.save(many, signal);
  await two.follower.reached(one.follower.revision, signal);

  expect(idsOf(one.policies)).toHaveLength(50);
  expect([...new Set(seen)]).toEqual([50]);
  expect((await store.list("/romana/staged/", signal)).entries).toEqual([]);
  expect((await openService(store)).policies.list()).toEqual(one.policies.list());
});

it("finds in an import two policies with one id, and one more than may be", async () => {
  const { policies } = await openService(createStore(), 3);

  expect(policies.check([policy("x"), policy("y"), policy("x")])).toEqual([
    { index: 2, message: 'policy "x" is there already' },
  ]);
  expect(policies.check([policy("w"), policy("x"), policy("y"), policy("z")])).toEqual([
    { index: 3, message: "3 policies may be stored, and this is one more" },
  ]);
});
