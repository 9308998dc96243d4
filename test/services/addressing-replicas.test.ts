import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import type { Compare } from "../../src/ports/store.ts";
import type { AddressingService } from "../../src/services/addressing-service.ts";
import { countingRandom, openReplica, prepared, ScheduledStore, type CommitFault } from "./replicas.ts";
import { answersOf, openService, signal } from "./support.ts";

const REPLICAS = 3;
/** Some orders of events that a fault needs come up once in 300 runs. */
const RUNS = 500;
const CLIENTS = 16;

const action = fc.record({
  client: fc.nat(CLIENTS - 1),
  replica: fc.nat(REPLICAS - 1),
  kind: fc.constantFrom("allocate", "allocate", "allocate", "shared", "release", "release"),
  host: fc.constantFrom("h1", "h1", "h2", "h3"),
  segment: fc.constantFrom("s", "s", "u"),
});
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** Something that happens beside the allocations. */
const incident = fc.constantFrom("none", "remove-host", "topology", "labels", "blackout");

/** What clients were told: addresses that they hold, and how many changes were acknowledged. */
interface History {
  readonly held: Map<string, string>;
  readonly unknown: Set<string>;
  acknowledged: number;
  /** A host is removed meanwhile, with its names. */
  readonly losesNames: boolean;
}

/** What a client may be refused with. */
const EXPECTED: ReadonlySet<string> = new Set([
  "ADDRESS_EXISTS",
  "ADDRESS_NOT_FOUND",
  "HOST_NOT_FOUND",
  "HOST_MISPLACED",
  "STORE_UNAVAILABLE",
  "ADDRESSING_CONTENDED",
]);

/** One client's actions one after the other, each on the replica that it names. */
async function runClient(
  client: number,
  actions: readonly Action[],
  services: readonly AddressingService[],
  history: History,
): Promise<void> {
  const own: string[] = [];
  for (const [index, { kind, replica, host, segment }] of actions.entries()) {
    const service = services[replica];
    const name =
      kind === "release" ? own.shift() : kind === "shared" ? `shared${index % 3}` : `c${client}-${index}`;
    if (service === undefined || name === undefined) {
      continue;
    }
    try {
      if (kind === "release") {
        history.held.delete(name);
        await service.release(name, signal);
      } else {
        const address = await service.allocate({ name, host, tenant: "t", segment }, signal);
        // Whose host was removed lost the name, and the next may have it.
        if (history.held.has(name) && !history.losesNames) {
          throw new Error(`"${name}" was given to two clients`);
        }
        history.held.set(name, address);
        own.push(name);
      }
      history.acknowledged += 1;
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      if (error.code === "STORE_UNAVAILABLE") {
        history.unknown.add(name);
      }
      if (!EXPECTED.has(error.code)) {
        throw error;
      }
    }
  }
}

async function runIncident(kind: string, service: AddressingService): Promise<void> {
  try {
    switch (kind) {
      case "remove-host":
        await service.removeHost("h2", signal);
        break;
      case "topology":
        await service.updateTopology(service.topology(), signal);
        break;
      case "labels":
        await service.setLabels("h2", { zone: "b" }, signal);
        break;
      case "blackout":
        await service.addBlackout("pods", "10.0.0.0/28" as never, signal);
        break;
    }
  } catch (error) {
    if (!(error instanceof NetworkError)) {
      throw error;
    }
  }
}

interface World {
  readonly scheduler: fc.Scheduler;
  readonly actions: readonly Action[];
  readonly incident: string;
  readonly lost: readonly number[];
  readonly fault?: CommitFault;
}

/** What clients were told and the store does not have, or the other way round. A removed host takes addresses with it. */
function contradictions(
  { held, unknown, acknowledged }: History,
  stored: ReadonlyMap<string, string>,
  revision: number,
  beside: string,
): readonly string[] {
  if (beside === "remove-host") {
    return [];
  }
  const lost = [...held].filter(([name, address]) => stored.get(name) !== address);
  const extra = [...stored.keys()].filter((name) => !held.has(name) && !unknown.has(name));
  const isCounted = unknown.size > 0 || revision === acknowledged;
  return [
    ...lost.map(([name, address]) => `"${name}" was given ${address} and has ${stored.get(name)}`),
    ...extra.map((name) => `"${name}" holds an address that nobody was given`),
    ...(isCounted ? [] : [`${acknowledged} changes were acknowledged, and ${revision} are counted`]),
  ];
}

/** More turns of the event loop than a replica takes without the store. */
const TURNS = 5;

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Lets everything go on that can. */
async function drained(scheduler: fc.Scheduler): Promise<void> {
  do {
    while (scheduler.count() > 0) {
      await scheduler.waitOne();
    }
    await turns();
  } while (scheduler.count() > 0);
}

/** Runs everything to its end and checks what must hold of it; rejects when it does not. */
async function checkWorld({ scheduler, actions, incident: beside, lost, fault }: World): Promise<void> {
  const store = await prepared();
  const opening = Array.from({ length: REPLICAS }, (_, index) => {
    const own = new Set(index === 0 ? lost : []);
    const wrapped = new ScheduledStore(
      store,
      scheduler,
      fault === undefined ? { lost: own } : { fault, lost: own },
    );
    return openReplica(wrapped, countingRandom(index));
  });
  const replicas = await scheduler.waitFor(Promise.all(opening));
  const services = replicas.map(({ service }) => service);
  const losesNames = beside === "remove-host";
  const history: History = { held: new Map(), unknown: new Set(), acknowledged: 0, losesNames };
  const [first] = services;
  const clients = Array.from({ length: CLIENTS }, (_, client) =>
    runClient(
      client,
      actions.filter((item) => item.client === client),
      services,
      history,
    ),
  );
  const done = Promise.all([...clients, first === undefined ? undefined : runIncident(beside, first)]);
  await Promise.race([done, drained(scheduler)]);
  await drained(scheduler);

  const fresh = await openService(store);
  const answers = answersOf(fresh);
  services.forEach((service) => expect(answersOf(service)).toEqual(answers));
  const stuck = turns().then(() => "some client waits for ever");
  expect(await Promise.race([done.then(() => "every client had its answers"), stuck])).toBe(
    "every client had its answers",
  );
  const stored = new Map(fresh.addresses().map(({ name, address }) => [name, address]));
  expect(new Set(stored.values()).size).toBe(stored.size);
  expect(contradictions(history, stored, fresh.blocks()?.revision ?? 0, beside)).toEqual([]);
  await Promise.all(replicas.map(({ follower }) => follower.stop()));
}

const world = (lost: fc.Arbitrary<readonly number[]>) =>
  fc.record({
    scheduler: fc.scheduler(),
    actions: fc.array(action, { minLength: 1, maxLength: 60 }),
    incident,
    lost,
  });

/** Whether some run finds the fault. */
async function isCaught(fault: CommitFault): Promise<boolean> {
  const property = fc.asyncProperty(world(fc.constant([])), (made) => checkWorld({ ...made, fault }));
  const { failed } = await fc.check(property, { numRuns: 60, seed: 7, endOnFailure: true });
  return failed;
}

describe("Replicas of AddressingService on one store", () => {
  it("hand no address out twice, keep all that was acknowledged, and agree, whatever the order of requests and answers", async () => {
    await fc.assert(fc.asyncProperty(world(fc.constant([])), checkWorld), { numRuns: RUNS });
  }, 120_000);

  it("do so when answers are lost after the store took the change", async () => {
    const lost = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 });
    await fc.assert(fc.asyncProperty(world(lost), checkWorld), { numRuns: RUNS });
  }, 120_000);

  it("do so in an order in which a topology was once put over a block that its decision had not seen", async () => {
    const lost = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 });
    await fc.assert(fc.asyncProperty(world(lost), checkWorld), { numRuns: 60, seed: -2_094_424_381 });
  }, 120_000);

  it("would fail if a compare carried a newer revision than that of the decision", async () => {
    const newest: CommitFault = async (transaction, direct, store) => {
      const compare: Compare[] = [];
      for (const item of transaction.compare) {
        if ("key" in item && !item.key.includes("/addresses/")) {
          const entry = await store.get(item.key, signal);
          compare.push({ key: item.key, modRevision: entry?.modRevision ?? 0 });
        }
      }
      return direct({ ...transaction, compare });
    };

    expect(await isCaught(newest)).toBe(true);
  }, 120_000);

  it("would fail if the store answered before it has the change", async () => {
    const early: CommitFault = async (transaction, direct, store) => {
      const { revision } = await store.list("/", signal);
      return transaction.operations.some(({ key }) => key.endsWith("-2"))
        ? { ok: true, revision }
        : direct(transaction);
    };

    expect(await isCaught(early)).toBe(true);
  }, 120_000);

  it("would fail if a release were lost", async () => {
    const forgetful: CommitFault = async (transaction, direct) =>
      direct({ ...transaction, operations: transaction.operations.filter(({ kind }) => kind === "put") });

    expect(await isCaught(forgetful)).toBe(true);
  }, 120_000);
});
