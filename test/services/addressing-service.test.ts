import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { answersOf, createStore, hostIn, openService, signal, twoZones, type LogLine } from "./support.ts";

async function started(lines?: LogLine[]) {
  const store = createStore();
  const service = await openService(store, lines);
  await service.updateTopology(twoZones, signal);
  await service.addHost(hostIn("a", "h1", 1), signal);
  await service.addHost(hostIn("b", "h2", 2), signal);
  return { store, service };
}

const pod = (name: string, host = "h1") => ({ name, host, tenant: "t", segment: "s" });

const unavailable = (): NetworkError =>
  new NetworkError("transient", "STORE_UNAVAILABLE", "the store is away");

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

describe("AddressingService", () => {
  it("starts empty", async () => {
    const service = await openService(createStore());

    expect(service.topology()).toEqual({ networks: null, topologies: null });
    expect(service.hosts()).toEqual({ revision: 0, hosts: [] });
    expect(service.blocks()).toEqual({ revision: 0, blocks: [] });
    expect(service.networks()).toEqual([]);
    expect(service.layout()).toEqual([]);
  });

  it("hands out the first address of the host's group and shows its block", async () => {
    const { service } = await started();

    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.0.0");
    expect(await service.allocate(pod("p2", "h2"), signal)).toBe("10.0.128.0");
    expect(service.blocks()).toEqual({
      revision: 2,
      blocks: [
        {
          revision: 1,
          cidr: "10.0.0.0/29",
          host: "h1",
          tenant: "t",
          segment: "s",
          allocated_ip_count: 1,
          network: "pods",
        },
        {
          revision: 1,
          cidr: "10.0.128.0/29",
          host: "h2",
          tenant: "t",
          segment: "s",
          allocated_ip_count: 1,
          network: "pods",
        },
      ],
    });
    expect(service.blocks("none")).toBeUndefined();
    expect(service.blocks("pods")?.revision).toBe(2);
    expect(service.networks()).toEqual([{ id: "pods", name: "pods", cidr: "10.0.0.0/16", revision: 2 }]);
  });

  it("writes an allocation as one transaction of its block and its address, and of its host when that gets a new block", async () => {
    const { service, store } = await started();

    await service.allocate(pod("p1"), signal);
    const acquiring = store.transactions.at(-1);
    await service.allocate(pod("a/b"), signal);

    const transaction = store.transactions.at(-1);
    expect(acquiring?.operations.map(({ kind, key }) => `${kind} ${key}`).toSorted()).toEqual([
      "put /romana/addresses/p1",
      "put /romana/blocks/pods/10.0.0.0-29",
      "put /romana/hosts/h1",
    ]);
    expect(transaction?.operations.map(({ kind, key }) => `${kind} ${key}`).toSorted()).toEqual([
      "put /romana/addresses/a%2Fb",
      "put /romana/blocks/pods/10.0.0.0-29",
    ]);
    expect(transaction?.compare.map((item) => ("key" in item ? item.key : item.prefix)).toSorted()).toEqual([
      "/romana/addresses/a%2Fb",
      "/romana/blackouts/pods",
      "/romana/blocks/pods/10.0.0.0-29",
      "/romana/generation",
      "/romana/hosts/h1",
      "/romana/topology",
    ]);
  });

  it("gives the same answers after it was opened again, and goes on as it would have", async () => {
    const { service, store } = await started();
    await service.addHosts([{ ...hostIn("c", "h3", 3), origin: "cloud" }, hostIn("a", "h4", 4)], signal);
    for (let index = 0; index < 20; index += 1) {
      await service.allocate(pod(`p${index}`, ["h1", "h2", "h4"][index % 3]), signal);
    }
    await service.addBlackout("pods", parseCidr("10.0.64.0/24"), signal);
    for (const name of ["p3", "p0", "p6", "p9", "p12", "p15", "p18", "p1", "10.0.128.1"]) {
      await service.release(name, signal);
    }
    await service.setLabels("h2", { zone: "a" }, signal);

    const again = await openService(store);

    expect(answersOf(again)).toEqual(answersOf(service));
    const next = await Promise.all(
      ["h1", "h4"].map((host) => again.allocate(pod(`next-${host}`, host), signal)),
    );
    const third = await openService(store);
    expect(answersOf(third)).toEqual(answersOf(again));
    expect(new Set(next).size).toBe(2);
  });

  it("says what a name holds when it asks twice", async () => {
    const { service } = await started();
    await service.allocate(pod("p1"), signal);

    await expect(service.allocate(pod("p1", "h2"), signal)).rejects.toMatchObject({
      kind: "conflict",
      code: "ADDRESS_EXISTS",
      details: { address: "10.0.0.0", host: "h1", tenant: "t", segment: "s", name: "p1" },
    });
  });

  it("releases by name first, then by address", async () => {
    const { service } = await started();
    await service.allocate(pod("p1"), signal);
    await service.allocate(pod("10.0.0.0"), signal);

    await service.release("10.0.0.0", signal);
    expect(service.addresses().map(({ name }) => name)).toEqual(["p1"]);
    await service.release("10.0.0.0", signal);
    expect(service.addresses()).toEqual([]);
    await expect(service.release("10.0.0.0", signal)).rejects.toMatchObject({
      kind: "not-found",
      code: "ADDRESS_NOT_FOUND",
    });
  });

  it("refuses a name that no store can hold", async () => {
    const { service } = await started();

    await expect(service.allocate(pod("\ud800"), signal)).rejects.toMatchObject({
      code: "ADDRESS_NAME_INVALID",
    });
    await expect(service.allocate(pod(""), signal)).rejects.toMatchObject({ code: "ADDRESS_NAME_INVALID" });
    await expect(
      service.addHost({ name: "\udfff", ip: parseIpv4("192.168.7.7"), origin: "api" }, signal),
    ).rejects.toMatchObject({ kind: "invalid", code: "HOST_INVALID" });
    await expect(
      service.updateTopology(
        { networks: [{ name: "\ud800", cidr: "10.0.0.0/8" }], topologies: [{ networks: ["\ud800"] }] },
        signal,
      ),
    ).rejects.toMatchObject({ kind: "invalid", code: "TOPOLOGY_INVALID" });
  });

  it("keeps a refused topology update from changing anything", async () => {
    const { service } = await started();
    await service.allocate(pod("p1"), signal);
    const before = answersOf(service);

    await expect(service.updateTopology({ networks: [] }, signal)).rejects.toMatchObject({
      kind: "conflict",
      code: "TOPOLOGY_IN_USE",
    });
    await expect(service.updateTopology({ networks: 1 }, signal)).rejects.toMatchObject({
      code: "TOPOLOGY_INVALID",
    });

    expect(answersOf(service)).toEqual(before);
  });

  it("refuses a network on a reserved range from then on", async () => {
    const { service } = await started();

    service.setReserved([{ cidr: parseCidr("10.0.0.0/8"), what: "the CIDR of VPC vpc-1" }]);

    await expect(service.updateTopology(twoZones, signal)).rejects.toThrow("the CIDR of VPC vpc-1");
  });

  it("takes back the document that it gives, with the same state", async () => {
    const { service } = await started();
    await service.allocate(pod("p1"), signal);
    const before = answersOf(service);

    await service.updateTopology(service.topology(), signal);

    expect(service.topologyStatus().revision).toBe(4);
    const hosts = service.hosts().hosts;
    expect(hosts.map(({ name, origin }) => `${name} ${origin}`)).toEqual(["h1 api", "h2 api"]);
    expect({ ...(answersOf(service) as object), status: 0, hosts: 0 }).toEqual({
      ...(before as object),
      status: 0,
      hosts: 0,
    });
  });

  it("does not let revisions of blocks go back when a topology update takes blocks away", async () => {
    const { service, store } = await started();
    await service.allocate(pod("p1"), signal);
    await service.release("p1", signal);

    await service.updateTopology({ networks: [] }, signal);

    expect(service.blocks()).toEqual({ revision: 2, blocks: [] });
    expect((await openService(store)).blocks()).toEqual({ revision: 2, blocks: [] });
  });

  it("tells listeners what changed, until they leave", async () => {
    const { service } = await started();
    const seen: string[] = [];
    const leave = service.onChange((what) => seen.push(what));

    await service.allocate(pod("p1"), signal);
    await service.setLabels("h2", { zone: "b", rack: "1" }, signal);
    await service.updateTopology(twoZones, signal);
    leave();
    await service.release("p1", signal);

    expect(seen).toEqual(["blocks", "hosts", "topology", "hosts", "blocks"]);
  });

  it("runs changes in the order in which they were asked for", async () => {
    const { service } = await started();

    const addresses = await Promise.all(
      Array.from({ length: 10 }, (_, index) => service.allocate(pod(`p${index}`), signal)),
    );

    expect(addresses).toEqual(Array.from({ length: 10 }, (_, index) => `10.0.0.${index}`));
  });

  it("releases for a host what is of that host alone, whether it is named or given by address", async () => {
    const { service } = await started();
    const address = await service.allocate(pod("p1", "h2"), signal);

    for (const nameOrIp of ["p1", address]) {
      await expect(service.release(nameOrIp, signal, { host: "h1" })).rejects.toMatchObject({
        kind: "conflict",
        code: "ADDRESS_ELSEWHERE",
        details: { name: "p1", host: "h2" },
      });
    }
    await expect(service.release("none", signal, { host: "h1" })).rejects.toMatchObject({
      code: "ADDRESS_NOT_FOUND",
    });
    expect(service.addresses()).toHaveLength(1);
    await service.release(address, signal, { host: "h2" });
    expect(service.addresses()).toEqual([]);
  });

  it("lets what waits share one transaction, and answers as if each had been alone", async () => {
    const { service, store } = await started();
    await service.allocate(pod("p0"), signal);
    const before = store.transactions.length;

    const outcomes = await Promise.allSettled([
      ...["p1", "p2", "p3"].map((name) => service.allocate(pod(name), signal)),
      service.allocate(pod("p1", "h2"), signal),
      service.release("p1", signal),
      service.release("p2", signal),
      service.allocate(pod("p1", "h2"), signal),
      service.allocate(pod("p4"), signal),
    ]);

    expect(store.transactions).toHaveLength(before + 1);
    expect(
      outcomes.map((outcome) =>
        outcome.status === "fulfilled" ? outcome.value : (outcome.reason as NetworkError).code,
      ),
    ).toEqual([
      "10.0.0.1",
      "10.0.0.2",
      "10.0.0.3",
      "ADDRESS_EXISTS",
      undefined,
      undefined,
      "10.0.128.0",
      "10.0.0.1",
    ]);
    expect(service.blocks()?.revision).toBe(8);
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });

  it("sends what waits before it answers those whose transaction is done", async () => {
    const { service, store } = await started();
    const before = store.transactions.length;
    const seen: string[] = [];
    const ask = (name: string): Promise<unknown> =>
      service.allocate(pod(name), signal).then(() => seen.push(name));
    const held = Promise.withResolvers<void>();
    store.failNext(async (run) => {
      await held.promise;
      return run();
    });
    store.failNext((run) => {
      seen.push("sent");
      return run();
    });

    const first = ask("p1");
    while (store.transactions.length === before) {
      await turn();
    }
    const others = ["p2", "p3"].map(ask);
    held.resolve();
    await Promise.all([first, ...others]);

    expect(seen.toSorted()).toEqual(["p1", "p2", "p3", "sent"]);
    expect(seen[0]).toBe("sent");
  });

  it("does nothing for a caller who left while waiting", async () => {
    const { service } = await started();
    const leaving = new AbortController();

    const first = service.allocate(pod("p1"), signal);
    const second = service.allocate(pod("p2"), leaving.signal);
    leaving.abort(new Error("gone"));

    await expect(second).rejects.toThrow("gone");
    expect(await first).toBe("10.0.0.0");
    expect(service.addresses().map(({ name }) => name)).toEqual(["p1"]);
  });
});

describe("AddressingService beside another writer", () => {
  it("plans again after a lost compare", async () => {
    const lines: LogLine[] = [];
    const { service, store } = await started(lines);
    const other = await openService(store);
    await service.allocate(pod("mine"), signal);
    store.failNext(async (run) => {
      expect(await other.allocate(pod("theirs"), signal)).toBe("10.0.0.1");
      return run();
    });

    expect(await service.allocate(pod("next"), signal)).toBe("10.0.0.2");
    expect(lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    expect(service.counters()).toMatchObject({ allocations: 2, retries: 1, groups: 3 });
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });

  it("takes another new block when a replica was faster with the lowest", async () => {
    const { service, store } = await started();
    await service.addHost(hostIn("a", "h3", 3), signal);
    const other = await openService(store);
    store.failNext(async (run) => {
      expect(await other.allocate(pod("theirs", "h3"), signal)).toBe("10.0.0.0");
      return run();
    });

    const address = await service.allocate(pod("mine"), signal);

    expect(address).toMatch(/^10\.0\.0\.(8|16|24|32|40|48|56|64)$/);
    expect(other.addresses()).toEqual(service.addresses());
  });

  it("says what a name holds that another replica took first", async () => {
    const { service, store } = await started();
    const other = await openService(store);
    store.failNext(async (run) => {
      await other.allocate({ ...pod("p1", "h2"), segment: "u" }, signal);
      return run();
    });

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({
      kind: "conflict",
      code: "ADDRESS_EXISTS",
      details: { address: "10.0.128.0", host: "h2", tenant: "t", segment: "u", name: "p1" },
    });
  });

  it("sees that the host went away while the allocation was on its way", async () => {
    const { service, store } = await started();
    const other = await openService(store);
    store.failNext(async (run) => {
      await other.removeHost("h1", signal);
      return run();
    });

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({ code: "HOST_NOT_FOUND" });
  });

  it("sees that a name was taken elsewhere", async () => {
    const { service, store } = await started();
    const other = await openService(store);
    await other.allocate(pod("p1", "h2"), signal);

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({
      code: "ADDRESS_EXISTS",
      details: { host: "h2" },
    });
  });

  it("sees a host, a blackout and a topology that came from elsewhere", async () => {
    const { service, store } = await started();
    const other = await openService(store);
    await other.addBlackout("pods", parseCidr("10.0.0.0/30"), signal);
    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.0.4");

    await other.removeHost("h1", signal);
    await expect(service.allocate(pod("p2"), signal)).rejects.toMatchObject({ code: "HOST_NOT_FOUND" });

    await other.updateTopology({ ...twoZones, networks: [{ name: "pods", cidr: "10.0.0.0/15" }] }, signal);
    expect(await service.allocate(pod("p3", "h2"), signal)).toBe("10.1.0.0");
  });

  it("gives up after twenty lost compares", async () => {
    const { service, store } = await started();
    for (let index = 0; index < 20; index += 1) {
      store.failNext(async () => ({ ok: false, revision: 0, failed: [] }));
    }

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({
      kind: "transient",
      code: "ADDRESSING_CONTENDED",
    });
    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.0.0");
  });
});

describe("a release for one host", () => {
  it("is refused when its commit finds that another replica gave the name to another host", async () => {
    const { service, store } = await started();
    const other = await openService(store);
    await service.allocate(pod("p"), signal);
    store.failNext(async (run) => {
      await other.release("p", signal);
      await other.allocate(pod("p", "h2"), signal);
      return run();
    });

    await expect(service.release("p", signal, { host: "h1" })).rejects.toMatchObject({
      code: "ADDRESS_ELSEWHERE",
    });
    expect(other.addresses().map(({ name, host }) => [name, host])).toEqual([["p", "h2"]]);
  });
});

describe("AddressingService on a store that fails", () => {
  it("succeeds when the store took the change before its answer was lost", async () => {
    const { service, store } = await started();
    store.failNext(async (run) => {
      await run();
      throw unavailable();
    });

    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.0.0");
    expect(await service.allocate(pod("p2"), signal)).toBe("10.0.0.1");
    expect(service.addresses()).toHaveLength(2);
  });

  it("succeeds when the store took the change although it says that it is full, as etcd may at its quota", async () => {
    const { service, store } = await started();
    store.failNext(async (run) => {
      await run();
      throw full();
    });
    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.0.0");

    store.failNext(async (run) => {
      await run();
      throw full();
    });
    await service.setLabels("h2", { zone: "b", more: "yes" }, signal);
    expect(service.host("h2")?.tags).toEqual({ zone: "b", more: "yes" });

    store.failNext(async () => {
      throw full();
    });
    await expect(service.setLabels("h2", { zone: "b" }, signal)).rejects.toMatchObject({
      code: "STORE_FULL",
    });
    store.failNext(async () => {
      throw full();
    });
    await expect(service.release("p1", signal)).rejects.toMatchObject({ code: "STORE_FULL" });
  });

  it("fails when the store did not take the change, and can be asked again", async () => {
    const { service, store } = await started();
    store.failNext(async () => {
      throw unavailable();
    });

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({
      kind: "transient",
      code: "STORE_UNAVAILABLE",
    });
    expect(service.addresses()).toEqual([]);
    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.0.0");
  });

  it("says that the outcome is unknown when the name cannot be read, and goes on from what the store has", async () => {
    const { service, store } = await started();
    store.failNext(async (run) => {
      await run();
      store.getFailure = unavailable();
      throw unavailable();
    });

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("unknown"),
    });
    store.getFailure = undefined;

    expect(await service.allocate(pod("p2"), signal)).toBe("10.0.0.1");
    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({ code: "ADDRESS_EXISTS" });
  });

  it("does not send an allocation again whose answer was lost, though it is taken only after the name was read", async () => {
    const { service, store } = await started();
    const late: (() => Promise<unknown>)[] = [];
    store.failNext(async (run) => {
      late.push(run);
      throw unavailable();
    });

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await Promise.all(late.map((run) => run()));

    expect(await service.allocate(pod("p2"), signal)).toBe("10.0.0.1");
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });

  it("succeeds with a release whose answer was lost when the name is gone, and not when it is still there", async () => {
    const { service, store } = await started();
    await service.allocate(pod("p1"), signal);
    store.failNext(async () => {
      throw unavailable();
    });
    await expect(service.release("p1", signal)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    store.failNext(async (run) => {
      await run();
      throw unavailable();
    });

    await service.release("p1", signal);

    expect(service.addresses()).toEqual([]);
  });

  it("succeeds with a host whose answer was lost when the store has it", async () => {
    const { service, store } = await started();
    store.failNext(async (run) => {
      await run();
      throw unavailable();
    });
    await service.addHost(hostIn("a", "h3", 3), signal);
    store.failNext(async () => {
      throw unavailable();
    });

    await expect(service.addHost(hostIn("a", "h4", 4), signal)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    expect(service.hosts().hosts.map(({ name }) => name)).toEqual(["h1", "h2", "h3"]);
  });

  it("changes nothing when the store is full", async () => {
    const { service, store } = await started();
    const before = answersOf(service);
    store.failNext(async () => {
      throw new NetworkError("exhausted", "STORE_FULL", "no space left");
    });

    await expect(service.allocate(pod("p1"), signal)).rejects.toMatchObject({ code: "STORE_FULL" });
    expect(answersOf(service)).toEqual(before);
  });

  it.for([
    ["/romana/hosts/h1", "{", "it is not JSON"],
    ["/romana/hosts/h1", "[]", "it is not an object"],
    ["/romana/hosts/h1", `{"name":"h1","ip":"1.2.3"}`, `ip: not an IPv4 address: "1.2.3"`],
    ["/romana/blocks/pods/10.0.0.0-29", `{"cidr":"10.0.0.0/29","network":"pods"}`, "owner"],
    ["/romana/addresses/p1", `{"name":"p1","address":"10.0.0.0","host":1}`, "host: expected text, found 1"],
    ["/romana/topology-revision", `{"revision":-1}`, "revision: expected a whole number, found -1"],
    ["/romana/blackouts/pods", `{"network":"pods","cidrs":["10.0.0.1/24"]}`, "cidrs: not an IPv4 network"],
    [
      "/romana/topology",
      `{"document":{},"warnings":{},"revisionBase":{"total":0,"networks":{}}}`,
      "warnings: expected a list",
    ],
  ] as const)("names the record %s that reads %s", async ([key, value, reason]) => {
    const { service, store } = await started();
    await service.allocate(pod("p1"), signal);
    await store.commit({ compare: [], operations: [{ kind: "put", key, value }] }, signal);

    const error: unknown = await openService(store).catch((failure: unknown) => failure);

    expect(error).toMatchObject({ code: "STATE_UNREADABLE", details: { key } });
    expect(error).toHaveProperty("message", expect.stringContaining(reason));
  });

  it.for([
    ["/romana/blocks/pods/10.0.0.0-29", "lies in no block"],
    ["/romana/hosts/h1", "is of host h1"],
    ["/romana/topology", `network "pods" is not in the topology`],
  ] as const)("refuses a store that lost %s", async ([key, reason]) => {
    const { service, store } = await started();
    await service.allocate(pod("p1"), signal);
    await store.commit({ compare: [], operations: [{ kind: "delete", key }] }, signal);

    await expect(openService(store)).rejects.toThrow(reason);
  });

  it("refuses an address whose owner is not that of its block", async () => {
    const { service, store } = await started();
    await service.allocate(pod("p1"), signal);
    const value = JSON.stringify({ name: "p1", address: "10.0.0.0", host: "h2", tenant: "t", segment: "s" });
    await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/romana/addresses/p1", value }] },
      signal,
    );

    await expect(openService(store)).rejects.toMatchObject({ code: "STATE_INCONSISTENT" });
  });

  it("refuses a block that is not of its network's size", async () => {
    const { service, store } = await started();
    await service.allocate(pod("p1"), signal);
    const value = JSON.stringify({
      network: "pods",
      cidr: "10.0.64.0/28",
      owner: null,
      revision: 0,
      sequence: 9,
    });
    await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/romana/blocks/pods/10.0.64.0-28", value }] },
      signal,
    );

    await expect(openService(store)).rejects.toThrow("has 16 addresses");
  });
});

describe("AddressingService with hosts", () => {
  it("releases everything that a removed host holds, in one transaction", async () => {
    const { service, store } = await started();
    for (let index = 0; index < 12; index += 1) {
      await service.allocate(pod(`p${index}`), signal);
    }
    await service.allocate(pod("other", "h2"), signal);
    const before = store.transactions.length;

    await service.removeHost("h1", signal);

    expect(store.transactions).toHaveLength(before + 1);
    expect(service.addresses().map(({ name }) => name)).toEqual(["other"]);
    expect(service.hosts().hosts.map(({ name }) => name)).toEqual(["h2"]);
    expect(service.blocks()?.blocks.filter(({ host }) => host === "h1")).toEqual([]);
    expect(service.blocks()?.revision).toBe(25);
    expect(answersOf(await openService(store))).toEqual(answersOf(service));
  });

  it("says what became of each host of a batch, and changes nothing the second time", async () => {
    const { service, store } = await started();
    const batch = [
      { ...hostIn("a", "h1", 1), tags: { "romana.io/subnet-id": "subnet-1" }, origin: "cloud" as const },
      hostIn("a", "h5", 5),
      hostIn("a", "h2", 9),
      hostIn("b", "h6", 2),
    ];

    expect(await service.addHosts(batch, signal)).toEqual([
      { name: "h1", outcome: "updated", reason: "" },
      { name: "h5", outcome: "added", reason: "" },
      { name: "h2", outcome: "conflict", reason: "host h2 exists with address 172.16.0.2" },
      { name: "h6", outcome: "conflict", reason: "host h2 has address 172.16.0.2" },
    ]);
    const transactions = store.transactions.length;
    expect((await service.addHosts(batch.slice(0, 2), signal)).map(({ outcome }) => outcome)).toEqual([
      "unchanged",
      "unchanged",
    ]);
    expect(store.transactions).toHaveLength(transactions);
    expect(service.hosts().hosts[0]).toMatchObject({
      origin: "api",
      tags: { zone: "a", "romana.io/subnet-id": "subnet-1" },
    });
  });

  it("keeps a group for each subnet that it was told of, after a topology update and a lost compare too", async () => {
    const { service, store } = await started();
    const map = [{ name: "a", assignment: { "topology.kubernetes.io/zone": "a" }, groups: [{}, {}, {}, {}] }];
    const inSubnet = (name: string, last: number, subnet: string) => ({
      ...hostIn("a", name, last),
      tags: { "topology.kubernetes.io/zone": "a", "romana.io/subnet-id": subnet },
    });
    const groupsInUse = () =>
      new Set(service.hosts().hosts.flatMap(({ groups }) => groups.map(({ cidr }) => cidr)));
    service.setSubnets(["s1", "s2", "s3"].map((id) => ({ id, zone: "a" })));

    await service.updateTopology({ ...twoZones, topologies: [{ networks: ["pods"], map }] }, signal);
    store.failNext(async () => ({ ok: false, revision: 0, failed: [] }));
    await service.addHosts(
      [11, 12, 13, 14].map((last) => inSubnet(`h${last}`, last, "s1")),
      signal,
    );
    expect(groupsInUse().size).toBe(2);

    service.setSubnets([]);
    await service.addHost(inSubnet("h15", 15, "s1"), signal);
    expect(groupsInUse().size).toBe(3);
  });

  it("shows the view that routes are planned from", async () => {
    const { service } = await started();
    await service.allocate(pod("p1"), signal);

    const [layout] = service.layout();

    expect(layout?.root.children.map(({ cidr }) => cidr)).toEqual(["10.0.0.0/17", "10.0.128.0/17"]);
    expect(layout?.hostsOf(parseCidr("10.0.0.0/17")).map(({ ip }) => ip)).toEqual([parseIpv4("172.16.0.1")]);
    expect(layout?.hostsOf(parseCidr("10.0.0.0/16"))).toEqual([]);
    expect(layout?.blocksOf("h1")).toEqual(["10.0.0.0/29"]);
    expect(layout?.blocksOf("h2")).toEqual([]);
    expect(layout?.blocksOf("nobody")).toEqual([]);
  });

  it("ends a blackout", async () => {
    const { service } = await started();
    await service.addBlackout("pods", parseCidr("10.0.0.0/24"), signal);
    expect(service.blackouts("pods")).toEqual(["10.0.0.0/24"]);
    expect(await service.allocate(pod("p1"), signal)).toBe("10.0.1.0");

    await service.removeBlackout("pods", parseCidr("10.0.0.0/24"), signal);

    expect(service.blackouts("pods")).toEqual([]);
    expect(await service.allocate({ ...pod("p2"), segment: "other" }, signal)).toBe("10.0.0.0");
    expect(() => service.blackouts("none")).toThrow(NetworkError);
  });
});

function full(): NetworkError {
  return new NetworkError("exhausted", "STORE_FULL", "no space left");
}
