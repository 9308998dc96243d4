import { describe, expect, it } from "vitest";

import type { CloudInstance } from "../../../src/core/cloud/facts.ts";
import { discoverHosts, labelsOf } from "../../../src/core/instances/host-from-instance.ts";
import { planSourceDestCheck } from "../../../src/core/instances/plan-source-dest-check.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import type { Gateway } from "../../../src/core/routing/gateway.ts";

const address = parseIpv4("10.0.0.5");
const instance: CloudInstance = {
  id: "i-1",
  state: "running",
  zone: "zone-a",
  tags: { role: "node", team: "pods" },
  interfaces: [{ id: "eni-1", subnetId: "subnet-a", addresses: [address], sourceDestCheck: true }],
};

describe("labels of an instance", () => {
  it("name the subnet of the interface that owns the address, and no subnet where none does", () => {
    expect(labelsOf(instance, address, "r")["romana.io/subnet-id"]).toBe("subnet-a");
    expect(Object.keys(labelsOf(instance, parseIpv4("10.0.0.6"), "r"))).not.toContain("romana.io/subnet-id");
  });
});

describe("hosts from instances", () => {
  const facts = { vpcId: "vpc-1", region: "r", vpcCidrs: [], subnets: [], routeTables: [] };

  it("need every tag, to run, and an address", () => {
    const tags = [
      { key: "role", value: "node" },
      { key: "team", value: "pods" },
    ];
    const bare = { ...instance, id: "i-2", interfaces: [] };
    const stopped = { ...instance, id: "i-3", state: "stopped" as const };
    const other = { ...instance, id: "i-4", tags: { role: "node" } };

    expect(
      discoverHosts({ ...facts, instances: [bare, stopped, other, instance] }, tags).map(
        ({ instanceId }) => instanceId,
      ),
    ).toEqual(["i-1"]);
  });
});

describe("the checks to turn off", () => {
  const gateway: Gateway = {
    host: "b",
    interfaceId: "eni-b",
    instanceId: "i-b",
    subnetId: "subnet-a",
    zone: "zone-a",
    standing: "ready",
    sourceDestCheck: true,
    terminated: false,
  };

  it("are those that are on, of instances that are not terminated, by host", () => {
    const found = planSourceDestCheck([
      gateway,
      { ...gateway, host: "a", interfaceId: "eni-a", standing: "gone" },
      { ...gateway, host: "off", sourceDestCheck: false },
      { ...gateway, host: "dead", terminated: true },
    ]);

    expect(found.map(({ host, interfaceId }) => `${host} ${interfaceId}`)).toEqual(["a eni-a", "b eni-b"]);
  });
});
