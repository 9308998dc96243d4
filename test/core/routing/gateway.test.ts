import { describe, expect, it } from "vitest";

import type { CloudFacts, CloudInstance, InstanceState } from "../../../src/core/cloud/facts.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { joinGateways } from "../../../src/core/routing/gateway.ts";

const ip = parseIpv4("10.0.0.5");

function instance(id: string, state: InstanceState, addresses = [ip]): CloudInstance {
  return {
    id,
    state,
    zone: "zone-a",
    tags: {},
    interfaces: [{ id: `eni-${id}`, subnetId: "subnet-a", addresses, sourceDestCheck: true }],
  };
}

function join(instances: readonly CloudInstance[], standing: "ready" | "not-ready" | "leaving" = "ready") {
  const facts: CloudFacts = {
    vpcId: "vpc-1",
    region: "r",
    vpcCidrs: [],
    instances,
    subnets: [],
    routeTables: [],
  };
  return joinGateways([{ name: "n1", ip, standing }], facts).get("n1");
}

describe("a host as the VPC sees it", () => {
  it.for([
    ["running", "ready", "ready"],
    ["running", "not-ready", "not-ready"],
    ["running", "leaving", "leaving"],
    ["pending", "ready", "not-ready"],
    ["pending", "leaving", "leaving"],
    ["stopping", "ready", "gone"],
    ["stopped", "ready", "gone"],
    ["shutting-down", "ready", "gone"],
    ["terminated", "ready", "gone"],
  ] as const)(
    "an instance that is %s and a host that is %s make a gateway that is %s",
    ([state, standing, result]) => {
      expect(join([instance("i-1", state)], standing)?.standing).toBe(result);
    },
  );

  it("is owned by the instance that lives, whatever the order in which they are shown", () => {
    const former = instance("i-1", "terminated");
    const living = instance("i-2", "running");

    expect(join([former, living])?.instanceId).toBe("i-2");
    expect(join([living, former])?.instanceId).toBe("i-2");
  });

  it("is found by any address of any of its interfaces", () => {
    const several = instance("i-1", "running", [parseIpv4("10.0.0.9"), ip]);

    expect(join([several])?.interfaceId).toBe("eni-i-1");
  });

  it("is missing where no interface holds its address", () => {
    expect(join([instance("i-1", "running", [parseIpv4("10.0.0.9")])])).toBeUndefined();
  });
});
