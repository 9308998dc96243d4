import { describe, expect, it } from "vitest";

import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { readHost, writeHost } from "../../src/services/stored-records.ts";
import { createStore, openService, signal, twoZones } from "./support.ts";

const node = { uid: "uid-1", instanceId: "i-1" };
const host = {
  name: "node-1",
  ip: parseIpv4("172.16.0.1"),
  tags: { zone: "a" },
  origin: "kubernetes",
  node,
} as const;

describe("a stored host", () => {
  const record = {
    ...host,
    agentPort: 9604,
    sequence: 1,
    groups: [],
    misplaced: false,
  };

  it("is read with its Node as it was written", () => {
    expect(readHost("k", writeHost(record))).toEqual(record);
  });

  it("that is older than the field is read without a Node, and written as it was", () => {
    const text =
      '{"name":"node-1","ip":"172.16.0.1","agentPort":9604,"tags":{"zone":"a"},"origin":"kubernetes","sequence":1,"groups":[],"misplaced":false}';

    const read = readHost("k", text);

    expect(Object.hasOwn(read, "node")).toBe(false);
    expect(writeHost(read)).toBe(text);
  });

  it("with a Node that is none is refused, naming the field", () => {
    const text = writeHost(record).replace('"uid-1"', "1");

    expect(() => readHost("k", text)).toThrow(/node\.uid/);
  });
});

describe("a host of a Node in the store", () => {
  it("is the same after a restart", async () => {
    const store = createStore();
    const first = await openService(store);
    await first.updateTopology(twoZones, signal);
    await first.addHosts([host], signal);

    const second = await openService(store);

    expect(second.hostAt(host.ip)).toEqual(first.host("node-1"));
    expect(second.host("node-1")?.node).toEqual(node);
  });

  it("goes for its own Node alone", async () => {
    const service = await openService(createStore());
    await service.updateTopology(twoZones, signal);
    await service.addHosts([host], signal);

    await expect(service.removeHost("node-1", signal, { node: "uid-0" })).rejects.toMatchObject({
      code: "HOST_REPLACED",
    });
    await service.removeHost("node-1", signal, { node: "uid-1" });

    expect(service.host("node-1")).toBeUndefined();
  });

  it("takes the place of what EC2 showed in one transaction", async () => {
    const store = createStore();
    const service = await openService(store);
    await service.updateTopology(twoZones, signal);
    await service.addHosts(
      [{ name: "ip-172-16-0-1", ip: host.ip, tags: { zone: "a" }, origin: "cloud" }],
      signal,
    );
    const before = store.transactions.length;

    await service.addHosts([host], signal);

    expect(store.transactions.length - before).toBe(1);
    expect(service.hosts().hosts.map(({ name }) => name)).toEqual(["node-1"]);
    const again = await openService(store);
    expect(again.hosts()).toEqual(service.hosts());
  });
});
