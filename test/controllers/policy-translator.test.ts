import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";

import { PolicyTranslator } from "../../src/controllers/policy-translator.ts";
import type {
  ClusterNamespace,
  ClusterNetworkPolicy,
  NetworkPolicyPort,
} from "../../src/core/cluster/objects.ts";
import { isolationId, networkPolicyId, type PolicyModel } from "../../src/core/policy/model.ts";
import { translateIsolation } from "../../src/core/policy/translate-isolation.ts";
import { translateNetworkPolicy } from "../../src/core/policy/translate-network-policy.ts";
import type { Store } from "../../src/ports/store.ts";
import { ClusterPolicyStore } from "../../src/services/cluster-policy-store.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { createLog, FaultyStore, LaggingStore, signal, type LogLine } from "../services/support.ts";
import { turns } from "../services/watch-support.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { networkPolicy, selector } from "../support/policy-world.ts";
import { RecordedEvents } from "./recorded-events.ts";

const DENY = '{"ingress":{"isolation":"DefaultDeny"}}';
let version = 0;

function policyNamed(name: string, fields: Partial<ClusterNetworkPolicy> = {}): ClusterNetworkPolicy {
  version += 1;
  return networkPolicy({ name, uid: `uid-${name}`, resourceVersion: `${version}`, ...fields });
}

/** One that allows a port from everywhere. */
function allowing(name: string, port: NetworkPolicyPort["port"] = 80): ClusterNetworkPolicy {
  return policyNamed(name, {
    ingress: [{ peers: [], ports: [{ protocol: "TCP", ...(port === undefined ? {} : { port }) }] }],
  });
}

function namespaceNamed(name: string, isolation?: string, uid = `uid-${name}`): ClusterNamespace {
  version += 1;
  return {
    uid,
    namespace: "",
    name,
    resourceVersion: `${version}`,
    deleting: false,
    labels: {},
    isolation,
  };
}

class BoundedStore extends FaultyStore {
  override readonly limits: FaultyStore["limits"];

  constructor(clock: FakeClock, limits: FaultyStore["limits"]) {
    super(clock);
    this.limits = limits;
  }
}

/** A translator's surroundings, on a store whose commits can be made to fail. */
function world(limits: FaultyStore["limits"] = { operations: Infinity, bytes: Infinity }) {
  const clock = new FakeClock();
  return worldOn(new BoundedStore(clock, limits), clock);
}

async function worldOn<S extends Store>(store: S, clock: FakeClock) {
  const lines: LogLine[] = [];
  const common = { store, clock, log: createLog(lines), prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const policies = new ClusterPolicyStore({ ...common, follower });
  follower.start();
  const key = "/romana/election/one";
  const elect = async () => {
    const elected = { kind: "put", key, value: "{}" } as const;
    const { revision } = await store.commit({ compare: [], operations: [elected] }, signal);
    return { guard: { key, modRevision: revision } };
  };
  const networkPolicies = new ObjectView<ClusterNetworkPolicy>();
  const namespaces = new ObjectView<ClusterNamespace>();
  const recorded = new RecordedEvents();
  const begin = async () => {
    const translator = new PolicyTranslator({
      networkPolicies,
      namespaces,
      store: policies,
      term: await elect(),
      events: recorded,
      clock,
      log: common.log,
    });
    translator.start();
    return translator;
  };
  return { clock, store, policies, networkPolicies, namespaces, recorded, lines, begin, elect };
}

type World = Pick<Awaited<ReturnType<typeof world>>, "policies" | "networkPolicies" | "namespaces">;

/** Lists both kinds. */
function list(
  { networkPolicies, namespaces }: World,
  policies: readonly ClusterNetworkPolicy[] = [],
  spaces: readonly ClusterNamespace[] = [],
): void {
  networkPolicies.replace(policies);
  namespaces.replace(spaces);
}

/** Lets the translator come to rest. */
async function settled(translator: PolicyTranslator, clock: FakeClock): Promise<void> {
  await vi.waitUntil(
    async () => {
      await turns(2);
      if (translator.status().failures > 0) {
        await clock.advance(2000);
      }
      return translator.status().pending === 0;
    },
    { interval: 0, timeout: 5000 },
  );
}

function isolationOf(namespace: ClusterNamespace): PolicyModel | undefined {
  const translation = translateIsolation(namespace);
  return translation.verdict === "isolated" ? translation.model : undefined;
}

const idsOf = ({ policies }: World) => policies.list().map(({ id }) => id);
const kube = (name: string) => `kube.shop.${name}.uid-${name}`;

describe("from the views to the store", () => {
  it("stores what exists once both kinds are listed, and nothing before", async () => {
    const around = await world();
    const translator = await around.begin();
    const web = allowing("web");

    around.networkPolicies.replace([web]);
    await turns();
    expect(idsOf(around)).toEqual([]);

    around.namespaces.replace([namespaceNamed("shop", DENY), namespaceNamed("open")]);
    await settled(translator, around.clock);

    expect(around.policies.list()).toEqual([
      isolationOf(namespaceNamed("shop", DENY)),
      translateNetworkPolicy(web).model,
    ]);
    expect(translator.status()).toEqual({ stored: 2, withProblems: 0, pending: 0, failures: 0 });
  });

  it("takes out at its start what went while nobody led, and leaves alone what is as it should be", async () => {
    const around = await world();
    const first = await around.begin();
    list(around, [allowing("stays"), allowing("goes")], [namespaceNamed("shop", DENY)]);
    await settled(first, around.clock);
    await first.stop();
    around.networkPolicies.remove(allowing("goes"));
    const before = around.store.transactions.length;

    const second = await around.begin();
    await settled(second, around.clock);

    expect(idsOf(around)).toEqual(["isolation.shop.uid-shop", kube("stays")]);
    expect(around.store.transactions.slice(before + 1).map(({ operations }) => operations)).toEqual([
      [{ kind: "delete", key: `/romana/cluster-policies/${kube("goes")}` }],
    ]);
  });

  it("follows additions, edits and deletions, each in one commit", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around);
    await settled(translator, around.clock);
    const before = around.store.transactions.length;

    around.networkPolicies.put(allowing("a", 80));
    await settled(translator, around.clock);
    around.networkPolicies.put(allowing("a", 81));
    await settled(translator, around.clock);
    expect(around.policies.byId(kube("a"))?.ingress[0]?.traffic).toEqual([{ protocol: "tcp", ports: [81] }]);
    around.namespaces.put(namespaceNamed("shop", DENY));
    await settled(translator, around.clock);
    around.namespaces.put(namespaceNamed("shop"));
    around.networkPolicies.remove(allowing("a"));
    await settled(translator, around.clock);

    expect(idsOf(around)).toEqual([]);
    expect(around.store.transactions.length - before).toBe(4);
  });

  it("commits a change before anything else had its turn", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around);
    await settled(translator, around.clock);

    around.networkPolicies.put(allowing("a"));
    await turns(1);

    expect(idsOf(around)).toEqual([kube("a")]);
  });

  it("writes nothing for a change that means the same", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("a")], [namespaceNamed("shop", DENY)]);
    await settled(translator, around.clock);
    const before = around.store.transactions.length;

    around.networkPolicies.put(allowing("a"));
    around.namespaces.put({ ...namespaceNamed("shop", DENY), labels: { team: "a" } });
    list(around, [allowing("a")], [namespaceNamed("shop", DENY)]);
    await settled(translator, around.clock);

    expect(around.store.transactions).toHaveLength(before);
  });

  it("gathers what comes while a commit is under way into the next one, the newest state of each", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around);
    await settled(translator, around.clock);
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    around.store.failNext(async (run) => {
      await held;
      return run();
    });
    around.networkPolicies.put(allowing("first"));
    await turns();
    const before = around.store.transactions.length;

    for (let port = 1; port <= 50; port += 1) {
      around.networkPolicies.put(allowing("a", port));
      around.networkPolicies.put(allowing("b", port));
    }
    expect(translator.status().pending).toBe(3);
    letGo();
    await settled(translator, around.clock);

    expect(around.store.transactions.length - before).toBe(1);
    expect(around.policies.byId(kube("b"))?.ingress[0]?.traffic).toEqual([{ protocol: "tcp", ports: [50] }]);
  });

  it("has the policy of an object that is made anew before it takes out the old one", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("a")]);
    await settled(translator, around.clock);
    const seen: (readonly string[])[] = [];
    around.policies.onBatch(() => seen.push(idsOf(around)));

    around.networkPolicies.put({ ...allowing("a"), uid: "another" });
    await settled(translator, around.clock);

    expect(seen).toEqual([["kube.shop.a.another", kube("a")], ["kube.shop.a.another"]]);
  });

  it("puts back what somebody else took out of the store or changed there", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("a"), allowing("b")]);
    await settled(translator, around.clock);
    const at = (name: string) => `/romana/cluster-policies/${kube(name)}`;
    const expected = around.policies.list();

    await around.store.commit(
      {
        compare: [],
        operations: [
          { kind: "delete", key: at("a") },
          { kind: "put", key: at("b"), value: "damaged" },
          { kind: "put", key: at("never"), value: "{}" },
        ],
      },
      signal,
    );
    await vi.waitUntil(() => !around.policies.has(kube("a")) || around.policies.size === 2);
    await settled(translator, around.clock);

    await vi.waitFor(() => expect(around.policies.list()).toEqual(expected));
    expect(around.policies.ids()).toHaveLength(2);
  });
});

describe("faults", () => {
  it("tries a failed commit again with growing pauses, and then writes the newest state", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around);
    await settled(translator, around.clock);
    const before = around.store.transactions.length;
    for (let fault = 0; fault < 3; fault += 1) {
      around.store.failNext(() => Promise.reject(new Error("the store is away")));
    }
    const attempts = () => around.store.transactions.length - before;

    around.networkPolicies.put(allowing("a", 80));
    await turns();
    expect([attempts(), translator.status().failures]).toEqual([1, 1]);
    around.networkPolicies.put(allowing("a", 81));
    await around.clock.advance(49);
    expect(attempts()).toBe(1);
    await around.clock.advance(1);
    expect([attempts(), translator.status().failures]).toEqual([2, 2]);
    await around.clock.advance(99);
    expect(attempts()).toBe(2);
    await around.clock.advance(1);
    expect(attempts()).toBe(3);
    await around.clock.advance(200);

    expect([attempts(), translator.status().failures]).toEqual([4, 0]);
    expect(around.policies.byId(kube("a"))?.ingress[0]?.traffic).toEqual([{ protocol: "tcp", ports: [81] }]);
    expect(around.lines.filter(({ level }) => level === "warn")).toHaveLength(3);
  });

  it("takes out what an earlier leader wrote, also when it hears of that late", async () => {
    const clock = new FakeClock();
    const shared = new FaultyStore(clock);
    const lagging = new LaggingStore(shared);
    const around = await worldOn(lagging, clock);
    const translator = await around.begin();
    await turns();
    lagging.hold();
    const key = `/romana/cluster-policies/${kube("late")}`;
    const { model } = translateNetworkPolicy(allowing("late"));
    const written = { kind: "put", key, value: JSON.stringify(model) } as const;
    await shared.commit({ compare: [], operations: [written] }, signal);
    await turns();
    expect(around.policies.size).toBe(0);

    list(around, [allowing("a")]);

    await vi.waitFor(async () => {
      const { entries } = await shared.list("/romana/cluster-policies/", signal);
      expect(entries.map((entry) => entry.key)).toEqual([`/romana/cluster-policies/${kube("a")}`]);
    });
    await settled(translator, clock);
    expect(idsOf(around)).toEqual([kube("a")]);
  });

  it("writes nothing once somebody else leads", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("a")]);
    await settled(translator, around.clock);
    await around.elect();

    around.networkPolicies.put(allowing("b"));
    around.networkPolicies.remove(allowing("a"));
    await turns();
    await around.clock.advance(60_000);

    expect(idsOf(around)).toEqual([kube("a")]);
    expect(translator.status()).toMatchObject({ pending: 2 });
    await translator.stop();
  });

  it("stops while it waits for its next attempt, and while a commit is under way", async () => {
    const around = await world();
    const timers = around.clock.pendingTimers;
    const waiting = await around.begin();
    list(around);
    await settled(waiting, around.clock);
    around.store.failNext(() => Promise.reject(new Error("the store is away")));
    around.networkPolicies.put(allowing("a"));
    await turns();
    expect(around.clock.pendingTimers).toBe(timers + 1);
    await waiting.stop();
    expect(around.clock.pendingTimers).toBe(timers);

    const committing = await around.begin();
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    around.store.failNext(async (run) => {
      await held;
      return run();
    });
    await turns();
    const stopped = vi.fn<() => void>();
    const stop = committing.stop().then(stopped);
    await turns();
    expect(stopped).not.toHaveBeenCalled();
    letGo();
    await stop;
    around.networkPolicies.put(allowing("b"));
    await turns();

    expect(around.clock.pendingTimers).toBe(timers);
    expect(around.policies.has(kube("b"))).toBe(false);
  });
});

describe("events", () => {
  it("warns on the policy that cannot be expressed, with the place and what to write", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("good"), allowing("bad", "80")]);
    await settled(translator, around.clock);

    expect(around.recorded.events).toEqual([
      {
        subject: {
          apiVersion: "networking.k8s.io/v1",
          kind: "NetworkPolicy",
          namespace: "shop",
          name: "bad",
          uid: "uid-bad",
        },
        type: "Warning",
        reason: "PolicyNotExpressible",
        action: "TranslatePolicy",
        note: 'spec.ingress[0].ports[0].port: "80" is no name of a port: write a number without quotes, or the name of a container\'s port; until then it allows nothing',
      },
    ]);
    expect(translator.status().withProblems).toBe(1);
    expect(around.policies.byId(kube("bad"))?.ingress).toEqual([]);
  });

  it("warns of a policy that could not be read, and closes whom it selects whatever was stored before", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("late")]);
    await settled(translator, around.clock);

    around.networkPolicies.put(policyNamed("late", { unreadable: "spec: Unrecognized key" }));
    await settled(translator, around.clock);

    expect(around.recorded.take()).toEqual([
      "Warning PolicyNotExpressible on NetworkPolicy shop/late uid-late",
    ]);
    expect(around.policies.byId(kube("late"))).toMatchObject({
      isolates: ["ingress", "egress"],
      ingress: [],
      egress: [],
    });
  });

  it("warns again after an edit that does not mend it, and no more once it is mended", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [allowing("bad", "80")]);
    await settled(translator, around.clock);
    around.recorded.take();

    around.networkPolicies.put(allowing("bad", "81"));
    await settled(translator, around.clock);
    expect(around.recorded.take()).toEqual([
      "Warning PolicyNotExpressible on NetworkPolicy shop/bad uid-bad",
    ]);

    around.networkPolicies.put(allowing("bad", 80));
    await settled(translator, around.clock);
    expect(around.recorded.take()).toEqual([]);
    expect(translator.status().withProblems).toBe(0);
  });

  it("warns once although the commit is tried again", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around);
    await settled(translator, around.clock);
    around.store.failNext(() => Promise.reject(new Error("the store is away")));

    around.networkPolicies.put(allowing("bad", "80"));
    await settled(translator, around.clock);

    expect(around.recorded.take()).toHaveLength(1);
    expect(around.policies.has(kube("bad"))).toBe(true);
  });

  it("counts the problems that an event has no room for", async () => {
    const around = await world();
    const translator = await around.begin();
    const ports = Array.from({ length: 40 }, (_, index) => ({ protocol: `P${index}` }));
    list(around, [policyNamed("bad", { ingress: [{ peers: [], ports }] })]);
    await settled(translator, around.clock);

    const [event] = around.recorded.events;
    expect(event?.note).toMatch(/^spec\.ingress\[0\]\.ports\[0\]\.protocol: .*; and 3\d more$/);
    expect(event?.note.length).toBeLessThan(1024);
  });

  it("keeps a namespace as it was while its annotation cannot be read, and says so on it", async () => {
    const around = await world();
    const translator = await around.begin();
    list(around, [], [namespaceNamed("shut", DENY), namespaceNamed("open")]);
    await settled(translator, around.clock);

    around.namespaces.put(namespaceNamed("shut", "{"));
    around.namespaces.put(namespaceNamed("open", "{"));
    await settled(translator, around.clock);
    await translator.stop();
    const next = await around.begin();
    await settled(next, around.clock);

    expect(idsOf(around)).toEqual(["isolation.shut.uid-shut"]);
    expect(around.recorded.events[0]).toMatchObject({
      subject: { apiVersion: "v1", kind: "Namespace", namespace: "", name: "shut", uid: "uid-shut" },
      reason: "IsolationUnreadable",
    });
    expect(around.recorded.events[0]?.note).toContain(`net.beta.kubernetes.io/networkpolicy: it is not JSON`);

    around.namespaces.put(namespaceNamed("shut", "{}"));
    around.namespaces.put(namespaceNamed("open", DENY));
    await settled(next, around.clock);
    expect(idsOf(around)).toEqual(["isolation.open.uid-open"]);
    expect(next.status().withProblems).toBe(0);
  });

  it("closes the namespace of a policy that the store has no room for, and says so on it", async () => {
    const around = await world({ operations: 10, bytes: 3000 });
    const translator = await around.begin();
    const large = Array.from({ length: 1000 }, (_, index) => ({ protocol: "TCP", port: 2 * index + 1 }));
    const policy = policyNamed("large", {
      podSelector: selector({ app: "web" }),
      ingress: [{ peers: [], ports: large }],
    });
    list(around, [policy, allowing("a")]);
    await settled(translator, around.clock);

    expect(around.policies.byId(kube("large"))).toMatchObject({
      targets: [{ kind: "pods", namespaces: { kind: "named", name: "shop" }, pods: [] }],
      isolates: ["ingress"],
      ingress: [],
    });
    expect(around.policies.has(kube("a"))).toBe(true);
    expect(around.recorded.events.map(({ note }) => note)).toEqual([
      expect.stringMatching(/^spec: it is too large to be kept: split it/),
    ]);
  });
});

type Step =
  | { readonly do: "put" | "remove"; readonly name: number; readonly port: number; readonly uid: number }
  | {
      readonly do: "namespace";
      readonly name: number;
      readonly text: string | undefined;
      readonly uid: number;
    }
  | { readonly do: "remove-namespace"; readonly name: number }
  | { readonly do: "relist"; readonly keep: number }
  | { readonly do: "fail"; readonly after: boolean }
  | { readonly do: "wait" | "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("put" as const, "remove" as const),
    name: fc.integer({ min: 0, max: 3 }),
    port: fc.integer({ min: -1, max: 3 }),
    uid: fc.integer({ min: 0, max: 1 }),
  }),
  fc.record({
    do: fc.constant("namespace" as const),
    name: fc.integer({ min: 0, max: 2 }),
    text: fc.constantFrom(undefined, DENY, "{}"),
    uid: fc.integer({ min: 0, max: 1 }),
  }),
  fc.record({ do: fc.constant("remove-namespace" as const), name: fc.integer({ min: 0, max: 2 }) }),
  fc.record({ do: fc.constant("relist" as const), keep: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ do: fc.constant("fail" as const), after: fc.boolean() }),
  fc.record({ do: fc.constantFrom("wait" as const, "restart" as const) }),
);

it("ends with exactly the translation of what exists, after whatever happened", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const around = await world({ operations: 3, bytes: 100_000 });
      const { networkPolicies, namespaces, store, clock } = around;
      let translator = await around.begin();
      for (const each of steps) {
        switch (each.do) {
          case "put":
            networkPolicies.put({
              ...allowing(`p${each.name}`, each.port),
              uid: `u${each.uid}-${each.name}`,
            });
            break;
          case "remove": {
            const known = networkPolicies.get(`shop/p${each.name}`);
            if (known !== undefined) {
              networkPolicies.remove(known);
            }
            break;
          }
          case "namespace":
            namespaces.put(namespaceNamed(`n${each.name}`, each.text, `u${each.uid}-${each.name}`));
            break;
          case "remove-namespace": {
            const known = namespaces.get(`n${each.name}`);
            if (known !== undefined) {
              namespaces.remove(known);
            }
            break;
          }
          case "relist":
            list(
              around,
              [...networkPolicies.values()].slice(0, each.keep),
              [...namespaces.values()].slice(0, each.keep),
            );
            break;
          case "fail":
            store.failNext(async (run) => {
              if (each.after) {
                await run();
              }
              throw new Error("the answer was lost");
            });
            break;
          case "wait":
            await turns(3);
            break;
          case "restart":
            await translator.stop();
            translator = await retry(() => around.begin());
            break;
        }
      }
      list(around, [...networkPolicies.values()], [...namespaces.values()]);
      await settled(translator, clock);
      await translator.stop();

      const wanted = [
        ...[...networkPolicies.values()].map((policy) => [
          networkPolicyId(policy),
          translateNetworkPolicy(policy).model,
        ]),
        ...[...namespaces.values()].flatMap((namespace) => {
          const model = isolationOf(namespace);
          return model === undefined ? [] : [[isolationId(namespace), model]];
        }),
      ];
      expect(Object.fromEntries(around.policies.list().map((model) => [model.id, model]))).toEqual(
        Object.fromEntries(wanted),
      );
      const { entries } = await store.list("/romana/cluster-policies/", signal);
      expect(entries).toHaveLength(wanted.length);
    }),
    { numRuns: 60 },
  );
});

/** An election may meet the faults that were meant for the translator. */
async function retry<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Error && error.message === "the answer was lost")) {
        throw error;
      }
    }
  }
}
