import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { rangeOf } from "../../../src/core/net/cidr.ts";
import { siblingBits } from "../../../src/core/topology/carve-groups.ts";
import type { Group } from "../../../src/core/topology/topology.ts";
import { groupsOf } from "../../../src/core/topology/walk-groups.ts";
import { carved, show, spec, specs } from "./support.ts";

describe("siblingBits", () => {
  it.for([
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [8, 3],
    [9, 4],
    [65_536, 16],
    [65_537, 17],
  ] as const)("takes for %i siblings %i bits", ([count, bits]) => {
    expect(siblingBits(count)).toBe(bits);
  });
});

describe("carveGroups", () => {
  it("rounds three groups up to four and keeps the fourth range in reserve", () => {
    expect(show(carved("10.111.0.0/16", spec("a"), spec("b"), spec("c")))).toEqual([
      "/ 10.111.0.0/16",
      "a 10.111.0.0/18",
      "b 10.111.64.0/18",
      "c 10.111.128.0/18",
      "- 10.111.192.0/18 (reserve)",
    ]);
  });

  it("rounds five groups up to eight", () => {
    const root = carved("10.111.0.0/16", ...["a", "b", "c", "d", "e"].map((name) => spec(name)));

    expect(root.children.map(({ kind, cidr }) => `${kind} ${cidr}`)).toEqual([
      "group 10.111.0.0/19",
      "group 10.111.32.0/19",
      "group 10.111.64.0/19",
      "group 10.111.96.0/19",
      "group 10.111.128.0/19",
      "reserve 10.111.160.0/19",
      "reserve 10.111.192.0/19",
      "reserve 10.111.224.0/19",
    ]);
  });

  it("carves each level by itself", () => {
    const racks = (count: number) => Array.from({ length: count }, (_, index) => spec(`r${index + 1}`));

    expect(show(carved("10.111.0.0/16", spec("A", ...racks(4)), spec("B", ...racks(2))))).toEqual([
      "/ 10.111.0.0/16",
      "A 10.111.0.0/17",
      "r1 10.111.0.0/19",
      "r2 10.111.32.0/19",
      "r3 10.111.64.0/19",
      "r4 10.111.96.0/19",
      "B 10.111.128.0/17",
      "r1 10.111.128.0/18",
      "r2 10.111.192.0/18",
    ]);
  });

  it("makes the only group of a map the root, with all that it says", () => {
    const only = { name: "all", assignment: { zone: "a" }, routing: "x", dummy: false, children: [] };

    expect(carved("10.0.0.0/8", only)).toEqual({
      ...only,
      dummy: undefined,
      network: "net",
      cidr: "10.0.0.0/8",
      kind: "group",
    });
  });

  it("lets a single nested group inherit the range of its parent", () => {
    expect(show(carved("10.0.0.0/8", spec("a", spec("b", spec("c")))))).toEqual([
      "a 10.0.0.0/8",
      "b 10.0.0.0/8",
      "c 10.0.0.0/8",
    ]);
  });

  it("keeps the whole range of an empty map in reserve", () => {
    expect(show(carved("10.0.0.0/8"))).toEqual(["/ 10.0.0.0/8 (reserve)"]);
  });

  it("makes every group inside a dummy group a dummy, and no other", () => {
    const dummy = { ...spec("x", spec("y"), spec("z")), dummy: true };

    expect(show(carved("10.0.0.0/8", spec("a", spec("b"), dummy), spec("c")))).toEqual([
      "/ 10.0.0.0/8",
      "a 10.0.0.0/9",
      "b 10.0.0.0/10",
      "x 10.64.0.0/10 (dummy)",
      "y 10.64.0.0/11 (dummy)",
      "z 10.96.0.0/11 (dummy)",
      "c 10.128.0.0/9",
    ]);
  });

  it("carves the whole address space, and down to single addresses", () => {
    expect(show(carved("0.0.0.0/0", spec("a"), spec("b")))).toEqual([
      "/ 0.0.0.0/0",
      "a 0.0.0.0/1",
      "b 128.0.0.0/1",
    ]);
    expect(show(carved("255.255.255.254/31", spec("a"), spec("b"))).slice(1)).toEqual([
      "a 255.255.255.254/32",
      "b 255.255.255.255/32",
    ]);
  });

  it("refuses groups smaller than an address", () => {
    const refused = () => carved("10.0.0.0/31", spec("a"), spec("b"), spec("c"));

    expect(refused).toThrow(NetworkError);
    expect(refused).toThrow(
      '3 groups do not fit into 10.0.0.0/31 of network "net": each would be a /33; use fewer groups or a wider network',
    );
  });

  it("tiles each parent with its children in order, whatever the tree", () => {
    fc.assert(
      fc.property(specs, (map) => {
        for (const { cidr, children } of parentsIn(carved("10.0.0.0/8", ...map))) {
          const { first, size } = rangeOf(cidr);
          let next = first;
          for (const child of children) {
            expect(rangeOf(child.cidr).first).toBe(next);
            next += rangeOf(child.cidr).size;
          }
          expect(next).toBe(first + size);
        }
      }),
    );
  });

  it("keeps the order, the names and the labels of the document, with all reserve behind", () => {
    fc.assert(
      fc.property(specs, (map) => {
        const root = carved("10.0.0.0/8", ...map);
        const children = map.length === 1 ? [root] : root.children;

        expect(
          children
            .slice(0, map.length)
            .map(({ name, assignment, routing }) => ({ name, assignment, routing })),
        ).toEqual(map.map(({ name, assignment, routing }) => ({ name, assignment, routing })));
        expect(children.slice(map.length).every(({ kind }) => kind === "reserve")).toBe(true);
      }),
    );
  });

  it("gives the same tree for the same document", () => {
    fc.assert(
      fc.property(specs, (map) => {
        expect(carved("10.0.0.0/8", ...map)).toEqual(carved("10.0.0.0/8", ...structuredClone(map)));
      }),
    );
  });

  it("moves no range when a reserve becomes a group", () => {
    const before = show(carved("10.0.0.0/8", spec("a"), spec("b"), spec("c")));
    const after = show(carved("10.0.0.0/8", spec("a"), spec("b"), spec("c"), spec("d")));

    expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
    expect([before.at(-1), after.at(-1)]).toEqual(["- 10.192.0.0/10 (reserve)", "d 10.192.0.0/10"]);
  });
});

function parentsIn(root: Group): readonly Group[] {
  return groupsOf(root).filter(({ children }) => children.length > 0);
}
