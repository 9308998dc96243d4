import { beforeEach, describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { readRouteSpec } from "../../src/config/route-spec.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { Store } from "../../src/ports/store.ts";
import { RouteSpecKeeper } from "../../src/services/route-spec-keeper.ts";
import { MemoryLogger } from "../api/support.ts";
import { FakeClock } from "../support/fake-clock.ts";

const never = new AbortController().signal;
const A = '{"10.1.0.0/16": ["1.2.3.4"]}';
const B = '{"10.2.0.0/16": ["1.2.3.4"]}';

describe("the keeper of the list", () => {
  let clock: FakeClock;
  let store: MemoryStore;
  let log: MemoryLogger;
  beforeEach(() => {
    clock = new FakeClock();
    store = new MemoryStore({ clock });
    log = new MemoryLogger();
  });

  function open(file?: string, over: Store = store): Promise<RouteSpecKeeper> {
    return RouteSpecKeeper.open(
      {
        store: over,
        prefix: "/romana",
        clock,
        log,
        file,
        read: (text, source) => readRouteSpec(text, { source, allowEmpty: false }),
      },
      never,
    );
  }

  function destinations(keeper: RouteSpecKeeper): readonly string[] {
    return [...(keeper.current()?.routes.keys() ?? [])];
  }

  it("has none at first", async () => {
    const keeper = await open();

    expect(keeper.current()).toBeUndefined();
    expect(keeper.status()).toEqual({ source: "api", since: null, routes: {}, problem: null });
  });

  it("tells each new list once, and of the one in force nothing", async () => {
    const keeper = await open();
    const told: string[] = [];
    keeper.onChange((spec) => told.push([...spec.routes.keys()].join()));
    await keeper.take(A, never);
    await keeper.take(A, never);
    await keeper.take(B, never);

    expect(told).toEqual(["10.1.0.0/16", "10.2.0.0/16"]);
  });

  it("keeps the list before a bad one, says why until a good one comes, and logs it once", async () => {
    const keeper = await open();
    await keeper.take(A, never);
    await expect(keeper.take("{", never)).rejects.toMatchObject({
      code: "ROUTE_SPEC_INVALID",
      kind: "invalid",
    });
    await expect(keeper.take("{", never)).rejects.toMatchObject({ code: "ROUTE_SPEC_INVALID" });

    expect(destinations(keeper)).toEqual(["10.1.0.0/16"]);
    expect(keeper.status().problem?.message).toMatch(/it is no JSON/);
    expect(log.lines.filter(({ level }) => level === "error")).toHaveLength(1);
    await keeper.take(A, never);
    expect(keeper.status().problem).toBeNull();
  });

  it("takes lists in the order in which they came", async () => {
    const keeper = await open();
    await Promise.all([keeper.take(A, never), keeper.take(B, never)]);

    expect(destinations(keeper)).toEqual(["10.2.0.0/16"]);
    expect(destinations(await open())).toEqual(["10.2.0.0/16"]);
  });

  it("has the last good list after a restart, when it came from the same place", async () => {
    const keeper = await open("/etc/routes.json");
    await keeper.take(A, never);
    await expect(keeper.take("{", never)).rejects.toBeInstanceOf(NetworkError);

    expect(destinations(await open("/etc/routes.json"))).toEqual(["10.1.0.0/16"]);
    expect((await open("/etc/routes.json")).status().since).toBe(keeper.status().since);
    expect(destinations(await open("/etc/other.json"))).toEqual([]);
    expect(destinations(await open())).toEqual([]);
  });

  it("starts without one when what the store has cannot be read, and says so", async () => {
    const value = JSON.stringify({ source: "api", since: 1, text: "{}" });
    await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/romana/route-spec", value }] },
      never,
    );

    expect((await open()).current()).toBeUndefined();
    expect(log.lines.map(({ level }) => level)).toEqual(["warn"]);
  });

  it("keeps the list before when the store does not take the new one", async () => {
    const failing: Store = Object.assign(Object.create(store) as Store, {
      list: store.list.bind(store),
      commit: () => Promise.reject(new NetworkError("transient", "STORE_UNAVAILABLE", "no")),
    });
    const keeper = await open(undefined, failing);
    await expect(keeper.take(A, never)).rejects.toMatchObject({ kind: "transient" });

    expect(keeper.current()).toBeUndefined();
    expect(keeper.status().problem?.message).toBe("no");
  });
});
