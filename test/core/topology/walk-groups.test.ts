import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parseCidr, rangeOf } from "../../../src/core/net/cidr.ts";
import { ipv4Value, parseIpv4 } from "../../../src/core/net/ipv4.ts";
import {
  groupAt,
  groupsOf,
  leafContaining,
  leafPlacesOf,
  leavesOf,
  parentsOf,
  pathOfLeaf,
} from "../../../src/core/topology/walk-groups.ts";
import { carved, spec, specs } from "./support.ts";

const root = carved("10.0.0.0/8", spec("a", spec("b"), spec("c"), spec("d")), spec("e"));
const address = (text: string) => ipv4Value(parseIpv4(text));

describe("a walk over a tree", () => {
  it("visits a parent before its children, reserve included", () => {
    expect(groupsOf(root).map(({ name }) => name)).toEqual(["/", "a", "b", "c", "d", "", "e"]);
    expect(leavesOf(root).map(({ name }) => name)).toEqual(["b", "c", "d", "", "e"]);
  });

  it("takes a tree of one group for its own leaf", () => {
    const single = carved("10.0.0.0/8", spec("all"));

    expect(leavesOf(single)).toEqual([single]);
    expect(leafPlacesOf(single)).toEqual([{ leaf: single, path: [] }]);
    expect(groupAt(single, [])).toBe(single);
    expect(parentsOf(single, [])).toEqual([]);
  });

  it("follows a path, and stops where there is none", () => {
    expect(groupAt(root, [0, 2])?.name).toBe("d");
    expect(groupAt(root, [0, 4])).toBeUndefined();
    expect(groupAt(root, [1, 0, 0])).toBeUndefined();
    expect(parentsOf(root, [0, 2]).map(({ name }) => name)).toEqual(["/", "a"]);
    expect(parentsOf(root, [7, 0, 0]).map(({ name }) => name)).toEqual(["/"]);
  });

  it("finds the leaf of an address, and none outside the network", () => {
    expect(leafContaining(root, address("10.0.0.0"))?.name).toBe("b");
    expect(leafContaining(root, address("10.255.255.255"))?.name).toBe("e");
    expect(leafContaining(root, address("11.0.0.0"))).toBeUndefined();
    expect(leafContaining(root, address("9.255.255.255"))).toBeUndefined();
  });

  it("finds a leaf by its range, but no parent and no part of a leaf", () => {
    expect(pathOfLeaf(root, parseCidr("10.32.0.0/11"))).toEqual([0, 1]);
    expect(pathOfLeaf(root, parseCidr("10.0.0.0/9"))).toBeUndefined();
    expect(pathOfLeaf(root, parseCidr("10.32.0.0/12"))).toBeUndefined();
    expect(pathOfLeaf(root, parseCidr("11.0.0.0/9"))).toBeUndefined();
  });

  it("agrees with itself on every leaf of any tree", () => {
    fc.assert(
      fc.property(specs, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (map, part) => {
        const tree = carved("10.0.0.0/8", ...map);
        const places = leafPlacesOf(tree);

        expect(places.map(({ leaf }) => leaf)).toEqual(leavesOf(tree));
        for (const { leaf, path } of places) {
          const { first, size } = rangeOf(leaf.cidr);
          expect(groupAt(tree, path)).toBe(leaf);
          expect(pathOfLeaf(tree, leaf.cidr)).toEqual(path);
          expect(leafContaining(tree, first + Math.floor(part * size))).toBe(leaf);
          expect(parentsOf(tree, path)).toHaveLength(path.length);
        }
      }),
    );
  });
});
