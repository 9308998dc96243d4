import { describe, expect, it } from "vitest";

import { parseCidr } from "../../../src/core/net/cidr.ts";
import { readTopology } from "../../../src/core/topology/read-topology.ts";
import { only, problemsOf, read, show, warningsOf } from "./support.ts";

/** A document of these networks, all in one topology with a single group. */
function networksOf(...networks: readonly Readonly<Record<string, unknown>>[]): unknown {
  return { networks, topologies: [{ networks: networks.map(({ name }) => name), map: [{ name: "all" }] }] };
}

describe("networks", () => {
  it("get block mask 29, or their own length when that is longer", () => {
    const { networks } = read(
      networksOf(
        { name: "a", cidr: "10.0.0.0/8" },
        { name: "b", cidr: "11.0.0.0/30", block_mask: 0 },
        { name: "c", cidr: "12.0.0.0/8", block_mask: null },
        { name: "d", cidr: "13.0.0.0/28", block_mask: 28 },
        { name: "e", cidr: "14.0.0.1/32", block_mask: 32 },
      ),
    );

    expect(networks.map(({ network: { name, blockMask } }) => `${name} ${blockMask}`)).toEqual([
      "a 29",
      "b 30",
      "c 29",
      "d 28",
      "e 32",
    ]);
  });

  it.for([["."], [".."], ["of 1,025 characters", "n".repeat(1025)]] as const)(
    "refuse the name %s, under which no path leads to them",
    ([what, name = what]) => {
      const [problem, ...others] = problemsOf(networksOf({ name, cidr: "10.0.0.0/8" }));

      expect(problem).toContain("networks[0].name: ");
      expect(problem).toContain("cannot stand in a path");
      expect(others).toEqual([]);
    },
  );

  it("may have any other name", () => {
    const names = ["...", "a/b", "a%2Fb", "a b", "ü", "n".repeat(1024)];
    const { networks } = read(
      networksOf(...names.map((name, index) => ({ name, cidr: `${index + 10}.0.0.0/8` }))),
    );

    expect(networks.map(({ network }) => network.name)).toEqual(names);
  });

  it.for([
    [7, "a block_mask of 7 is not possible: it must be 8 (the length of 10.0.0.0/8) to 32"],
    [33, "a block_mask of 33 is not possible: it must be 8 (the length of 10.0.0.0/8) to 32"],
    [-1, "a block_mask of -1 is not possible: it must be 8 (the length of 10.0.0.0/8) to 32"],
    [28.5, "expected a whole number, found the number 28.5"],
    ["29", 'expected a whole number, found the text "29"'],
    [true, "expected a whole number, found true"],
  ] as const)("refuse block mask %j", ([mask, problem]) => {
    expect(problemsOf(networksOf({ name: "a", cidr: "10.0.0.0/8", block_mask: mask }))).toEqual([
      `networks[0].block_mask: ${problem}`,
    ]);
  });

  it("have their host bits cleared, with a warning", () => {
    const document = networksOf({ name: "a", cidr: "10.0.0.5/24" });

    expect(only(read(document)).network.cidr).toBe("10.0.0.0/24");
    expect(warningsOf(document)).toEqual([
      'networks[0].cidr: the host bits of "10.0.0.5/24" are cleared: the network is 10.0.0.0/24',
    ]);
  });

  it.for([
    ["10.0.0.0", '"10.0.0.0" is not an IPv4 network: write it as a.b.c.d/length'],
    ["10.0.0.0/33", '"10.0.0.0/33" is not an IPv4 network: write it as a.b.c.d/length'],
    ["fd00::/8", '"fd00::/8" is an IPv6 network: only IPv4 is supported'],
    ["", "a network needs its cidr: the range that pod addresses are taken from"],
    [null, "a network needs its cidr: the range that pod addresses are taken from"],
    [10, "expected a text, found the number 10"],
  ] as const)("refuse cidr %j", ([cidr, problem]) => {
    expect(problemsOf(networksOf({ name: "a", cidr }))).toEqual([`networks[0].cidr: ${problem}`]);
  });

  it.for([undefined, null, ""])("need a name, which %j is not", (name) => {
    expect(problemsOf({ networks: [{ name, cidr: "10.0.0.0/8" }] })).toEqual([
      "networks[0].name: a network needs a name: topologies refer to it",
    ]);
  });

  it("have each field checked, whatever is wrong with the others", () => {
    expect(problemsOf({ networks: [{ name: 5, cidr: "x", block_mask: 40, tenants: {} }] })).toEqual([
      "networks[0].name: expected a text, found the number 5",
      'networks[0].cidr: "x" is not an IPv4 network: write it as a.b.c.d/length',
      "networks[0].tenants: expected a list, found an object",
      "networks[0].block_mask: a block_mask of 40 is not possible: it must be the network's own length to 32",
    ]);
  });

  it("serve the tenants they list, and any when that is none or an asterisk", () => {
    const { networks } = read(
      networksOf(
        { name: "a", cidr: "10.0.0.0/8", tenants: ["x-1", "Y_2", ""] },
        { name: "b", cidr: "11.0.0.0/8", tenants: ["*"] },
        { name: "c", cidr: "12.0.0.0/8", tenants: [] },
        { name: "d", cidr: "13.0.0.0/8", tenants: null },
      ),
    );

    expect(networks.map(({ network }) => network.tenants)).toEqual([["x-1", "Y_2", ""], [], [], []]);
  });

  it("refuse tenants that cannot be one, each with its place", () => {
    expect(problemsOf(networksOf({ name: "a", cidr: "10.0.0.0/8", tenants: ["ok", "a b", 1, "*"] }))).toEqual(
      [
        'networks[0].tenants[1]: tenant "a b" may hold letters, digits, "_" and "-" only',
        "networks[0].tenants[2]: expected a text, found the number 1",
        'networks[0].tenants[3]: "*" means any tenant and stands alone: leave the other tenants out, or leave it out',
      ],
    );
  });

  it("count a tenant that is listed twice once, with a warning", () => {
    const document = networksOf({ name: "a", cidr: "10.0.0.0/8", tenants: ["x", "x"] });

    expect(only(read(document)).network.tenants).toEqual(["x"]);
    expect(warningsOf(document)).toEqual(['networks[0].tenants[1]: tenant "x" is listed twice']);
  });

  it("may not share addresses, whichever contains the other", () => {
    expect(
      problemsOf(
        networksOf(
          { name: "a", cidr: "10.1.0.0/16" },
          { name: "b", cidr: "10.0.0.0/8" },
          { name: "c", cidr: "11.0.0.0/8" },
          { name: "d", cidr: "11.0.0.0/8" },
          { name: "e", cidr: "12.0.0.0/8" },
        ),
      ),
    ).toEqual([
      'networks[1].cidr: network "b" 10.0.0.0/8 overlaps network "a" 10.1.0.0/16: networks must not share addresses',
      'networks[3].cidr: network "d" 11.0.0.0/8 overlaps network "c" 11.0.0.0/8: networks must not share addresses',
    ]);
  });

  it("may touch each other", () => {
    expect(
      problemsOf(
        networksOf(
          { name: "a", cidr: "10.0.0.0/9" },
          { name: "b", cidr: "10.128.0.0/9" },
          { name: "c", cidr: "9.0.0.0/8" },
        ),
      ),
    ).toEqual([]);
  });

  it("may not overlap a reserved range, in either direction", () => {
    const reserved = [
      { cidr: parseCidr("10.96.0.0/12"), what: "the service range" },
      { cidr: parseCidr("172.16.0.0/12"), what: "CIDR of VPC vpc-1" },
      { cidr: parseCidr("192.0.2.0/24"), what: "CIDR of VPC vpc-1" },
    ];
    const document = networksOf({ name: "a", cidr: "10.0.0.0/8" }, { name: "b", cidr: "172.20.0.0/16" });

    expect(() => readTopology(document, { reserved })).toThrow(
      'networks[0].cidr: network "a" 10.0.0.0/8 overlaps the service range 10.96.0.0/12: choose a range outside it; ' +
        'networks[1].cidr: network "b" 172.20.0.0/16 overlaps CIDR of VPC vpc-1 172.16.0.0/12: choose a range outside it',
    );
    expect(readTopology(networksOf({ name: "c", cidr: "11.0.0.0/8" }), { reserved }).networks).toHaveLength(
      1,
    );
  });

  it("need names of their own", () => {
    expect(
      problemsOf(networksOf({ name: "a", cidr: "10.0.0.0/8" }, { name: "a", cidr: "11.0.0.0/8" })),
    ).toEqual([
      'networks[1].name: network "a" is already defined by networks[0]',
      'topologies[0].networks[1]: network "a" already has a map by topologies[0].networks[0]: a network has one',
    ]);
  });
});

describe("topologies", () => {
  const networks = [
    { name: "a", cidr: "10.0.0.0/8" },
    { name: "b", cidr: "11.0.0.0/8" },
  ];

  it("refuse a network in two of them, an unknown one, and a network in none", () => {
    const document = {
      networks,
      topologies: [
        { networks: ["a"], map: [{}] },
        { networks: ["a", "c", 1], map: [{}] },
      ],
    };

    expect(problemsOf(document)).toEqual([
      'topologies[1].networks[0]: network "a" already has a map by topologies[0].networks[0]: a network has one',
      'topologies[1].networks[1]: network "c" is not defined by "networks"',
      "topologies[1].networks[2]: expected the name of a network, found the number 1",
      'networks[1]: network "b" is in no topology: add it to the "networks" of one, or remove it',
    ]);
  });

  it("do not call a network undefined whose own definition has a problem", () => {
    expect(
      problemsOf({ networks: [{ name: "a", cidr: "x" }], topologies: [{ networks: ["a"], map: [{}] }] }),
    ).toEqual(['networks[0].cidr: "x" is not an IPv4 network: write it as a.b.c.d/length']);
  });

  it("give the networks of an entry trees of one shape, in document order", () => {
    const topology = read({
      networks: [{ name: "x", cidr: "9.0.0.0/8" }, ...networks],
      topologies: [
        { networks: ["b", "x"], map: [{ name: "1" }, { name: "2" }] },
        { networks: ["a"], map: [{ name: "3" }] },
      ],
    });

    expect(topology.networks.map(({ network }) => network.name)).toEqual(["x", "a", "b"]);
    expect(topology.entries.map((entry) => entry.networks.map(({ root }) => show(root)))).toEqual([
      [
        ["/ 11.0.0.0/8", "1 11.0.0.0/9", "2 11.128.0.0/9"],
        ["/ 9.0.0.0/8", "1 9.0.0.0/9", "2 9.128.0.0/9"],
      ],
      [["3 10.0.0.0/8"]],
    ]);
  });

  it.for([[], null, undefined])("take no host when the map is %j, with a warning", (map) => {
    const document = { networks: [networks[0]], topologies: [{ networks: ["a"], map }] };

    expect(show(only(read(document)).root)).toEqual(["/ 10.0.0.0/8 (reserve)"]);
    expect(warningsOf(document)).toEqual([
      "topologies[0].map: the map has no groups: its networks take no hosts",
    ]);
  });

  it("without networks are refused when they have groups, and have no effect otherwise", () => {
    expect(problemsOf({ topologies: [{ networks: null, map: [{}] }] })).toEqual([
      "topologies[0].networks: this topology names no network: its groups would have no addresses",
    ]);
    expect(warningsOf({ topologies: [{}] })).toEqual([
      "topologies[0].networks: this topology has neither networks nor groups: it has no effect",
    ]);
    expect(read({ topologies: [{}] }).entries).toEqual([{ networks: [] }]);
  });
});
