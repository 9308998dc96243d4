import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  addressesOf,
  addressOf,
  cloudLabels,
  hostLabels,
  instanceLabels,
  machineOf,
} from "../../../src/core/cluster/node-facts.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";

const ZONE = "topology.kubernetes.io/zone";
const FORMER_ZONE = "failure-domain.beta.kubernetes.io/zone";
const SUBNET = "romana.io/subnet-id";

describe("the address of a Node", () => {
  it.for([
    [["10.0.0.1"], "10.0.0.1"],
    [["fd00::1", "10.0.0.2", "10.0.0.3"], "10.0.0.2"],
    [["fd00::1"], undefined],
    [["10.0.0"], undefined],
    [[], undefined],
  ] as const)("of %j is %s", ([internalIps, expected]) => {
    expect(addressOf({ internalIps })).toBe(expected);
  });

  it("is one of all that are IPv4", () => {
    expect(addressesOf({ internalIps: ["fd00::1", "10.0.0.2", "10.0.0.3"] })).toEqual([
      "10.0.0.2",
      "10.0.0.3",
    ]);
  });
});

describe("the machine of a Node", () => {
  it.for([
    ["aws:///us-west-2a/i-0123456789abcdef0", true, "i-0123456789abcdef0"],
    ["aws:////i-0123456789abcdef0", true, "i-0123456789abcdef0"],
    ["aws:///i-0123456789abcdef0", true, "i-0123456789abcdef0"],
    ["aws:///us-west-2a/1234-5678/fargate-ip-10-0-0-1", true, ""],
    ["aws:///us-west-2a/i-*", true, ""],
    ["gce://project/zone/i-0123", true, ""],
    ["", true, ""],
    ["kind://docker/kind/worker", false, "kind://docker/kind/worker"],
    ["", false, ""],
  ] as const)("with providerID %s, on AWS %s, is %s", ([providerId, cloud, expected]) => {
    expect(machineOf({ providerId }, cloud)).toBe(expected);
  });
});

describe("the labels of a host", () => {
  it("have zone and region under both names, whichever the Node has", () => {
    expect(hostLabels({ [ZONE]: "a" }, {})).toEqual({ [ZONE]: "a", [FORMER_ZONE]: "a" });
    expect(hostLabels({ [FORMER_ZONE]: "a" }, {})).toEqual({ [ZONE]: "a", [FORMER_ZONE]: "a" });
    expect(hostLabels({ "topology.kubernetes.io/region": "r" }, {})).toEqual({
      "topology.kubernetes.io/region": "r",
      "failure-domain.beta.kubernetes.io/region": "r",
    });
  });

  it("leave two names as they are when the Node has both", () => {
    expect(hostLabels({ [ZONE]: "a", [FORMER_ZONE]: "b" }, {})).toEqual({ [ZONE]: "a", [FORMER_ZONE]: "b" });
  });

  it("are the Node's before EC2's, but for the subnet", () => {
    expect(
      hostLabels(
        { [FORMER_ZONE]: "mine", [SUBNET]: "mine" },
        { [ZONE]: "ec2", [FORMER_ZONE]: "ec2", [SUBNET]: "ec2" },
      ),
    ).toEqual({ [ZONE]: "mine", [FORMER_ZONE]: "mine", [SUBNET]: "ec2" });
  });

  it("come to rest: what EC2 filled in stays, and what the Node lost goes", () => {
    const labels = fc.dictionary(
      fc.constantFrom(ZONE, FORMER_ZONE, SUBNET, "rack"),
      fc.constantFrom("a", "b"),
    );
    fc.assert(
      fc.property(labels, labels, (own, before) => {
        const once = hostLabels(own, cloudLabels(before));

        expect(hostLabels(own, cloudLabels(once))).toEqual(once);
        expect(once["rack"]).toBe(own["rack"]);
      }),
    );
  });

  it("name no region while it is not known", () => {
    const instance = {
      id: "i-1",
      state: "running",
      zone: "us-west-2a",
      tags: {},
      interfaces: [
        { id: "eni-1", subnetId: "subnet-1", addresses: [parseIpv4("10.0.0.1")], sourceDestCheck: true },
      ],
    } as const;

    expect(instanceLabels(instance, parseIpv4("10.0.0.1"), "")).toEqual({
      [ZONE]: "us-west-2a",
      [FORMER_ZONE]: "us-west-2a",
      [SUBNET]: "subnet-1",
    });
    expect(instanceLabels(instance, parseIpv4("10.0.0.1"), "us-west-2")).toMatchObject({
      "topology.kubernetes.io/region": "us-west-2",
    });
  });
});
