import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import {
  chooseTopology,
  overrideCidrs,
  regionTopology,
  type TopologyWish,
} from "../../../src/core/topology/initial-topology.ts";
import type { TopologyDocument } from "../../../src/core/topology/topology-document.ts";
import { leavesOf } from "../../../src/core/topology/walk-groups.ts";
import { Cluster } from "../ipam/support.ts";
import { only, read, show } from "./support.ts";

const wish = (over: Partial<TopologyWish>): TopologyWish => ({
  given: false,
  inCluster: true,
  cloud: "none",
  serviceIp: undefined,
  ...over,
});

describe("the topology to start with", () => {
  it("is the one that is given, whatever else is known", () => {
    for (const over of [{ cloud: "aws" }, { serviceIp: "10.96.0.1" }, { inCluster: false }] as const) {
      expect(chooseTopology(wish({ ...over, given: true }))).toEqual({ kind: "given" });
    }
  });

  it("is none outside of a cluster", () => {
    expect(chooseTopology(wish({ inCluster: false, cloud: "aws", serviceIp: "10.96.0.1" }))).toEqual({
      kind: "none",
    });
  });

  it("is the region's with --cloud=aws, before the service address counts", () => {
    expect(chooseTopology(wish({ cloud: "aws", serviceIp: "10.96.0.1" }))).toMatchObject({ kind: "aws" });
    expect(chooseTopology(wish({ cloud: "aws" }))).toMatchObject({ kind: "aws" });
  });

  it("is kubeadm's where the API server has kubeadm's address", () => {
    expect(chooseTopology(wish({ serviceIp: "10.96.0.1" }))).toMatchObject({ kind: "kubeadm" });
  });

  it.for([
    ["100.64.0.1", "that of kops on AWS"],
    ["172.20.0.1", "neither that of kops (100.64.0.1) nor that of kubeadm (10.96.0.1)"],
    [undefined, "is not known"],
  ] as const)("is an error in words, with the way out, for the address %s", ([serviceIp, words]) => {
    const choose = () => chooseTopology(wish({ serviceIp }));

    expect(choose).toThrow(expect.objectContaining({ kind: "invalid", code: "TOPOLOGY_UNDECIDED" }) as Error);
    expect(choose).toThrow(words);
    expect(choose).toThrow("give --");
  });
});

const ZONE = "topology.kubernetes.io/zone";
const zonesOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `us-west-2${String.fromCharCode(97 + index)}`);

describe("the topology of a region", () => {
  it("has every zone with eight leaves, whose ranges are the original's where it has as many zones", () => {
    const { root } = only(read(regionTopology("us-west-2", ["us-west-2c", "us-west-2a", "us-west-2b"])));

    expect(show(root).filter((line) => !line.includes("group"))).toEqual([
      "/ 100.96.0.0/11",
      "failure-domain: us-west-2a 100.96.0.0/13",
      "failure-domain: us-west-2b 100.104.0.0/13",
      "failure-domain: us-west-2c 100.112.0.0/13",
      "- 100.120.0.0/13 (reserve)",
    ]);
    expect(leavesOf(root).filter(({ kind }) => kind === "group")).toHaveLength(24);
    expect(show(root)).toContain("us-west-2c-group-08 100.119.0.0/16");
  });

  it("is open to nodes with either form of the labels", () => {
    const cluster = new Cluster(regionTopology("us-west-2", zonesOf(2)));
    cluster.addHost("h1", { [ZONE]: "us-west-2b", "topology.kubernetes.io/region": "us-west-2" });
    cluster.addHost("h2", {
      "failure-domain.beta.kubernetes.io/zone": "us-west-2b",
      "failure-domain.beta.kubernetes.io/region": "us-west-2",
    });

    expect(cluster.hosts()).toEqual(["h1 100.104.0.0/16", "h2 100.105.0.0/16"]);
  });

  it("takes a zone that comes later, whatever their number, and nothing moves", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }), (count, hosts) => {
        const before = regionTopology("us-west-2", zonesOf(count));
        const cluster = new Cluster(before);
        for (let index = 0; index < hosts; index += 1) {
          const zone = zonesOf(count)[index % count] ?? "";
          cluster.addHost(`h${index}`, {
            [ZONE]: zone,
            "topology.kubernetes.io/region": "us-west-2",
            "romana.io/subnet-id": `subnet-${index % 3}-${zone}`,
          });
          cluster.allocate(`p${index}`, `h${index}`);
        }
        const placed = cluster.hosts();
        const blocks = cluster.blocks();

        cluster.update(withZone(before, zonesOf(count + 1).at(-1) ?? ""));
        cluster.addHost("h99", {
          [ZONE]: zonesOf(count + 1).at(-1) ?? "",
          "topology.kubernetes.io/region": "us-west-2",
        });

        expect(cluster.hosts().slice(0, hosts)).toEqual(placed);
        expect(cluster.blocks()).toEqual(blocks);
        expect(cluster.groupsOf("h99")).toHaveLength(1);
      }),
      { numRuns: 20 },
    );
  });
});

/** The document with one zone more: in the place that is held for it, or at the end. */
function withZone(document: TopologyDocument, zone: string): TopologyDocument {
  const [entry] = document.topologies ?? [];
  const map = [...(entry?.map ?? [])];
  const held = map.findIndex(({ dummy }) => dummy === true);
  const [added] = regionTopology("us-west-2", [zone]).topologies?.[0]?.map ?? [];
  map.splice(held < 0 ? map.length : held, held < 0 ? 0 : 1, added ?? {});
  return { ...document, topologies: [{ networks: ["romana-network"], map }] };
}

describe("another CIDR for a network", () => {
  const document = {
    networks: [{ name: "a", cidr: "10.0.0.0/16", block_mask: 28 }, { name: "b" }],
    topologies: [],
  };

  it("replaces that of the network and nothing else", () => {
    expect(overrideCidrs(document, [{ network: "a", cidr: parseCidr("100.96.0.0/11") }])).toEqual({
      document: {
        ...document,
        networks: [{ name: "a", cidr: "100.96.0.0/11", block_mask: 28 }, { name: "b" }],
      },
      unknown: [],
    });
  });

  it("has no effect under a name that the document lacks, and says so", () => {
    expect(
      overrideCidrs(document, [
        { network: "c", cidr: parseCidr("100.96.0.0/11") },
        { network: "b", cidr: parseCidr("10.9.0.0/16") },
      ]),
    ).toMatchObject({
      document: { networks: [{ cidr: "10.0.0.0/16" }, { name: "b", cidr: "10.9.0.0/16" }] },
      unknown: ["c"],
    });
  });

  it("leaves what is no document as it is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { document: after } = overrideCidrs(value, [{ network: " ", cidr: parseCidr("10.0.0.0/8") }]);

        expect(after).toBe(value);
      }),
    );
  });
});
