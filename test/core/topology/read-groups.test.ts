import { describe, expect, it } from "vitest";

import { groupAt } from "../../../src/core/topology/walk-groups.ts";
import { mapOf, only, problemsOf, read, show, warningsOf } from "./support.ts";

describe("groups", () => {
  it("keep their names, labels, routing and flag at every level", () => {
    const inner = { name: "inner", assignment: { rack: "1" }, routing: "block-on-host", dummy: true };
    const { root } = only(read(mapOf({ name: "outer", assignment: { zone: "a" }, groups: [inner, {}] }, {})));

    expect(groupAt(root, [0])).toMatchObject({
      name: "outer",
      assignment: { zone: "a" },
      routing: "",
      kind: "group",
    });
    expect(groupAt(root, [0, 0])).toMatchObject({
      name: "inner",
      assignment: { rack: "1" },
      routing: "block-on-host",
      kind: "dummy",
    });
    expect(groupAt(root, [0, 1])).toMatchObject({ name: "", assignment: {}, kind: "group" });
  });

  it("read null as not given, wherever it stands", () => {
    const group = {
      name: null,
      groups: null,
      hosts: null,
      assignment: null,
      routing: null,
      dummy: null,
      ip: null,
      cidr: null,
    };

    expect(read(mapOf(group))).toEqual(read(mapOf({})));
    expect(warningsOf(mapOf(group))).toEqual([]);
  });

  it("report every wrong type with its place", () => {
    const wrong = { name: 1, groups: {}, hosts: "x", assignment: [], routing: true, dummy: "yes", cidr: 5 };

    expect(
      problemsOf(mapOf({ groups: [wrong, null, "g"] }, { assignment: { rack: 1, "my zone": null } })),
    ).toEqual([
      "topologies[0].map[0].groups[0].name: expected a text, found the number 1",
      "topologies[0].map[0].groups[0].assignment: expected an object of texts, found a list",
      "topologies[0].map[0].groups[0].routing: expected a text, found true",
      'topologies[0].map[0].groups[0].dummy: expected true or false, found the text "yes"',
      "topologies[0].map[0].groups[0].cidr: expected a text, found the number 5",
      "topologies[0].map[0].groups[0].groups: expected a list, found an object",
      'topologies[0].map[0].groups[0].hosts: expected a list, found the text "x"',
      "topologies[0].map[0].groups[1]: expected an object, found null",
      'topologies[0].map[0].groups[2]: expected an object, found the text "g"',
      "topologies[0].map[1].assignment.rack: expected a text, found the number 1",
      'topologies[0].map[1].assignment["my zone"]: expected a text, found null',
    ]);
  });

  it("keep a label that is called like a property of every object", () => {
    const group = JSON.parse('{"assignment": {"__proto__": "x"}}');

    expect(Object.entries(only(read(mapOf(group))).root.assignment)).toEqual([["__proto__", "x"]]);
  });

  it("are refused when a block would not fit into them, naming group, length and mask", () => {
    const document = {
      networks: [
        { name: "a", cidr: "10.0.0.0/24", block_mask: 26 },
        { name: "b", cidr: "10.1.0.0/24", block_mask: 27 },
      ],
      topologies: [
        { networks: ["a", "b"], map: Array.from({ length: 8 }, (_, index) => ({ name: `g${index}` })) },
      ],
    };

    expect(problemsOf(document)).toEqual([
      'topologies[0].map[0]: group "g0" of network "a" 10.0.0.0/24 would be a /27 (so would 7 more), longer than its ' +
        "block_mask 26, and a block must fit into its group: use fewer groups, a wider network, or a block_mask of 27 " +
        "(networks[0].block_mask)",
    ]);
  });

  it("are refused when there is no such length, and the default mask counts too", () => {
    const groups = (count: number) => Array.from({ length: count }, () => ({}));
    const document = {
      networks: [
        { name: "a", cidr: "10.0.0.0/28" },
        { name: "b", cidr: "10.1.0.0/31" },
      ],
      topologies: [
        { networks: ["a"], map: [{ groups: groups(3) }, {}] },
        { networks: ["b"], map: groups(3) },
      ],
    };

    expect(problemsOf(document)).toEqual([
      'topologies[0].map[0].groups[0]: the group of network "a" 10.0.0.0/28 would be a /31 (so would 2 more), longer than ' +
        "its block_mask 29, and a block must fit into its group: use fewer groups, a wider network, or a block_mask of 31 " +
        "(networks[0].block_mask)",
      'topologies[1].map[0]: the group of network "b" 10.1.0.0/31 would be a /33 (so would 2 more), but /32 is the smallest ' +
        "there is: use fewer groups or a wider network",
    ]);
  });

  it("may be exactly as long as a block, down to one address", () => {
    const document = {
      networks: [{ name: "a", cidr: "10.0.0.0/30", block_mask: 32 }],
      topologies: [{ networks: ["a"], map: [{}, {}, {}, {}] }],
    };

    expect(show(only(read(document)).root).at(-1)).toBe("- 10.0.0.3/32");
  });

  it("may be nested twenty levels deep, and no deeper", () => {
    const nested = (levels: number): unknown =>
      levels === 1 ? { name: "leaf" } : { groups: [nested(levels - 1)] };

    expect(problemsOf(mapOf(nested(20)))).toEqual([]);
    expect(problemsOf(mapOf(nested(21)))).toEqual([
      `topologies[0].map[0]${".groups[0]".repeat(19)}.groups: groups may be nested 20 levels deep, this is one more`,
    ]);
  });

  it("and hosts may be 100,000 in all, and no more", () => {
    const hosts = Array.from({ length: 99_999 }, (_, index) => ({ name: `h${index}`, ip: "198.18.0.1" }));

    expect(read(mapOf({ hosts })).hosts).toHaveLength(99_999);
    expect(problemsOf(mapOf({ hosts: [...hosts, ...hosts] }, {}, {}))).toEqual([
      "topologies[0].map[0].hosts[99999]: a document may hold 100000 groups and hosts, this is one more: split the cluster",
    ]);
  });

  it("may be 100,000 over all networks together", () => {
    const names = Array.from({ length: 101 }, (_, index) => `n${index}`);
    const document = {
      networks: names.map((name, index) => ({ name, cidr: `10.${index}.0.0/16` })),
      topologies: [{ networks: names, map: Array.from({ length: 1000 }, () => ({})) }],
    };

    expect(problemsOf(document)).toEqual([
      "topologies: all networks together would have 101000 groups, 100000 are possible: use fewer groups or networks",
    ]);
  });

  it("ignore a cidr that they state, with a warning when it is not the one they get", () => {
    const document = {
      networks: [
        { name: "a", cidr: "10.0.0.0/8" },
        { name: "b", cidr: "11.0.0.0/8" },
      ],
      topologies: [
        {
          networks: ["a", "b"],
          map: [
            { cidr: "10.0.0.0/9" },
            { cidr: "11.128.0.0/9", groups: [{ cidr: "11.0.0.0/9" }, { cidr: "x" }] },
          ],
        },
      ],
    };

    expect(warningsOf(document)).toEqual([
      'topologies[0].map[1].groups[0].cidr: "11.0.0.0/9" is ignored: ranges follow from the order of the groups, ' +
        "this one has 10.128.0.0/10, 11.128.0.0/10",
      'topologies[0].map[1].groups[1].cidr: "x" is ignored: ranges follow from the order of the groups, ' +
        "this one has 10.192.0.0/10, 11.192.0.0/10",
    ]);
  });
});

describe("unknown keys", () => {
  it("are ignored with a warning, which guesses what was meant", () => {
    const document = {
      networks: [{ name: "a", cidr: "10.0.0.0/8", "block mask": 28, Tenants: ["x"], mtu: 9000 }],
      topologies: [
        {
          networks: ["a"],
          map: [{ asignment: { zone: "a" }, group: [], hostss: [], nome: "x", labels: {} }],
          comment: "",
        },
      ],
      version: 2,
    };

    expect(only(read(document)).network.blockMask).toBe(29);
    expect(warningsOf(document)).toEqual([
      'version: unknown key "version" is ignored',
      'networks[0]["block mask"]: unknown key "block mask" is ignored; did you mean "block_mask"?',
      'networks[0].Tenants: unknown key "Tenants" is ignored; did you mean "tenants"?',
      'networks[0].mtu: unknown key "mtu" is ignored',
      'topologies[0].comment: unknown key "comment" is ignored',
      'topologies[0].map[0].asignment: unknown key "asignment" is ignored; did you mean "assignment"?',
      'topologies[0].map[0].group: unknown key "group" is ignored; did you mean "groups"?',
      'topologies[0].map[0].hostss: unknown key "hostss" is ignored; did you mean "hosts"?',
      'topologies[0].map[0].nome: unknown key "nome" is ignored; did you mean "name"?',
      'topologies[0].map[0].labels: unknown key "labels" is ignored',
    ]);
  });
});
