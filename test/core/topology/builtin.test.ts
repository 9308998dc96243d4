import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { awsTopology } from "../../../src/core/topology/aws-topology.ts";
import { builtinNames, builtinTopology } from "../../../src/core/topology/builtin.ts";
import { placeHost } from "../../../src/core/topology/place-host.ts";
import { leavesOf } from "../../../src/core/topology/walk-groups.ts";
import { only, read, show } from "./support.ts";

const aws = (options: Parameters<typeof awsTopology>[0]) => only(read(awsTopology(options)));
const lengths = (cidrs: readonly { cidr: string }[]) =>
  new Set(cidrs.map(({ cidr }) => cidr.slice(cidr.indexOf("/"))));

describe("builtinTopology", () => {
  it("gives kubeadm eight groups of 10.112.0.0/12", () => {
    const { network, root } = only(read(builtinTopology("kubeadm")));

    expect(network).toEqual({ name: "romana-network", cidr: "10.112.0.0/12", blockMask: 29, tenants: [] });
    expect(show(root)).toEqual([
      "/ 10.112.0.0/12",
      "host-group-01 10.112.0.0/15",
      "host-group-02 10.114.0.0/15",
      "host-group-03 10.116.0.0/15",
      "host-group-04 10.118.0.0/15",
      "host-group-05 10.120.0.0/15",
      "host-group-06 10.122.0.0/15",
      "host-group-07 10.124.0.0/15",
      "host-group-08 10.126.0.0/15",
    ]);
  });

  // behaviour of the original's documents: zones, groups each, reserve groups, prefix lengths of zone and leaf
  it.for([
    ["ap-northeast-1", "ac", 8, 0, "/12", "/15"],
    ["ap-northeast-2", "ac", 8, 0, "/12", "/15"],
    ["ap-south-1", "ab", 8, 0, "/12", "/15"],
    ["ap-southeast-1", "ab", 8, 0, "/12", "/15"],
    ["ap-southeast-2", "abc", 8, 1, "/13", "/16"],
    ["ca-central-1", "ab", 8, 0, "/12", "/15"],
    ["eu-central-1", "abc", 8, 1, "/13", "/16"],
    ["eu-west-1", "abc", 8, 1, "/13", "/16"],
    ["eu-west-2", "ab", 8, 0, "/12", "/15"],
    ["sa-east-1", "abc", 8, 1, "/13", "/16"],
    ["us-east-1", "abcdef", 4, 2, "/14", "/16"],
    ["us-east-2", "abc", 8, 1, "/13", "/16"],
    ["us-west-1", "bc", 8, 0, "/12", "/15"],
    ["us-west-2", "abc", 8, 1, "/13", "/16"],
  ] as const)(
    "carves %s as the original does",
    ([region, letters, groups, reserve, zoneLength, leafLength]) => {
      const { network, root } = only(read(builtinTopology(`aws-${region}`)));
      const zones = root.children.filter(({ kind }) => kind === "group");

      expect(network).toEqual({ name: "romana-network", cidr: "100.96.0.0/11", blockMask: 29, tenants: [] });
      expect(zones.map(({ name }) => name)).toEqual(
        letters.split("").map((letter) => `failure-domain: ${region}${letter}`),
      );
      expect(root.children).toHaveLength(zones.length + reserve);
      expect(lengths(root.children)).toEqual(new Set([zoneLength]));
      expect(lengths(zones.flatMap(leavesOf))).toEqual(new Set([leafLength]));
      expect(new Set(zones.map(({ children }) => children.length))).toEqual(new Set([groups]));
      expect(zones[0]?.assignment).toEqual({});
      expect(zones[0]?.children[0]).toMatchObject({
        name: `${region}${letters.charAt(0)}-group-01`,
        cidr: `100.96.0.0${leafLength}`,
        assignment: {
          "failure-domain.beta.kubernetes.io/region": region,
          "failure-domain.beta.kubernetes.io/zone": `${region}${letters.charAt(0)}`,
        },
      });
    },
  );

  it("lists what there is, and each of it can be read without a warning", () => {
    expect(builtinNames).toHaveLength(15);
    for (const name of builtinNames) {
      expect(read(builtinTopology(name)).warnings).toEqual([]);
    }
  });

  it.for(["", "aws-", "aws-mars-1", "us-west-2", "kops"])("knows no %j, and says what there is", (name) => {
    expect(() => builtinTopology(name)).toThrow(NetworkError);
    expect(() => builtinTopology(name)).toThrow(
      `no built-in topology "${name}": there are kubeadm, aws-ap-northeast-1`,
    );
  });
});

describe("awsTopology", () => {
  it("carves for every zone that the region has, and keeps room for more", () => {
    const { root } = aws({ region: "eu-north-1" });

    expect(root.children.map(({ name, cidr, kind }) => `${kind} ${name} ${cidr}`)).toEqual([
      "group failure-domain: eu-north-1a 100.96.0.0/13",
      "group failure-domain: eu-north-1b 100.104.0.0/13",
      "group failure-domain: eu-north-1c 100.112.0.0/13",
      "reserve  100.120.0.0/13",
    ]);
    expect(root.children[0]?.children).toHaveLength(8);
  });

  it("takes nodes by either zone label, and none of a zone that it does not name", () => {
    const { root } = aws({ region: "us-west-2", zones: ["a", "b"] });
    const place = (tags: Record<string, string>) => placeHost(root, tags, { load: () => 0 })?.leaf.name;

    expect(
      place({ "topology.kubernetes.io/region": "us-west-2", "topology.kubernetes.io/zone": "us-west-2b" }),
    ).toBe("us-west-2b-group-01");
    expect(
      place({
        "failure-domain.beta.kubernetes.io/region": "us-west-2",
        "failure-domain.beta.kubernetes.io/zone": "us-west-2a",
      }),
    ).toBe("us-west-2a-group-01");
    expect(
      place({ "topology.kubernetes.io/region": "us-west-2", "topology.kubernetes.io/zone": "us-west-2c" }),
    ).toBeUndefined();
  });

  it("takes zones by letter and by name, in any region that looks like one", () => {
    const { network, root } = aws({
      region: "xx-future-3",
      zones: ["a", "xx-future-3b", "xx-future-3-lax-1a"],
      groupsPerZone: 2,
      cidr: "172.31.0.0/16",
      blockMask: 28,
      label: "failure-domain.beta.kubernetes.io",
    });

    expect(network).toMatchObject({ cidr: "172.31.0.0/16", blockMask: 28 });
    expect(show(root)).toEqual([
      "/ 172.31.0.0/16",
      "failure-domain: xx-future-3a 172.31.0.0/18",
      "xx-future-3a-group-01 172.31.0.0/19",
      "xx-future-3a-group-02 172.31.32.0/19",
      "failure-domain: xx-future-3b 172.31.64.0/18",
      "xx-future-3b-group-01 172.31.64.0/19",
      "xx-future-3b-group-02 172.31.96.0/19",
      "failure-domain: xx-future-3-lax-1a 172.31.128.0/18",
      "xx-future-3-lax-1a-group-01 172.31.128.0/19",
      "xx-future-3-lax-1a-group-02 172.31.160.0/19",
      "- 172.31.192.0/18 (reserve)",
    ]);
    expect(root.children[1]?.children[0]?.assignment).toEqual({
      "failure-domain.beta.kubernetes.io/region": "xx-future-3",
      "failure-domain.beta.kubernetes.io/zone": "xx-future-3b",
    });
  });

  it("moves no range when a zone is added within the reserve", () => {
    const before = show(aws({ region: "us-west-2", zones: ["a", "b", "c"] }).root);
    const after = show(aws({ region: "us-west-2", zones: ["a", "b", "c", "d"] }).root);

    expect(after.slice(0, before.length - 1)).toEqual(before.slice(0, -1));
  });

  it("clears the host bits of the range", () => {
    expect(aws({ region: "us-west-2", cidr: "10.7.0.0/8" }).network.cidr).toBe("10.0.0.0/8");
  });

  it("makes groups as small as a block, and no smaller", () => {
    const options = { region: "us-west-2", zones: ["a", "b"], groupsPerZone: 4, cidr: "10.0.0.0/26" };

    expect(lengths(leavesOf(aws(options).root))).toEqual(new Set(["/29"]));
    expect(() => awsTopology({ ...options, groupsPerZone: 5 })).toThrow(
      "2 zones of 5 groups make groups of /30 in 10.0.0.0/26, smaller than a block of /29: " +
        "take a wider range, fewer groups per zone, or smaller blocks",
    );
  });

  it.for([
    [{ region: "" }, "cannot be an AWS region: expected a name such as us-west-2"],
    [{ region: "us-west-2a" }, '"us-west-2a" cannot be an AWS region'],
    [{ region: "xx-future-3" }, 'zones of region "xx-future-3" are not known: name them, such as a,b,c'],
    [{ region: "us-west-2", zones: ["us-east-1a"] }, '"us-east-1a" cannot be a zone of region "us-west-2"'],
    [{ region: "us-west-2", zones: ["us-west-22a"] }, '"us-west-22a" cannot be a zone'],
    [{ region: "us-west-2", zones: ["A"] }, "give its letter (a) or its name (us-west-2a)"],
    [{ region: "us-west-2", zones: [""] }, '"" cannot be a zone'],
    [{ region: "us-west-2", zones: ["a", "us-west-2a"] }, 'zone "us-west-2a" is named twice'],
    [{ region: "us-west-2", groupsPerZone: 0 }, "0 groups per zone are not possible"],
    [{ region: "us-west-2", groupsPerZone: 1.5 }, "1.5 groups per zone are not possible"],
    [{ region: "us-west-2", groupsPerZone: 1e9 }, "at most 100000 groups in all"],
    [
      { region: "us-west-2", blockMask: 33 },
      "a block mask of 33 does not fit 100.96.0.0/11: it must be 11 to 32",
    ],
    [{ region: "us-west-2", blockMask: 10 }, "it must be 11 to 32"],
    [{ region: "us-west-2", blockMask: 28.5 }, "a block mask of 28.5 does not fit"],
    [{ region: "us-west-2", cidr: "10.0.0.0" }, 'not an IPv4 network: "10.0.0.0"'],
  ] as const)("refuses %j", ([options, message]) => {
    expect(() => awsTopology(options)).toThrow(NetworkError);
    expect(() => awsTopology(options)).toThrow(message);
  });
});
