import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { findServiceRanges, type ServiceFacts } from "../../../src/core/cluster/service-range.ts";
import { formatCidr, parseCidr } from "../../../src/core/net/cidr.ts";

function find(over: Partial<ServiceFacts>) {
  return findServiceRanges({ serviceCidrs: [], apiServiceIps: [], flag: undefined, ...over });
}

const object = (name: string, ...cidrs: readonly string[]) => ({ name, cidrs });
const cidrs = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 1, max: 32 }))
  .map(([first, length]) => formatCidr(first, length));

describe("the service range", () => {
  it("is every IPv4 range of every ServiceCIDR object, whatever the flag and the address say", () => {
    const { ranges, warnings } = find({
      serviceCidrs: [object("more", "10.200.0.0/16"), object("kubernetes", "10.96.0.0/16", "fd00::/108")],
      apiServiceIps: ["100.64.0.1"],
      flag: parseCidr("10.96.0.0/16"),
    });

    expect(ranges).toEqual([
      { cidr: "10.96.0.0/16", learned: 'of ServiceCIDR "kubernetes"' },
      { cidr: "10.200.0.0/16", learned: 'of ServiceCIDR "more"' },
    ]);
    expect(warnings).toEqual([]);
  });

  it("does not depend on the order of the objects, and has each range once", () => {
    fc.assert(
      fc.property(fc.array(fc.array(cidrs, { maxLength: 3 }), { minLength: 1, maxLength: 6 }), (lists) => {
        const objects = lists.map((list, index) => object(`s${index}`, ...list));
        const { ranges } = find({ serviceCidrs: objects });

        expect(find({ serviceCidrs: objects.toReversed() }).ranges).toEqual(ranges);
        expect(ranges.map(({ cidr }) => cidr).toSorted()).toEqual([...new Set(lists.flat())].toSorted());
      }),
    );
  });

  it("is the flag's where there are no objects, or none with IPv4", () => {
    const flag = parseCidr("10.32.0.0/16");
    const ranges = [{ cidr: "10.32.0.0/16", learned: "of --service-range" }];

    expect(find({ flag, apiServiceIps: ["10.96.0.1"] }).ranges).toEqual(ranges);
    expect(find({ flag, serviceCidrs: [object("kubernetes", "fd00::/108")] }).ranges).toEqual(ranges);
    expect(find({ flag, serviceCidrs: undefined, apiServiceIps: undefined })).toEqual({
      ranges,
      warnings: [],
    });
  });

  it.for([
    ["100.64.0.1", "100.64.0.0/13", "kops"],
    ["10.96.0.1", "10.96.0.0/12", "kubeadm"],
  ] as const)("follows from the API server's own address %s", ([address, cidr, name]) => {
    const { ranges, warnings } = find({ apiServiceIps: ["fd00::1", address] });

    expect(ranges).toEqual([
      { cidr, learned: `of ${name}, by the address ${address} of default/kubernetes,` },
    ]);
    expect(warnings).toEqual([]);
  });

  it("is unknown, in words that say what to give, when nothing tells it", () => {
    expect(find({ apiServiceIps: ["172.20.0.1"] })).toEqual({
      ranges: [],
      warnings: [
        "the service range is not known, so no network is held against it: the API server has no ServiceCIDR objects, and the address " +
          "172.20.0.1 of default/kubernetes is neither that of kops (100.64.0.1) nor that of kubeadm (10.96.0.1); give --service-range",
      ],
    });
    expect(find({}).warnings).toEqual([expect.stringContaining("default/kubernetes has no IPv4 address")]);
  });

  it("is not called unknown before the API server has told both", () => {
    expect(find({ serviceCidrs: undefined, apiServiceIps: ["172.20.0.1"] }).warnings).toEqual([]);
    expect(find({ apiServiceIps: undefined }).warnings).toEqual([]);
  });

  it("warns of a flag that no object confirms, and goes by the objects", () => {
    const { ranges, warnings } = find({
      serviceCidrs: [object("kubernetes", "10.96.0.0/12")],
      flag: parseCidr("10.96.0.0/16"),
    });

    expect(ranges.map(({ cidr }) => cidr)).toEqual(["10.96.0.0/12"]);
    expect(warnings).toEqual([
      '--service-range is 10.96.0.0/16, and the cluster\'s own objects say 10.96.0.0/12 (of ServiceCIDR "kubernetes"): these count; ' +
        "correct the flag or leave it out",
    ]);
  });

  it("passes over a range that is none, names it, and keeps the others", () => {
    const { ranges, warnings } = find({
      serviceCidrs: [object("kubernetes", "10.96.0.0/33", "10.96.0.0/12")],
    });

    expect(ranges.map(({ cidr }) => cidr)).toEqual(["10.96.0.0/12"]);
    expect(warnings).toEqual([
      'ServiceCIDR "kubernetes" holds "10.96.0.0/33", which is no network: it is passed over',
    ]);
  });
});
