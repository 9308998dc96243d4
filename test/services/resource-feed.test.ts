import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { NetworkError } from "../../src/core/errors.ts";
import type { RouteView } from "../../src/core/views/route-views.ts";
import type { ResourceFeed } from "../../src/services/resource-feed.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { createStore, hostIn, twoZones } from "./support.ts";
import { MemorySink, openReplica, policy, turns, watching, type SeenEvent } from "./watch-support.ts";

const signal = new AbortController().signal;

function show({ event, data }: SeenEvent): string {
  const fields = data as Readonly<Record<string, string | number | undefined>>;
  const { id, name, cidr, revision, host, allocated_ip_count: used } = fields;
  const extra = [host, used].filter((item) => item !== undefined).join(" ");
  return `${event} ${id ?? name ?? cidr ?? revision}${extra === "" ? "" : ` ${extra}`}`;
}

const shownIn = (sink: MemorySink) => sink.events.map(show);

describe("a stream", () => {
  it("without a revision begins now, with a bookmark", async () => {
    const { feed, policies, follower } = await openReplica(createStore());
    await policies.save(policy("old"), signal);

    const sink = await watching(feed, {});
    await policies.save(policy("new"), signal);

    expect(sink.events).toEqual([
      { id: follower.revision - 1, event: "bookmark", data: { revision: follower.revision - 1 } },
      { id: follower.revision, event: "put", data: policy("new") },
    ]);
  });

  it("from revision 0 begins with everything, and its first id says that this was all", async () => {
    const { feed, policies, follower } = await openReplica(createStore());
    await policies.save([policy("b"), policy("a")], signal);

    const sink = await watching(feed, { after: 0 });

    expect(sink.events.map(({ id, event }) => [id, event])).toEqual([
      [undefined, "put"],
      [undefined, "put"],
      [follower.revision, "bookmark"],
    ]);
    expect(sink.events.slice(0, 2).map(({ data }) => data)).toEqual([policy("a"), policy("b")]);
  });

  it("goes on after a revision with each object that changed since, once and as it is now", async () => {
    const { feed, policies, follower } = await openReplica(createStore());
    await policies.save([policy("a"), policy("b"), policy("c")], signal);
    const { revision } = follower;
    await policies.save(policy("b", "1"), signal);
    await policies.remove("c", signal);
    await policies.save(policy("b", "2"), signal);

    const sink = await watching(feed, { after: revision });

    expect(sink.events).toEqual([
      { id: undefined, event: "put", data: policy("b", "2") },
      { id: undefined, event: "delete", data: { id: "c" } },
      { id: follower.revision, event: "bookmark", data: { revision: follower.revision } },
    ]);
  });

  it("tells all of one revision together, and only the last event carries the id", async () => {
    const { feed, policies, follower } = await openReplica(createStore());
    const sink = await watching(feed, {});

    await policies.save([policy("a"), policy("b")], signal);

    expect(sink.events.slice(1)).toEqual([
      { id: undefined, event: "put", data: policy("a") },
      { id: follower.revision, event: "put", data: policy("b") },
    ]);
  });

  it("says every 10 s where it stands, also when others changed what it does not show", async () => {
    const clock = new FakeClock();
    const { feed, follower, addressing } = await openReplica(createStore(), {}, clock);
    const sink = await watching(feed, {});
    await addressing.updateTopology(twoZones, signal);
    await addressing.addHost(hostIn("a", "h1", 1), signal);

    await clock.advance(9_999);
    const before = sink.events.length;
    await clock.advance(1);

    expect(before).toBe(1);
    expect(sink.events.slice(1)).toEqual([
      { id: follower.revision, event: "bookmark", data: { revision: follower.revision } },
    ]);
  });

  it("shows hosts, blocks and addresses as they change", async () => {
    const { feed, addressing } = await openReplica(createStore());
    await addressing.updateTopology(twoZones, signal);
    const sinks = await Promise.all(
      (["hosts", "blocks", "addresses"] as const).map((kind) => watching(feed, { kind })),
    );

    await addressing.addHost(hostIn("a", "h1", 1), signal);
    await addressing.allocate({ name: "p", host: "h1", tenant: "t", segment: "s" }, signal);
    await addressing.release("p", signal);
    await addressing.removeHost("h1", signal);

    expect(sinks.map((sink) => shownIn(sink).slice(1))).toEqual([
      ["put h1", "delete h1"],
      ["put 10.0.0.0/29 h1 1", "put 10.0.0.0/29  0"],
      ["put p h1", "delete p"],
    ]);
    expect(sinks[0]?.events[1]?.data).toMatchObject({
      ip: "172.16.0.1",
      tags: { zone: "a" },
      placed: true,
      origin: "api",
    });
    expect(sinks[2]?.events[1]?.data).toEqual({
      name: "p",
      address: "10.0.0.0",
      host: "h1",
      tenant: "t",
      segment: "s",
      network: "pods",
    });
  });

  it("of one host shows only what belongs to it, and as gone what it loses", async () => {
    const { feed, addressing } = await openReplica(createStore());
    await addressing.updateTopology(twoZones, signal);
    await addressing.addHost(hostIn("a", "h1", 1), signal);
    await addressing.addHost(hostIn("a", "h2", 2), signal);
    const one = await watching(feed, { kind: "blocks", after: 0, host: "h1" });
    const two = await watching(feed, { kind: "addresses", host: "h2" });

    await addressing.allocate({ name: "p1", host: "h1", tenant: "t", segment: "s" }, signal);
    await addressing.allocate({ name: "p2", host: "h2", tenant: "t", segment: "s" }, signal);
    await addressing.release("p1", signal);

    expect(shownIn(one).slice(1)).toEqual(["put 10.0.0.0/29 h1 1", "delete 10.0.0.0/29"]);
    expect(shownIn(two).slice(1)).toEqual(["put p2 h2"]);
    const again = await watching(feed, { kind: "addresses", after: 0, host: "h2" });
    expect(shownIn(again).slice(0, -1)).toEqual(["put p2 h2"]);
  });

  it("of routes is told by looking once a second, and begins again at another leader", async () => {
    const clock = new FakeClock();
    const { feed, shown, routes } = await openReplica(createStore(), {}, clock);
    const route = (target: string): RouteView => ({
      routeTableId: "rtb-1",
      destination: "10.0.0.0/25",
      network: "n",
      group: "g",
      target,
      actual: target,
      owned: true,
      host: "h",
      state: "active",
    });
    shown.routes = [route("eni-1")];
    const sink = await watching(feed, { kind: "routes", after: 0 });
    shown.routes = [route("eni-2")];
    await clock.advance(1000);
    shown.routes = [];
    await clock.advance(1000);
    const last = sink.events.at(-1)?.id ?? 0;

    expect(sink.events.map(({ event, data }) => [event, data["target"] ?? data["destination"]])).toEqual([
      ["put", "eni-1"],
      ["bookmark", undefined],
      ["put", "eni-2"],
      ["delete", "10.0.0.0/25"],
    ]);
    routes.restart();
    expect(sink.ended).toBe(true);
    await expect(watching(feed, { kind: "routes", after: last })).rejects.toMatchObject({
      code: "WATCH_TOO_OLD",
    });
    await expect(watching(feed, { kind: "routes", after: last * 2 })).rejects.toMatchObject({
      code: "WATCH_TOO_OLD",
    });
  });
});

it("ends streams of routes when the routes are known no more, though a reader has not taken the last of them, and goes on", async () => {
  const clock = new FakeClock();
  const { feed, shown, policies } = await openReplica(createStore(), {}, clock);
  const slow = await watching(feed, { kind: "routes", after: 0 });
  slow.still = true;
  const other = await watching(feed, {});
  shown.routes = undefined;

  await clock.advance(1000);
  await clock.advance(1000);
  await policies.save(policy("new"), signal);
  await clock.advance(10_000);

  expect([slow.ended, slow.destroyed]).toEqual([true, true]);
  expect(other.events.map(({ event }) => event)).toEqual(["bookmark", "put", "bookmark"]);
  expect(feed.streams).toBe(1);
});

describe("a stream is refused", () => {
  it("of routes, while the leader has not looked at the tables: that it knows of none does not mean that there is none", async () => {
    const { feed, shown } = await openReplica(createStore());
    shown.routes = undefined;

    await expect(watching(feed, { kind: "routes", after: 0 })).rejects.toMatchObject({
      kind: "transient",
      code: "ROUTES_UNREAD",
    });
  });

  it("when history does not reach back, and can begin again with everything", async () => {
    const { feed, policies, follower } = await openReplica(createStore(), {
      history: { batches: 3, changes: 1000 },
    });
    await policies.save(policy("p", "first"), signal);
    const { revision } = follower;
    for (let round = 0; round < 4; round += 1) {
      await policies.save(policy("p", `${round}`), signal);
    }

    await expect(watching(feed, { after: revision })).rejects.toMatchObject({
      kind: "conflict",
      code: "WATCH_TOO_OLD",
    });
    expect((await watching(feed, { after: revision + 1 })).events.at(0)?.data).toEqual(policy("p", "3"));
    expect((await watching(feed, { after: 0 })).events.at(0)?.data).toEqual(policy("p", "3"));
  });

  it("when it would be one too many", async () => {
    const { feed } = await openReplica(createStore(), { maxStreams: 2 });
    const first = await watching(feed, {});
    await watching(feed, { kind: "hosts" });

    await expect(watching(feed, {})).rejects.toMatchObject({ code: "WATCH_STREAMS_TOO_MANY" });
    first.destroy();
    await expect(watching(feed, {})).resolves.toBeDefined();
  });

  it("when this replica does not reach its revision within 5 s", async () => {
    const clock = new FakeClock();
    const { feed, follower } = await openReplica(createStore(), {}, clock);
    const [refused] = await Promise.allSettled([
      watching(feed, { after: follower.revision + 1 }),
      clock.advance(5000),
    ]);

    expect(refused).toMatchObject({ reason: { kind: "transient", code: "WATCH_AHEAD" } });
    expect(feed.streams).toBe(0);
  });

  it("but waits for a replica that is a little behind", async () => {
    const { feed, follower, policies } = await openReplica(createStore());
    const waiting = watching(feed, { after: follower.revision + 1 });
    await turns();

    await policies.save(policy("p"), signal);
    await policies.save(policy("q"), signal);

    expect(shownIn(await waiting)).toContain("put q");
  });

  it("after the feed was closed, which ends all others", async () => {
    const { feed } = await openReplica(createStore());
    const sink = await watching(feed, {});

    feed.close();

    expect(sink.ended).toBe(true);
    await expect(watching(feed, {})).rejects.toMatchObject({ code: "SERVER_CLOSING" });
  });
});

describe("a reader that does not read", () => {
  it("is cut off when more than the bound waits for it, and the others go on", async () => {
    const { feed, policies } = await openReplica(createStore(), { maxPendingBytes: 10_000 });
    const slow = await watching(feed, {});
    const quick = await watching(feed, {});
    slow.still = true;

    for (let round = 0; round < 5; round += 1) {
      await policies.save(policy("p", "x".repeat(3000)), signal);
    }

    expect(slow.destroyed).toBe(true);
    expect(slow.pendingBytes()).toBeLessThan(10_000);
    expect(quick.events).toHaveLength(6);
    expect(feed.streams).toBe(1);
  });

  it("is waited for while it catches up, and told of what changed meanwhile", async () => {
    const { feed, policies } = await openReplica(createStore());
    await policies.save(
      Array.from({ length: 90 }, (_, index) => policy(`p${index}`)),
      signal,
    );
    const sink = new MemorySink();
    sink.still = true;
    await watching(feed, { after: 0 }, sink);
    await policies.save(policy("p7", "changed"), signal);
    await policies.remove("p8", signal);
    const before = sink.events.length;

    sink.go();
    await turns();

    expect(before).toBe(90);
    expect(shownIn(sink).slice(90, 92)).toEqual(["put p7", "delete p8"]);
    expect(sink.events.at(-1)?.event).toBe("bookmark");
  });

  it("is cut off when it takes nothing for 30 s while it catches up", async () => {
    const clock = new FakeClock();
    const { feed, policies } = await openReplica(createStore(), {}, clock);
    await policies.save(policy("p"), signal);
    const sink = new MemorySink();
    sink.still = true;
    await watching(feed, { after: 0 }, sink);

    await clock.advance(30_000);

    expect(sink.destroyed).toBe(true);
    expect(feed.streams).toBe(0);
  });

  it("does not hold up the end of the feed", async () => {
    const clock = new FakeClock();
    const { feed } = await openReplica(createStore(), {}, clock);
    const sink = await watching(feed, {});
    sink.still = true;

    feed.close();
    await clock.advance(2000);

    expect(sink.destroyed).toBe(true);
  });
});

it("ends the streams when the store had to be read anew, and they begin again", async () => {
  const store = new MemoryStore({ clock: new FakeClock(), historyLimit: 3 });
  const clock = new FakeClock();
  const first = await openReplica(store, {}, clock);
  const other = await openReplica(store);
  await first.policies.save(policy("p"), signal);
  const sink = await watching(first.feed, {});
  const last = sink.events.at(-1)?.id ?? 0;

  await first.addressing.updateTopology(twoZones, signal);
  const hosts = await watching(first.feed, { kind: "hosts" });
  await other.follower.reached(first.follower.revision, signal);
  await other.addressing.updateTopology(
    { ...twoZones, networks: [{ ...twoZones.networks[0], cidr: "10.1.0.0/16" }] },
    signal,
  );
  await first.follower.reached(other.follower.revision, signal);
  await turns(20);

  expect(hosts.ended).toBe(true);
  expect(sink.ended).toBe(false);
  await expect(watching(first.feed, { kind: "hosts", after: last })).rejects.toMatchObject({
    code: "WATCH_TOO_OLD",
  });
});

it("gives the same ids for the same changes at every replica, so that a reader may go on at another", async () => {
  const store = createStore();
  const [one, two] = [await openReplica(store), await openReplica(store)];
  const sinks = await Promise.all([one, two].map(({ feed }) => watching(feed, { after: 0 })));

  for (let round = 0; round < 10; round += 1) {
    const writer = round % 2 === 0 ? one : two;
    await writer.policies.save([policy(`p${round}`), policy("shared", `${round}`)], signal);
  }
  const { revision } = one.follower.revision > two.follower.revision ? one.follower : two.follower;
  await Promise.all([one, two].map(({ follower }) => follower.reached(revision, signal)));

  expect(sinks[0]?.events.length).toBeGreaterThan(20);
  expect(sinks[0]?.events).toEqual(sinks[1]?.events);
});

/** A client that applies what it gets, and keeps nothing that has no id yet. */
class Reader {
  readonly state = new Map<string, unknown>();
  sink: MemorySink | undefined;
  last = 0;
  /** In the order in which they came; a list of its own for each time that everything began again. */
  readonly ids: number[][] = [];
  #taken = 0;

  async connect(feed: ResourceFeed): Promise<void> {
    if (this.last === 0) {
      this.state.clear();
      this.ids.push([]);
    }
    this.#taken = 0;
    try {
      this.sink = await watching(feed, { after: this.last });
    } catch (error) {
      if (!(error instanceof NetworkError) || error.code !== "WATCH_TOO_OLD") {
        throw error;
      }
      this.last = 0;
      await this.connect(feed);
    }
  }

  /** Takes in complete revisions; `cut` characters at the end never arrive. */
  read(cut = 0): void {
    const text = this.sink?.text ?? "";
    const partial = new MemorySink();
    partial.text = text.slice(0, text.length - cut);
    const { events } = partial;
    const complete = events.findLastIndex(({ id }) => id !== undefined) + 1;
    for (const { id, event, data } of events.slice(this.#taken, complete)) {
      if (event === "put") {
        this.state.set(String(data["id"]), data);
      } else if (event === "delete") {
        this.state.delete(String(data["id"]));
      }
      if (id !== undefined) {
        this.ids.at(-1)?.push(id);
        this.last = id;
      }
    }
    this.#taken = Math.max(this.#taken, complete);
  }
}

it("brings a reader to what a list shows, wherever it is cut off and wherever it goes on", async () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("save" as const),
        ids: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 3 }),
        at: fc.nat(1),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("remove" as const), ids: fc.tuple(fc.nat(5)), at: fc.nat(1) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("cut" as const), ids: fc.tuple(fc.nat(200)), at: fc.nat(1) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const store = createStore();
      const history = { batches: 4, changes: 8 };
      const replicas = [
        await openReplica(store, { history }),
        await openReplica(store, { history }),
      ] as const;
      const at = (index: number) => replicas[index === 0 ? 0 : 1];
      const reader = new Reader();
      await reader.connect(at(0).feed);

      for (const [index, { do: what, ids, at: place }] of steps.entries()) {
        const { policies, feed } = at(place);
        if (what === "save") {
          await policies.save(
            ids.map((id) => policy(`p${id}`, `${index}`)),
            signal,
          );
        } else if (what === "remove" && policies.byId(`p${ids[0]}`) !== undefined) {
          // The other replica may have been faster.
          await Promise.allSettled([policies.remove(`p${ids[0]}`, signal)]);
        } else if (what === "cut") {
          reader.read(ids[0]);
          reader.sink?.destroy();
          await reader.connect(feed);
        }
      }
      const { revision } = await store.list("/romana/", signal);
      await Promise.all(replicas.map(({ follower }) => follower.reached(revision, signal)));
      reader.read();

      expect(reader.ids).toEqual(reader.ids.map((ids) => ids.toSorted((x, y) => x - y)));
      const shown = at(0).policies.list();
      expect(Object.fromEntries(reader.state)).toEqual(
        Object.fromEntries(shown.map((item) => [item.id, item])),
      );
      for (const { follower, feed, addressing } of replicas) {
        feed.close();
        addressing.stop();
        await follower.stop();
      }
    }),
    { numRuns: 60 },
  );
});

it("brings a reader of one host to what that host holds, wherever it is cut off", async () => {
  const step = fc.record({
    do: fc.constantFrom("allocate", "release", "cut"),
    name: fc.nat(7),
    host: fc.constantFrom("h1", "h2"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { feed, addressing, follower } = await openReplica(createStore());
      await addressing.updateTopology(twoZones, signal);
      await addressing.addHost(hostIn("a", "h1", 1), signal);
      await addressing.addHost(hostIn("a", "h2", 2), signal);
      const state = new Map<unknown, unknown>();
      let last = 0;
      let sink = await watching(feed, { kind: "blocks", after: 0, host: "h1" });
      const take = (): void => {
        for (const { id, event, data } of sink.events) {
          if (event === "put") {
            state.set(data["cidr"], data["allocated_ip_count"]);
          } else if (event === "delete") {
            state.delete(data["cidr"]);
          }
          last = id ?? last;
        }
      };

      for (const { do: what, name, host } of steps) {
        if (what === "cut") {
          take();
          sink.destroy();
          sink = await watching(feed, { kind: "blocks", after: last, host: "h1" });
        } else {
          // A name that is taken or unknown changes nothing.
          await Promise.allSettled([
            what === "allocate"
              ? addressing.allocate({ name: `${name}`, host, tenant: `t${name % 3}`, segment: "s" }, signal)
              : addressing.release(`${name}`, signal),
          ]);
        }
      }
      take();

      const own = (addressing.blocks()?.blocks ?? []).filter(({ host }) => host === "h1");
      expect(Object.fromEntries(state)).toEqual(
        Object.fromEntries(own.map(({ cidr, allocated_ip_count: used }) => [cidr, used])),
      );
      feed.close();
      addressing.stop();
      await follower.stop();
    }),
    { numRuns: 60 },
  );
});
