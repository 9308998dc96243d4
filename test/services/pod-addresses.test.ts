import { describe, expect, it } from "vitest";

import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { AddressingBatch, AddressingService } from "../../src/services/addressing-service.ts";
import { readAddress, writeAddress } from "../../src/services/stored-records.ts";
import { createStore, hostIn, openService, signal, twoZones } from "./support.ts";

const web = { namespace: "shop", name: "web-1", uid: "uid-1" };

async function started() {
  const store = createStore();
  const service = await openService(store);
  await service.updateTopology(twoZones, signal);
  await service.addHost(hostIn("a", "h1", 1), signal);
  return { store, service };
}

const forPod = (name: string, pod = web) => ({ name, host: "h1", tenant: "shop", segment: "s", pod });

function take(service: AddressingService, name: string, pod = web): Promise<string> {
  return service.allocate(forPod(name, pod), signal);
}

const withoutPod = {
  name: "p",
  address: 167772160,
  host: "h",
  tenant: "t",
  segment: "s",
  transaction: "x-1",
};

describe("the record of an address", () => {
  it("without a Pod is what it always was, byte for byte", () => {
    expect(writeAddress(withoutPod)).toBe(
      '{"name":"p","address":"10.0.0.0","host":"h","tenant":"t","segment":"s","txn":"x-1"}',
    );
    expect(readAddress("k", writeAddress(withoutPod))).toEqual(withoutPod);
  });

  it("with a Pod is read as it was written, by the quick reader and by the careful one", () => {
    const record = { ...withoutPod, pod: web };
    const text = writeAddress(record);

    expect(readAddress("k", text)).toEqual(record);
    // The careful reader takes over where the quick one sees something odd.
    expect(() => readAddress("k", text.replace('"uid":"uid-1"', '"uid":7'))).toThrow(
      /pod\.uid: expected text/,
    );
    expect(() => readAddress("k", text.replace(/"pod":.*/, '"pod":"web"}'))).toThrow(/pod is not an object/);
  });
});

describe("an address that was asked for with its Pod", () => {
  it("keeps it over a reopening of the store, a topology update, an export and an import", async () => {
    const { store, service } = await started();
    await take(service, "web-1.shop.0f3a9b21");
    await service.allocate({ name: "vm", host: "h1", tenant: "t", segment: "s" }, signal);
    await service.updateTopology(
      {
        ...twoZones,
        networks: twoZones.networks.map((network) => ({ ...network, name: "renamed" })),
        topologies: twoZones.topologies.map((each) => ({ ...each, networks: ["renamed"] })),
      },
      signal,
    );
    const exported = service.exportState();
    const reopened = await openService(store);
    const imported = await openService(createStore());

    await imported.replaceState(exported, [], signal);

    const expected = {
      name: "web-1.shop.0f3a9b21",
      address: "10.0.0.0",
      network: "renamed",
      host: "h1",
      tenant: "shop",
      segment: "s",
      pod: web,
    };
    for (const each of [service, reopened, imported]) {
      expect(each.address("web-1.shop.0f3a9b21")).toEqual(expected);
      expect(each.addressAt(167772160)).toEqual(expected);
      expect([...each.eachAddress()]).toContainEqual(expected);
      expect(each.address("vm")).not.toHaveProperty("pod");
    }
    expect(imported.exportState().addresses).toEqual(exported.addresses);
  });

  it("says whose it is to whoever asks for the name again, on this replica and on another one", async () => {
    const { store, service } = await started();
    const other = await openService(store);
    await take(service, "web-1.shop.0f3a9b21");
    const details = {
      address: "10.0.0.0",
      host: "h1",
      tenant: "shop",
      segment: "s",
      namespace: "shop",
      pod: "web-1",
      podUID: "uid-1",
    };

    for (const each of [service, other]) {
      await expect(take(each, "web-1.shop.0f3a9b21")).rejects.toMatchObject({
        code: "ADDRESS_EXISTS",
        details,
      });
    }
  });

  it("tells listeners what left its name, as it was, also where the name is taken anew in the same batch", async () => {
    const { service } = await started();
    const batches: AddressingBatch[] = [];
    await take(service, "a");
    service.onBatch((batch) => batches.push(batch));

    const second = { ...web, uid: "uid-2" };
    await Promise.all([service.release("a", signal), take(service, "b", second)]);
    await service.release("b", signal);

    expect(
      batches.map(({ addresses, released }) => [addresses, released.map(({ name, pod }) => [name, pod])]),
    ).toEqual([
      [["a", "b"], [["a", web]]],
      [["b"], [["b", second]]],
    ]);
  });
});

describe("a release with terms", () => {
  it.for([
    ["the same Pod", { podUid: "uid-1" }, undefined],
    ["the same Pod and address", { podUid: "uid-1", address: parseIpv4("10.0.0.0") }, undefined],
    ["another Pod", { podUid: "uid-2" }, "ADDRESS_REUSED"],
    ["no Pod", { podUid: "" }, "ADDRESS_REUSED"],
    ["another address", { address: parseIpv4("10.0.0.1") }, "ADDRESS_REUSED"],
    ["another host", { host: "h2", podUid: "uid-1" }, "ADDRESS_ELSEWHERE"],
  ] as const)("is for %s alone: %o", async ([, terms, code]) => {
    const { service } = await started();
    await take(service, "a");

    const outcome = await service.release("a", signal, terms).then(
      () => undefined,
      (error: { code: string }) => error.code,
    );

    expect(outcome).toBe(code);
    expect(service.address("a") === undefined).toBe(code === undefined);
  });

  it("does not touch the name when another replica gave it to another Pod while the release was on its way", async () => {
    const { store, service } = await started();
    const other = await openService(store);
    await take(service, "a");
    store.failNext(async (run) => {
      await other.release("a", signal);
      await take(other, "a", { ...web, uid: "uid-2" });
      return run();
    });

    await expect(service.release("a", signal, { podUid: "uid-1" })).rejects.toMatchObject({
      code: "ADDRESS_REUSED",
    });

    expect(service.address("a")?.pod?.uid).toBe("uid-2");
  });

  it("carries the guard of a leader's term, and is not made again once another leads", async () => {
    const { store, service } = await started();
    await take(service, "a");
    await take(service, "b");
    const { revision } = await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/romana/leader", value: "1" }] },
      signal,
    );
    const guard = { key: "/romana/leader", modRevision: revision };

    await service.release("a", signal, { podUid: "uid-1", guard });
    await store.commit(
      { compare: [], operations: [{ kind: "put", key: "/romana/leader", value: "2" }] },
      signal,
    );
    const before = store.transactions.length;
    await expect(service.release("b", signal, { podUid: "uid-1", guard })).rejects.toMatchObject({
      code: "LEADERSHIP_LOST",
    });

    expect(store.transactions.length - before).toBe(1);
    expect([service.address("a"), service.address("b")?.name]).toEqual([undefined, "b"]);
  });
});
