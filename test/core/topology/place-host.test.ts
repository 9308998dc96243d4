import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { explainPlacement, matchesAssignment, placeHost } from "../../../src/core/topology/place-host.ts";
import type { Group } from "../../../src/core/topology/topology.ts";
import { groupAt, leafPlacesOf, parentsOf } from "../../../src/core/topology/walk-groups.ts";
import { carved, spec, specs } from "./support.ts";

const ZONE = "topology.kubernetes.io/zone";
const BETA_ZONE = "failure-domain.beta.kubernetes.io/zone";
const REGION = "topology.kubernetes.io/region";
const BETA_REGION = "failure-domain.beta.kubernetes.io/region";

const empty = { load: () => 0 };

/** Places one host after the other and names the leaves they land in. */
function fill(root: Group, hosts: readonly Readonly<Record<string, string>>[]): readonly string[] {
  const loads = new Map<Group, number>();
  return hosts.map((tags) => {
    const leaf = placeHost(root, tags, { load: (group) => loads.get(group) ?? 0 })?.leaf;
    if (leaf === undefined) {
      return "unplaced";
    }
    loads.set(leaf, (loads.get(leaf) ?? 0) + 1);
    return leaf.name;
  });
}

describe("placeHost", () => {
  it("deals hosts out in document order and never into the reserve", () => {
    const root = carved("10.0.0.0/8", spec("a"), spec("b"), spec("c"));

    expect(fill(root, [{}, {}, {}, {}, {}])).toEqual(["a", "b", "c", "a", "b"]);
  });

  it("lets nested leaves compete one by one, not as their parent", () => {
    const root = carved("10.0.0.0/8", spec("a", spec("a1"), spec("a2"), spec("a3")), spec("b"));

    expect(fill(root, [{}, {}, {}, {}, {}])).toEqual(["a1", "a2", "a3", "b", "a1"]);
  });

  it("asks for the labels of the leaf and of everything above it", () => {
    const rack = (name: string) => ({ ...spec(name), assignment: { rack: name } });
    const zone = (name: string) => ({ ...spec(name, rack("1"), rack("2")), assignment: { zone: name } });
    const root = carved("10.0.0.0/8", zone("east"), zone("west"));

    expect(placeHost(root, { zone: "west", rack: "2", more: "x" }, empty)?.path).toEqual([1, 1]);
    expect(placeHost(root, { rack: "2" }, empty)).toBeUndefined();
    expect(placeHost(root, { zone: "west" }, empty)).toBeUndefined();
  });

  it("asks for the labels of a root that is the map's only group", () => {
    const root = carved("10.0.0.0/8", { ...spec("all"), assignment: { zone: "a" } });

    expect(placeHost(root, { zone: "a" }, empty)).toEqual({ leaf: root, path: [] });
    expect(placeHost(root, {}, empty)).toBeUndefined();
  });

  it("keeps hosts out of dummy groups and of all that is in them", () => {
    const root = carved(
      "10.0.0.0/8",
      { ...spec("x", spec("y")), dummy: true },
      { ...spec("z"), dummy: true },
    );

    expect(placeHost(root, {}, empty)).toBeUndefined();
  });

  it("takes no host into an empty map", () => {
    expect(placeHost(carved("10.0.0.0/8"), {}, empty)).toBeUndefined();
  });

  it("passes over a leaf that is not eligible, however empty", () => {
    const root = carved("10.0.0.0/8", spec("a"), spec("b"));

    const place = placeHost(
      root,
      {},
      { load: ({ name }) => (name === "a" ? 0 : 9), eligible: ({ name }) => name === "b" },
    );

    expect(place?.leaf.name).toBe("b");
    expect(placeHost(root, {}, { load: () => 0, eligible: () => false })).toBeUndefined();
  });

  it("chooses the first of the least loaded leaves among those that match, whatever the tree", () => {
    const tags = fc.dictionary(fc.constantFrom("zone", "rack"), fc.constantFrom("1", "2"), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(specs, tags, fc.infiniteStream(fc.nat(3)), (map, labels, stream) => {
        const root = carved("10.0.0.0/8", ...map);
        const loads = new Map(leafPlacesOf(root).map(({ leaf }) => [leaf, stream.next().value ?? 0]));
        const open = leafPlacesOf(root).filter(({ leaf, path }) =>
          [...parentsOf(root, path), leaf].every(
            ({ kind, assignment }) =>
              kind === "group" &&
              Object.entries(assignment).every(
                ([key, value]) => new Map(Object.entries(labels)).get(key) === value,
              ),
          ),
        );
        const fewest = Math.min(...open.map(({ leaf }) => loads.get(leaf) ?? 0));

        const place = placeHost(root, labels, { load: (leaf) => loads.get(leaf) ?? 0 });

        expect(place).toEqual(open.find(({ leaf }) => loads.get(leaf) === fewest));
        expect(place === undefined ? undefined : groupAt(root, place.path)).toBe(place?.leaf);
      }),
    );
  });
});

describe("matchesAssignment", () => {
  it("takes any host where nothing is asked for", () => {
    expect(matchesAssignment({}, {})).toBe(true);
    expect(matchesAssignment({ a: "1" }, {})).toBe(true);
  });

  it("wants each label with its exact value", () => {
    expect(matchesAssignment({ a: "1", b: "2", c: "3" }, { a: "1", b: "2" })).toBe(true);
    expect(matchesAssignment({ a: "1", b: "3" }, { a: "1", b: "2" })).toBe(false);
    expect(matchesAssignment({ a: "1" }, { a: "1", b: "" })).toBe(false);
  });

  it("takes no property of every object for a label", () => {
    expect(matchesAssignment({}, JSON.parse('{"__proto__": "[object Object]"}'))).toBe(false);
    expect(matchesAssignment({}, { constructor: "x" })).toBe(false);
  });

  it.for([
    [ZONE, BETA_ZONE],
    [BETA_ZONE, ZONE],
    [REGION, BETA_REGION],
    [BETA_REGION, REGION],
  ] as const)("takes %s for %s", ([has, wants]) => {
    expect(matchesAssignment({ [has]: "x" }, { [wants]: "x" })).toBe(true);
    expect(matchesAssignment({ [has]: "y" }, { [wants]: "x" })).toBe(false);
  });

  it("goes by the label that the document names when a host has both", () => {
    expect(matchesAssignment({ [ZONE]: "new", [BETA_ZONE]: "old" }, { [ZONE]: "new" })).toBe(true);
    expect(matchesAssignment({ [ZONE]: "new", [BETA_ZONE]: "old" }, { [BETA_ZONE]: "new" })).toBe(false);
  });

  it("does not take a zone for a region", () => {
    expect(matchesAssignment({ [ZONE]: "x" }, { [REGION]: "x" })).toBe(false);
  });
});

describe("explainPlacement", () => {
  const zones = carved(
    "10.0.0.0/8",
    ...["a", "b"].map((zone) => ({ ...spec(zone, spec("1"), spec("2")), assignment: { [ZONE]: zone } })),
  );

  it("names the label that differs and what the groups want", () => {
    expect(explainPlacement(zones, { [BETA_ZONE]: "c" })).toBe(
      `no group of network "net" takes the host: label ${ZONE} is "c", groups want "a", "b"`,
    );
  });

  it("names a label that is missing", () => {
    expect(explainPlacement(zones, {})).toContain(`label ${ZONE} is missing, groups want "a", "b"`);
  });

  it("says that groups match but are closed", () => {
    expect(explainPlacement(zones, { [ZONE]: "a" }, () => false)).toBe(
      `no group of network "net" takes the host: label ${ZONE} is "a", groups want "b"; ` +
        "2 groups match its labels but are closed to it (bound to another subnet)",
    );
    expect(explainPlacement(carved("10.0.0.0/8", spec("all")), {}, () => false)).toContain(
      "1 group matches its labels but is closed to it",
    );
  });

  it("says so when no group takes hosts at all", () => {
    const root = carved("10.0.0.0/8", { ...spec("a"), dummy: true });

    expect(explainPlacement(root, {})).toBe(
      'no group of network "net" takes the host: it has no group that takes hosts',
    );
  });

  it("says how many groups would take the host when some do", () => {
    expect(explainPlacement(zones, { [ZONE]: "a" })).toBe('2 groups of network "net" would take the host');
  });

  it("does not list hundreds of values", () => {
    const racks = Array.from({ length: 300 }, (_, index) => ({
      ...spec("r"),
      assignment: { rack: `r${index}` },
    }));

    expect(explainPlacement(carved("10.0.0.0/8", ...racks), {})).toContain('"r7", … (300)');
  });
});
