import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import { answersOf, createStore, hostIn, openService, signal, twoZones } from "./support.ts";

const pod = (name: string, host = "h1") => ({ name, host, tenant: "t", segment: "s" });

/** A few turns of the event loop: what can happen without the store's answer has happened then. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** A service whose transactions can be held up on their way, and how many it has sent since it was started. */
async function started() {
  const store = createStore();
  const service = await openService(store);
  await service.updateTopology(twoZones, signal);
  for (const [index, name] of ["h1", "h2", "h3", "h4"].entries()) {
    await service.addHost(hostIn(index % 2 === 0 ? "a" : "b", name, index + 1), signal);
    await service.allocate(pod(`${name}-0`, name), signal);
  }
  const before = store.transactions.length;
  const answered: string[] = [];
  return {
    store,
    service,
    answered,
    sent: () => store.transactions.length - before,
    /** The next transaction is held up until the function is called that this returns. */
    holdNext: (): (() => void) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      store.failNext(async (run) => {
        await promise;
        return run();
      });
      return resolve;
    },
    ask: (name: string, host?: string): Promise<string> =>
      service.allocate(pod(name, host), signal).then((address) => {
        answered.push(name);
        return address;
      }),
  };
}

describe("a transaction that is on its way", () => {
  it("holds up nothing that has nothing in common with it", async () => {
    const { service, store, holdNext, ask, sent, answered } = await started();
    const release = holdNext();
    const first = ask("p1", "h1");
    await settle();
    const second = ask("p2", "h2");
    await second;

    expect([sent(), answered]).toEqual([2, ["p2"]]);
    release();
    await first;
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });

  it("holds up what is of the same host, and that gets the next address", async () => {
    const { holdNext, ask, sent } = await started();
    const release = holdNext();
    const first = ask("p1", "h1");
    await settle();
    const second = ask("p2", "h1");
    await settle();

    expect(sent()).toBe(1);
    release();
    expect([await first, await second, sent()]).toEqual(["10.0.0.1", "10.0.0.2", 2]);
  });

  it("holds up who wants the new block that it takes", async () => {
    const { service, holdNext, ask, sent } = await started();
    const release = holdNext();
    const other = { tenant: "other", segment: "" };
    const first = service.allocate({ ...pod("p1", "h1"), ...other }, signal);
    await settle();
    const second = service.allocate({ ...pod("p2", "h3"), ...other }, signal);
    const third = ask("p3", "h2");
    await third;

    expect(sent()).toBe(2);
    release();
    expect([await first, await second, sent()]).toEqual(["10.0.0.16", "10.0.0.24", 3]);
  });

  it("is waited for by who would be refused without it", async () => {
    const { service, holdNext, ask, sent } = await started();
    const release = holdNext();
    const gone = service.release("h1-0", signal);
    await settle();
    const again = ask("h1-0", "h2");
    const taken = ask("p1", "h4");
    await taken;

    expect(sent()).toBe(2);
    release();
    await gone;
    expect(await again).toBe("10.0.128.1");
  });

  it("tells a second one who asks for the same name what the first got", async () => {
    const { holdNext, ask } = await started();
    const release = holdNext();
    const first = ask("p1", "h1");
    await settle();
    const second = ask("p1", "h2");
    await settle();
    release();

    expect(await first).toBe("10.0.0.1");
    await expect(second).rejects.toMatchObject({ code: "ADDRESS_EXISTS", details: { address: "10.0.0.1" } });
  });

  it("is waited for by changes of hosts, which nothing overtakes", async () => {
    const { service, holdNext, ask, sent, answered } = await started();
    const release = holdNext();
    const first = ask("p1", "h1");
    await settle();
    const removed = service.removeHost("h3", signal).then(() => answered.push("removed"));
    const later = ask("p2", "h2");
    await settle();

    expect(sent()).toBe(1);
    release();
    await Promise.all([first, removed, later]);
    expect([answered.toSorted(), answered.at(-1), sent()]).toEqual([["p1", "p2", "removed"], "p2", 3]);
  });

  it("has one beside it and no more; the third goes with all that waits", async () => {
    const { holdNext, ask, sent } = await started();
    const releases = [holdNext(), holdNext()];
    const asked = [ask("p1", "h1")];
    await settle();
    asked.push(ask("p2", "h2"));
    await settle();
    asked.push(ask("p3", "h3"), ask("p4", "h4"), ask("p5", "h1"));
    await settle();

    expect(sent()).toBe(2);
    releases.forEach((release) => release());
    await Promise.all(asked);
    expect(sent()).toBe(3);
  });

  it("leaves the others alone when it loses its compare, and is planned again", async () => {
    const { service, store, ask, answered } = await started();
    const lost = Promise.withResolvers<void>();
    const other = await openService(store);
    store.failNext(async (run) => {
      await lost.promise;
      await other.allocate(pod("theirs", "h1"), signal);
      return run();
    });
    const first = ask("p1", "h1");
    await settle();
    await ask("p2", "h2");
    lost.resolve();

    expect([await first, answered]).toEqual(["10.0.0.2", ["p2", "p1"]]);
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });

  it("keeps what it touches from others until it is known what became of it", async () => {
    const { service, store, ask, sent } = await started();
    const silent = Promise.withResolvers<void>();
    store.failNext(async (run) => {
      await run();
      await silent.promise;
      throw new NetworkError("transient", "STORE_UNAVAILABLE", "the answer was lost");
    });
    const first = ask("p1", "h1");
    await settle();
    const second = ask("p2", "h1");
    const third = ask("p3", "h2");
    await third;
    expect(sent()).toBe(2);
    silent.resolve();

    expect([await first, await second]).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });
});
