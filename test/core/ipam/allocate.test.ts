import { describe, expect, it } from "vitest";

import { buildState, commit } from "../../../src/core/ipam/commit.ts";
import type { HostGroup } from "../../../src/core/ipam/records.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { Cluster, recordsOf } from "./support.ts";

const net = (name: string, cidr: string, rest: object = {}) => ({ name, cidr, ...rest });
const flat = (...networks: readonly { name: string }[]) => ({
  networks,
  topologies: [{ networks: networks.map(({ name }) => name), map: [{ name: "all" }] }],
});

function cluster(...networks: readonly { name: string; cidr: string }[]): Cluster {
  const made = new Cluster(flat(...networks));
  made.addHost("h1");
  made.addHost("h2");
  return made;
}

describe("planAllocation", () => {
  it("hands out a block's addresses in order, the first one included, before it takes another block", () => {
    const { allocate } = bound(cluster(net("n", "10.0.0.0/24")));

    const addresses = Array.from({ length: 9 }, (_, index) => allocate(`p${index}`, "h1"));

    expect(addresses).toEqual(Array.from({ length: 9 }, (_, index) => `10.0.0.${index}`));
  });

  it("gives each owner on each host blocks of its own", () => {
    const made = cluster(net("n", "10.0.0.0/24"));

    made.allocate("1", "h1", "a:x");
    made.allocate("2", "h1", "a:y");
    made.allocate("3", "h2", "a:x");
    made.allocate("4", "h1", "a:x");

    expect(made.blocks()).toEqual(["10.0.0.0/29 h1/a:x 2", "10.0.0.8/29 h1/a:y 1", "10.0.0.16/29 h2/a:x 1"]);
  });

  it("keeps owners apart whose names join to the same text", () => {
    const made = cluster(net("n", "10.0.0.0/24"));

    made.request({ name: "1", host: "h1", tenant: "a:b", segment: "c" });
    made.request({ name: "2", host: "h1", tenant: "a", segment: "b:c" });

    expect(made.blocks()).toHaveLength(2);
  });

  it("takes the owner's blocks by acquisition, then returned blocks in the order of their return, then a new one", () => {
    const made = cluster(net("n", "10.0.0.0/24", { block_mask: 31 }));
    for (let index = 0; index < 6; index += 1) {
      made.allocate(`p${index}`, "h1");
    }
    made.allocate("other", "h2");
    made.release("p2");
    made.release("p3");
    made.release("p1");
    made.release("p0");
    made.release("p4");

    const next = Array.from({ length: 6 }, (_, index) => made.allocate(`n${index}`, "h1"));

    expect(next).toEqual(["10.0.0.4", "10.0.0.2", "10.0.0.3", "10.0.0.0", "10.0.0.1", "10.0.0.8"]);
  });

  it("fills an earlier block again before a later one", () => {
    const made = cluster(net("n", "10.0.0.0/24", { block_mask: 31 }));
    for (let index = 0; index < 6; index += 1) {
      made.allocate(`p${index}`, "h1");
    }
    made.release("p5");
    made.release("p3");
    made.release("p1");

    expect([made.allocate("a", "h1"), made.allocate("b", "h1"), made.allocate("c", "h1")]).toEqual([
      "10.0.0.1",
      "10.0.0.3",
      "10.0.0.5",
    ]);
  });

  it("loses nothing when a block's addresses come back in any order", () => {
    const made = cluster(net("n", "10.0.0.0/29"));
    for (let index = 0; index < 8; index += 1) {
      made.allocate(`p${index}`, "h1");
    }
    for (const index of [3, 5, 7, 1]) {
      made.release(`p${index}`);
    }
    expect(made.blocks()).toEqual(["10.0.0.0/29 h1/t:s 4"]);

    for (const index of [0, 2, 4, 6]) {
      made.release(`p${index}`);
    }

    expect(made.blocks()).toEqual(["10.0.0.0/29 free"]);
    expect(Array.from({ length: 8 }, (_, index) => made.allocate(`n${index}`, "h2")).at(-1)).toBe("10.0.0.7");
  });

  it("tries networks that name the tenant first, and goes on to the next when one is full", () => {
    const made = cluster(
      net("any", "10.0.0.0/31", { block_mask: 32 }),
      net("other", "10.1.0.0/31", { tenants: ["x"] }),
      net("own", "10.2.0.0/31", { block_mask: 32, tenants: ["t"] }),
    );

    const addresses = Array.from({ length: 4 }, (_, index) => made.allocate(`p${index}`, "h1"));

    expect(addresses).toEqual(["10.2.0.0", "10.2.0.1", "10.0.0.0", "10.0.0.1"]);
    expect(() => made.allocate("p4", "h1")).toThrow(
      `no free address for "p4" on host h1: in network "own" all 2 blocks of group "all" (10.2.0.0/31) are full, of other owners or hosts; in network "any" all 2 blocks of group "all" (10.0.0.0/31) are full, of other owners or hosts; release addresses, or add a group or a network`,
    );
  });

  it("passes over blacked-out addresses and wholly blacked-out blocks", () => {
    const made = cluster(net("n", "10.0.0.0/24"));
    made.blackout("n", "10.0.0.0/28");
    made.blackout("n", "10.0.0.16/31");
    made.blackout("n", "10.0.0.19/32");

    expect([made.allocate("a", "h1"), made.allocate("b", "h1")]).toEqual(["10.0.0.18", "10.0.0.20"]);
    expect(made.blocks()).toEqual(["10.0.0.16/29 h1/t:s 2"]);

    made.release("a");
    made.release("b");
    made.blackout("n", "10.0.0.16/29");
    expect(made.allocate("c", "h1")).toBe("10.0.0.24");
    made.endBlackout("n", "10.0.0.0/28");
    expect(made.allocate("d", "h2")).toBe("10.0.0.0");
  });

  it("mentions blackouts when they are part of why a group is full", () => {
    const made = cluster(net("n", "10.0.0.0/29"));
    made.blackout("n", "10.0.0.0/30");
    made.blackout("n", "10.0.0.4/30");

    expect(() => made.allocate("a", "h1")).toThrow(
      'the only block of group "all" (10.0.0.0/29) are full, of other owners or hosts or blacked out',
    );
  });

  it.for([
    ["no name", "", "h1", "t:s", "ADDRESS_NAME_INVALID"],
    ["an unknown host", "p", "h9", "t:s", "HOST_NOT_FOUND"],
    ["a tenant of no network", "p", "h1", "x:s", "TENANT_WITHOUT_NETWORK"],
  ] as const)("refuses %s", ([, name, host, owner, code]) => {
    const made = cluster(net("n", "10.0.0.0/24", { tenants: ["t"] }));

    expect(() => made.allocate(name, host, owner)).toThrow(expect.objectContaining({ code }));
  });

  it("says that there are no networks", () => {
    const made = new Cluster({ networks: [] });
    made.addHost("h1");

    expect(() => made.allocate("p", "h1")).toThrow("there are no networks; set a topology");
  });

  it("says that the host is in no group", () => {
    const made = new Cluster({
      networks: [net("n", "10.0.0.0/24")],
      topologies: [{ networks: ["n"], map: [{ name: "a", assignment: { zone: "a" } }] }],
    });
    made.addHost("h1", { zone: "b" });

    expect(() => made.allocate("p", "h1")).toThrow(
      expect.objectContaining({ kind: "conflict", code: "HOST_UNPLACED" }),
    );
  });

  it("fills a block of 65,536 addresses", () => {
    const made = cluster(net("n", "10.0.0.0/15", { block_mask: 16 }));

    expect(made.allocate("high", "h1", "t:s", "10.0.255.255")).toBe("10.0.255.255");
    expect([made.allocate("a", "h1"), made.allocate("b", "h1")]).toEqual(["10.0.0.0", "10.0.0.1"]);
    expect(made.allocate("c", "h2")).toBe("10.1.0.0");
  });
});

describe("planAllocation of one address", () => {
  const groups = {
    networks: [net("n", "10.0.0.0/24"), net("m", "10.9.0.0/24", { tenants: ["m"] })],
    topologies: [
      {
        networks: ["n", "m"],
        map: [
          { name: "a", assignment: { zone: "a" } },
          { name: "b", assignment: { zone: "b" } },
        ],
      },
    ],
  };

  function made(): Cluster {
    const result = new Cluster(groups);
    result.addHost("h1", { zone: "a" });
    result.addHost("h2", { zone: "a" });
    return result;
  }

  it("gives it from a new, a returned and an own block", () => {
    const { allocate, release } = bound(made());

    expect(allocate("a", "h1", "t:s", "10.0.0.12")).toBe("10.0.0.12");
    expect(allocate("b", "h1", "t:s", "10.0.0.9")).toBe("10.0.0.9");
    release("a");
    release("b");
    expect(allocate("c", "h2", "t:s", "10.0.0.10")).toBe("10.0.0.10");
    expect(allocate("d", "h1")).toBe("10.0.0.0");
    expect(Array.from({ length: 8 }, (_, index) => allocate(`e${index}`, "h1")).at(-1)).toBe("10.0.0.16");
  });

  it.for([
    ["192.168.0.1", "t:s", "ADDRESS_OUTSIDE"],
    ["10.9.0.1", "t:s", "ADDRESS_NOT_ALLOWED"],
    ["10.0.0.128", "t:s", "ADDRESS_NOT_ALLOWED"],
    ["10.0.0.65", "t:s", "ADDRESS_BLACKED_OUT"],
    ["10.0.0.0", "t:s", "ADDRESS_IN_USE"],
    ["10.0.0.1", "t:x", "BLOCK_OWNED"],
    ["10.0.0.1", "u:s", "BLOCK_OWNED"],
  ] as const)("refuses %s to %s with %s", ([address, owner, code]) => {
    const result = made();
    result.blackout("n", "10.0.0.64/26");
    result.allocate("p", "h1");

    expect(() => result.allocate("q", "h1", owner, address)).toThrow(expect.objectContaining({ code }));
  });

  it("refuses an address of another host's block, and of a network without the host", () => {
    const result = made();
    result.addHost("h3", { zone: "c" });
    result.allocate("p", "h1");

    expect(() => result.allocate("q", "h2", "t:s", "10.0.0.1")).toThrow(`"t", segment "s" on host h1`);
    expect(() => result.allocate("q", "h3", "t:s", "10.0.0.1")).toThrow(
      `host h3 is in no group of network "n"`,
    );
  });
});

describe("commit", () => {
  const block = {
    network: "n",
    first: 0x0a_00_00_00,
    owner: { host: "h1", tenant: "t", segment: "s" },
    revision: 1,
    sequence: 9,
  };

  it.for([
    ["a block off its border", { kind: "put-block", ...block, first: 0x0a_00_00_01 }],
    ["a block outside", { kind: "put-block", ...block, first: 0x0b_00_00_00 }],
    ["a block of an unknown host", { kind: "put-block", ...block, owner: { ...block.owner, host: "h9" } }],
    ["a block of an unknown network", { kind: "put-block", ...block, network: "m" }],
    ["a block that changes hands while in use", { kind: "put-block", ...block, sequence: 20 }],
    [
      "a name that holds an address",
      { kind: "put-address", name: "p", network: "n", address: 0x0a_00_00_01 },
    ],
    ["an address in use", { kind: "put-address", name: "q", network: "n", address: 0x0a_00_00_00 }],
    ["an address without block", { kind: "put-address", name: "q", network: "n", address: 0x0a_00_00_80 }],
    [
      "a release of what is not held",
      { kind: "release", ...block, name: "q", address: 0x0a_00_00_00, block: undefined },
    ],
    ["the removal of a host with blocks", { kind: "delete-host", name: "h1" }],
    ["the removal of an unknown host", { kind: "delete-host", name: "h9" }],
  ] as const)("refuses %s", ([, change]) => {
    const made = cluster(net("n", "10.0.0.0/24"));
    made.allocate("p", "h1");
    const held = made.state.names.get("p")?.block;
    const fitting = change.kind === "release" ? { ...change, block: held } : change;

    expect(() => commit(made.state, [fitting])).toThrow(
      expect.objectContaining({ code: "STATE_INCONSISTENT" }),
    );
  });

  it("refuses a decision that was made from another state", () => {
    const made = cluster(net("n", "10.0.0.0/24"));
    made.allocate("p", "h1");
    const other = buildState(recordsOf(made.state));
    const change = {
      kind: "release",
      ...block,
      name: "p",
      address: 0x0a_00_00_00,
      block: other.names.get("p")?.block,
    } as const;

    expect(() => commit(made.state, [change])).toThrow("made from a state that was replaced");
  });

  it("refuses a host in a range that is no group, and one that leaves its blocks", () => {
    const made = cluster(net("n", "10.0.0.0/24"));
    made.allocate("p", "h1");
    const place = (...groups: readonly HostGroup[]) =>
      [...made.state.hosts.values()]
        .slice(0, 1)
        .map(({ record }) => ({ kind: "put-host", host: { ...record, groups } }) as const);
    const elsewhere = { network: "n", cidr: parseCidr("10.0.0.0/25"), subnet: "" };

    expect(() => commit(made.state, place(elsewhere))).toThrow("which is no group");
    expect(() => commit(made.state, place())).toThrow("where it has block 10.0.0.0/29");
  });
});

/** The methods as functions, for tests that use them much. */
function bound(made: Cluster) {
  return { allocate: made.allocate.bind(made), release: made.release.bind(made) };
}
