import { globSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { buildState } from "../../../src/core/ipam/commit.ts";
import { importedRecords } from "../../../src/core/ipam/imported-state.ts";
import { viewBlocks, viewHosts } from "../../../src/core/ipam/view.ts";
import { readOriginalBlob } from "../../../src/core/migration/read-original.ts";
import { formatIpv4 } from "../../../src/core/net/ipv4.ts";
import { carveGroups } from "../../../src/core/topology/carve-groups.ts";
import { groupsOf } from "../../../src/core/topology/walk-groups.ts";

interface RawGroup {
  name: string;
  cidr: string;
  hosts: { name: string; ip: string; agent_port: number; tags: Record<string, string> | null }[] | null;
  groups: RawGroup[] | null;
  blocks:
    | { cidr: string; pool: { Ranges: { Min: number; Max: number }[] | null }; revision: number }[]
    | null;
  block_to_owner: Record<string, string> | null;
  block_to_host: Record<string, string> | null;
  owner_to_block: Record<string, number[]> | null;
  reusable_blocks: number[] | null;
  assignment: Record<string, string> | null;
  dummy: boolean;
}

interface RawBlob {
  networks: Record<
    string,
    {
      name: string;
      cidr: string;
      block_mask: number;
      blacked_out: string[];
      host_groups: RawGroup;
      revision: number;
    }
  >;
  AllocationRevision: number;
  TopologyRevision: number;
  address_name_to_ip: Record<string, string>;
  tenant_to_network: Record<string, string[]>;
}

function sample(name: string): RawBlob {
  return JSON.parse(readFileSync(`test/fixtures/original/${name}.json`, "utf8")) as RawBlob;
}

function allGroups(group: RawGroup): RawGroup[] {
  return [group, ...(group.groups ?? []).flatMap(allGroups)];
}

/** What the blob says, read without any code of ours: blocks as "cidr owner host revision", free ones as "cidr - - revision". */
function rawBlocks(blob: RawBlob): string[] {
  return Object.values(blob.networks).flatMap(({ host_groups: root }) =>
    allGroups(root).flatMap((group) =>
      (group.blocks ?? []).map(
        ({ cidr, revision }, index) =>
          `${cidr} ${group.block_to_owner?.[index] ?? "-"} ${group.block_to_host?.[index] ?? "-"} ${revision}`,
      ),
    ),
  );
}

/** Reads a blob and builds the state that an import would leave. */
function imported(blob: unknown) {
  const { state, findings } = readOriginalBlob(blob);
  const { topology, records } = importedRecords(state);
  return { state, findings, topology, built: buildState(records) };
}

function codes(blob: unknown): string[] {
  return readOriginalBlob(blob).findings.map(({ code }) => code);
}

/** One network of one group with a host and an address, as the original wrote it. */
function small(): RawBlob {
  return {
    networks: {
      net1: {
        name: "net1",
        cidr: "10.0.0.0/24",
        block_mask: 29,
        blacked_out: [],
        host_groups: {
          name: "all",
          cidr: "10.0.0.0/24",
          hosts: [
            { name: "h1", ip: "192.168.0.1", agent_port: 9604, tags: null },
            { name: "h2", ip: "192.168.0.2", agent_port: 9604, tags: null },
          ],
          groups: null,
          blocks: [
            {
              cidr: "10.0.0.0/29",
              pool: { Ranges: [{ Min: 167772161, Max: 167772167 }] },
              revision: 1,
            },
          ],
          block_to_owner: { "0": "t:s" },
          block_to_host: { "0": "h1" },
          owner_to_block: { "t:s": [0] },
          reusable_blocks: [],
          assignment: null,
          dummy: false,
        },
        revision: 1,
      },
    },
    AllocationRevision: 1,
    TopologyRevision: 3,
    address_name_to_ip: { a0: "10.0.0.0" },
    tenant_to_network: { "*": ["net1"] },
  };
}

function rootOf(blob: RawBlob): RawGroup {
  return blob.networks["net1"]?.host_groups as RawGroup;
}

describe("a healthy state of the original", () => {
  const blob = sample("kops-healthy");

  it("has nothing odd about it", () => {
    expect(codes(blob)).toEqual([]);
  });

  it("keeps every group with its range and labels", () => {
    const { topology } = imported(blob);
    const [carved] = topology.networks;
    const raw = allGroups(blob.networks["romana-network"]?.host_groups as RawGroup);

    const ours = carved === undefined ? [] : groupsOf(carved.root);

    expect(ours.map(({ name, cidr, assignment }) => [name, cidr, assignment])).toEqual(
      raw.map(({ name, cidr, assignment }) => [name, cidr === "" ? "100.96.0.0/11" : cidr, assignment ?? {}]),
    );
    expect(ours.length).toBe(19);
  });

  it("keeps every block with owner, host and revision", () => {
    const { built } = imported(blob);

    const ours = viewBlocks(built.networks).map(
      ({ cidr, host, tenant, segment, revision }) =>
        `${cidr} ${host === "" ? "-" : `${tenant}:${segment}`} ${host === "" ? "-" : host} ${revision}`,
    );

    expect(ours.toSorted()).toEqual(rawBlocks(blob).toSorted());
    expect(ours).toHaveLength(24);
  });

  it("keeps every address with its name", () => {
    const { built } = imported(blob);

    const ours = [...built.names.values()].map(({ name, address }) => [name, formatIpv4(address)]);

    expect(Object.fromEntries(ours)).toEqual(blob.address_name_to_ip);
    expect(ours).toHaveLength(37);
  });

  it("keeps every host with its address, labels and group", () => {
    const { built } = imported(blob);
    const raw = allGroups(blob.networks["romana-network"]?.host_groups as RawGroup).flatMap((group) =>
      (group.hosts ?? []).map(({ name, ip, tags }) => [name, ip, tags ?? {}, group.cidr]),
    );

    const ours = viewHosts(built).map(({ name, ip, tags, groups }) => [name, ip, tags, groups[0]?.cidr]);

    expect(new Set(ours.map((host) => JSON.stringify(host)))).toEqual(
      new Set(raw.map((host) => JSON.stringify(host))),
    );
    expect(ours).toHaveLength(8);
    expect(viewHosts(built).every(({ misplaced }) => !misplaced)).toBe(true);
  });

  it("keeps the counters of allocations and topology changes", () => {
    const { state, built } = imported(blob);

    expect(built.revision).toBe(blob.AllocationRevision);
    expect(built.networks[0]?.revision).toBe(blob.networks["romana-network"]?.revision);
    expect(state.topologyRevision).toBe(blob.TopologyRevision);
  });

  it("keeps the order in which each owner's blocks were acquired, and returned ones come back", () => {
    const blobWithOrder = small();
    const root = rootOf(blobWithOrder);
    const used = (first: number) => ({
      cidr: `10.0.0.${first}/29`,
      pool: { Ranges: [{ Min: 167772161 + first, Max: 167772167 + first }] },
      revision: 1,
    });
    const free = (first: number) => ({
      cidr: `10.0.0.${first}/29`,
      pool: { Ranges: [{ Min: 167772160 + first, Max: 167772167 + first }] },
      revision: 2,
    });
    root.blocks = [used(0), free(8), used(16), free(24)];
    root.block_to_owner = { "0": "t:s", "2": "t:s" };
    root.block_to_host = { "0": "h1", "2": "h1" };
    root.owner_to_block = { "t:s": [2, 0] };
    root.reusable_blocks = [3, 1];
    blobWithOrder.address_name_to_ip = { a: "10.0.0.0", b: "10.0.0.16" };
    blobWithOrder.AllocationRevision = 6;
    Object.assign(blobWithOrder.networks["net1"] ?? {}, { revision: 6 });

    const { state, findings } = imported(blobWithOrder);

    expect(findings).toEqual([]);
    expect(state.blocks.map(({ first }) => formatIpv4(first))).toEqual([
      "10.0.0.16",
      "10.0.0.0",
      "10.0.0.24",
      "10.0.0.8",
    ]);
  });
});

describe("what the original is known to leave behind", () => {
  it("finds free addresses that were lost, and frees them", () => {
    const { findings, built } = imported(sample("corrupt-lost-ranges"));

    expect(findings.map(({ code, severity, place }) => [code, severity, place])).toEqual([
      ["lost-free-range", "unsound", "networks.net1.host_groups.blocks[0]"],
    ]);
    expect(findings[0]?.message).toContain("10.0.0.5, 10.0.0.7");
    expect([...built.names.keys()]).toEqual(["a0", "a2", "a4", "a6"]);
    expect(viewBlocks(built.networks)[0]?.allocated_ip_count).toBe(4);
  });

  it("finds the names and owners that a removed host left behind", () => {
    const { findings, built } = imported(sample("corrupt-removed-host"));

    expect(findings.map(({ code, place }) => [code, place])).toEqual([
      ["owner-index-stale", "networks.net1.host_groups.owner_to_block"],
      ["address-free", 'address_name_to_ip["a1"]'],
      ["address-free", 'address_name_to_ip["a2"]'],
      ["address-twice", 'address_name_to_ip["c0"]'],
    ]);
    expect([...built.names.values()].map(({ name, address }) => [name, formatIpv4(address)])).toEqual([
      ["a0", "10.0.0.0"],
      ["b0", "10.0.0.8"],
    ]);
  });

  it("gives an address with two names to the pod of the block's tenant", () => {
    const blob = small();
    blob.address_name_to_ip = { "a.other.0123abcd": "10.0.0.0", "b.t.0123abcd": "10.0.0.0" };

    expect([...imported(blob).built.names.keys()]).toEqual(["b.t.0123abcd"]);
  });

  it("makes a group of a padding range that hosts stand in, so that nothing moves", () => {
    const blob = sample("padding-hosts");
    const { findings, built, topology } = imported(blob);

    expect(findings.map(({ code }) => code)).toEqual(["hosts-in-padding"]);
    expect(topology.networks[0]?.root.children.map(({ name, cidr, kind }) => [name, cidr, kind])).toEqual([
      ["g1", "10.111.0.0/18", "group"],
      ["g2", "10.111.64.0/18", "group"],
      ["g3", "10.111.128.0/18", "group"],
      ["padding-4", "10.111.192.0/18", "group"],
    ]);
    expect(
      Object.fromEntries([...built.names.values()].map(({ name, address }) => [name, formatIpv4(address)])),
    ).toEqual(blob.address_name_to_ip);
  });

  it("leaves padding that nothing stands in what it is: a reserve", () => {
    const blob = sample("padding-hosts");
    const root = blob.networks["net1"]?.host_groups as RawGroup;
    root.groups = (root.groups ?? []).map((group, index) =>
      index === 3
        ? { ...group, hosts: [], blocks: [], block_to_owner: {}, block_to_host: {}, owner_to_block: {} }
        : group,
    );
    delete blob.address_name_to_ip["a3"];

    const { topology, findings } = imported(blob);

    expect(topology.networks[0]?.root.children.map(({ kind }) => kind)).toEqual([
      "group",
      "group",
      "group",
      "reserve",
    ]);
    expect(findings).toEqual([]);
  });
});

describe("every other contradiction", () => {
  const cases: readonly [string, (blob: RawBlob) => void, readonly string[]][] = [
    [
      "an address in a block that nobody owns",
      (blob) => {
        Object.assign(rootOf(blob), {
          block_to_owner: {},
          block_to_host: {},
          owner_to_block: {},
          reusable_blocks: [0],
        });
      },
      ["address-without-owner"],
    ],
    [
      "a block whose owner has no host",
      (blob) => {
        Object.assign(rootOf(blob), { block_to_host: {} });
      },
      ["block-half-owned", "address-without-owner"],
    ],
    [
      "a block on a host that is not in the group",
      (blob) => {
        Object.assign(rootOf(blob), { block_to_host: { "0": "h9" } });
      },
      ["block-host-elsewhere", "address-without-owner"],
    ],
    [
      "a block of two owners",
      (blob) => {
        Object.assign(rootOf(blob), { owner_to_block: { "t:s": [0], "u:s": [0] } });
      },
      ["owner-index-stale"],
    ],
    [
      "a block that its owner's list lacks",
      (blob) => {
        Object.assign(rootOf(blob), { owner_to_block: {} });
      },
      ["owner-index-stale"],
    ],
    [
      "an owned block that is listed as reusable",
      (blob) => {
        Object.assign(rootOf(blob), { reusable_blocks: [0] });
      },
      ["reusable-owned"],
    ],
    [
      "a block twice",
      (blob) => {
        const root = rootOf(blob);
        root.blocks = [...(root.blocks ?? []), ...(root.blocks ?? [])];
      },
      ["block-misplaced"],
    ],
    [
      "a block of another size",
      (blob) => {
        const [block] = rootOf(blob).blocks ?? [];
        Object.assign(block ?? {}, { cidr: "10.0.0.0/28" });
      },
      ["block-misplaced", "address-without-block"],
    ],
    [
      "the index of a block that there is not",
      (blob) => {
        Object.assign(rootOf(blob), { reusable_blocks: [7] });
      },
      ["index-unknown"],
    ],
    [
      "an address outside every network",
      (blob) => {
        blob.address_name_to_ip["x"] = "10.9.0.1";
      },
      ["address-outside"],
    ],
    [
      "an address in no block",
      (blob) => {
        blob.address_name_to_ip["x"] = "10.0.0.99";
      },
      ["address-without-block"],
    ],
    [
      "an address that is none",
      (blob) => {
        blob.address_name_to_ip["x"] = "10.0.0";
      },
      ["address-invalid"],
    ],
    [
      "a host twice in a network",
      (blob) => {
        rootOf(blob).hosts?.push({ name: "h1", ip: "192.168.0.9", agent_port: 9604, tags: null });
      },
      ["host-twice"],
    ],
    [
      "a host without an address",
      (blob) => {
        rootOf(blob).hosts?.push({ name: "h3", ip: "", agent_port: 9604, tags: null });
      },
      ["host-invalid"],
    ],
    [
      "a host whose labels do not fit its group",
      (blob) => {
        rootOf(blob).assignment = { zone: "a" };
      },
      ["host-misplaced", "host-misplaced"],
    ],
    [
      "hosts in a dummy group",
      (blob) => {
        rootOf(blob).dummy = true;
      },
      ["hosts-in-dummy"],
    ],
    [
      "a group that is not where its place among its siblings is",
      (blob) => {
        rootOf(blob).cidr = "10.0.0.0/25";
      },
      ["group-moved", "address-outside"],
    ],
    [
      "groups that are smaller than a block, which then lies in two of them",
      (blob) => {
        const root = rootOf(blob);
        Object.assign(blob.networks["net1"] ?? {}, { block_mask: 26 });
        root.name = "/";
        root.groups = Array.from({ length: 8 }, (_, index) => ({
          ...root,
          name: `g${index}`,
          cidr: `10.0.0.${index * 32}/27`,
          groups: null,
          hosts: [],
          blocks: [],
        }));
        root.cidr = "";
        root.hosts = null;
      },
      ["network-refused", "address-outside"],
    ],
    [
      "a blackout outside its network",
      (blob) => {
        blob.networks["net1"]?.blacked_out.push("10.0.1.0/30");
      },
      ["blackout-invalid"],
    ],
    [
      "a network for nobody",
      (blob) => {
        blob.tenant_to_network = {};
      },
      ["network-without-tenant"],
    ],
    [
      "a tenant of a network that there is not",
      (blob) => {
        blob.tenant_to_network["t"] = ["net9"];
      },
      ["tenant-network-unknown"],
    ],
    [
      "an owned block that nobody has an address in",
      (blob) => {
        blob.address_name_to_ip = {};
        Object.assign(rootOf(blob).blocks?.[0]?.pool ?? {}, {
          Ranges: [{ Min: 167772160, Max: 167772167 }],
        });
      },
      ["block-owned-empty"],
    ],
    [
      "an empty block that is not listed as reusable",
      (blob) => {
        const root = rootOf(blob);
        const pool = { Ranges: [{ Min: 167772168, Max: 167772175 }] };
        root.blocks?.push({ cidr: "10.0.0.8/29", pool, revision: 0 });
      },
      ["block-not-reusable"],
    ],
    [
      "a counter that is behind its blocks",
      (blob) => {
        blob.AllocationRevision = 0;
      },
      ["revision-behind"],
    ],
  ];

  it("is none in the state that the cases start from", () => {
    expect(codes(small())).toEqual([]);
  });

  it.for(cases)("names %s", ([, damage, expected]) => {
    const blob = small();
    damage(blob);

    const { findings } = imported(blob);

    expect(findings.map(({ code }) => code)).toEqual(expected);
    expect(
      findings.every(({ place, message, repair }) => place !== "" && message !== "" && repair !== ""),
    ).toBe(true);
  });

  it("leaves out a network that overlaps another", () => {
    const blob = small();
    const net1 = blob.networks["net1"];
    blob.networks["net2"] = { ...(net1 as NonNullable<typeof net1>), name: "net2" };
    blob.tenant_to_network["*"] = ["net1", "net2"];

    const { findings, topology } = imported(blob);

    expect(findings.map(({ code, place }) => [code, place])).toEqual([["network-overlaps", "networks.net2"]]);
    expect(topology.networks.map(({ network }) => network.name)).toEqual(["net1"]);
  });

  it("takes a host of two networks once, and refuses another address for it", () => {
    const blob = small();
    const other = small().networks["net1"] as NonNullable<RawBlob["networks"][string]>;
    other.cidr = "10.1.0.0/24";
    Object.assign(other.host_groups, {
      cidr: "10.1.0.0/24",
      blocks: [],
      block_to_owner: {},
      block_to_host: {},
      owner_to_block: {},
      hosts: [
        { name: "h1", ip: "192.168.0.1", agent_port: 9604, tags: null },
        { name: "h2", ip: "192.168.0.77", agent_port: 9604, tags: null },
      ],
    });
    blob.networks["net2"] = { ...other, name: "net2", revision: 0 };
    blob.tenant_to_network = { "*": ["net2", "net1"] };

    const { findings, built, topology } = imported(blob);

    expect(topology.networks.map(({ network }) => network.name)).toEqual(["net2", "net1"]);
    expect(viewHosts(built).map(({ name, groups }) => [name, groups.length])).toEqual([
      ["h1", 2],
      ["h2", 1],
    ]);
    expect(findings.map(({ code }) => code)).toEqual(["host-differs"]);
  });

  it("refuses what has not the form of the original's state, with every place", () => {
    const blob = { ...small(), AllocationRevision: "7", tenant_to_network: { t: "net1" } };

    expect(() => readOriginalBlob(blob)).toThrow(
      /AllocationRevision: expected a whole number.*tenant_to_network\.t: expected a list/,
    );
  });
});

describe("the form of the document", () => {
  it("is checked in every field, and all that is wrong is named with its place", () => {
    const group = {
      name: 7,
      hosts: [{ name: "h", ip: 4, agent_port: -1, tags: [], k8s_info: {} }],
      dummy: "no",
      blocks: [{ cidr: "10.0.0.0/29", pool: { Ranges: [{ Min: 0.5, Max: 1 }] }, revision: 1 }],
      block_to_owner: { first: "t:s" },
      reusable_blocks: ["0"],
    };
    const net1 = { name: "other", cidr: "10.0.0.0/24", host_groups: group };
    const refusal = () => readOriginalBlob({ networks: { net1 }, address_name_to_ip: [] });

    for (const place of [
      'networks.net1.name: the network is filed under "net1" and is called "other"',
      "networks.net1.host_groups.name: expected a text",
      "networks.net1.host_groups.hosts[0].ip: expected a text",
      "networks.net1.host_groups.hosts[0].agent_port: expected a whole number",
      "networks.net1.host_groups.hosts[0].tags: expected an object of texts",
      "networks.net1.host_groups.dummy: expected true or false",
      "networks.net1.host_groups.blocks[0].pool.Ranges[0].Min: expected a whole number",
      'networks.net1.host_groups.block_to_owner.first: expected the index of a block, found "first"',
      "networks.net1.host_groups.reusable_blocks[0]: expected a whole number",
      "address_name_to_ip: expected an object, found a list",
    ]) {
      expect(refusal).toThrow(place);
    }
  });

  it("has groups twenty levels deep at most, and at most a hundred problems are listed", () => {
    let group: object = { cidr: "10.0.0.0/24" };
    for (let level = 0; level < 22; level += 1) {
      group = { groups: [group] };
    }
    const deep = { networks: { n: { cidr: "10.0.0.0/24", host_groups: group } } };
    const names = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`n${index}`, 5]));

    expect(() => readOriginalBlob(deep)).toThrow("groups may be nested 20 levels deep");
    expect(() => readOriginalBlob({ address_name_to_ip: names })).toThrow("document: 50 more like these");
  });

  it("may be that of an empty system", () => {
    const { state, findings } = readOriginalBlob({
      networks: null,
      address_name_to_ip: null,
      tenant_to_network: null,
    });

    expect([state.document, state.hosts, findings]).toEqual([null, [], []]);
  });

  it("may have a network without a tree, which then takes no hosts", () => {
    const blob = small();
    const net1 = blob.networks["net1"] as NonNullable<RawBlob["networks"][string]>;
    const bare = { ...blob, networks: { net1: { ...net1, host_groups: null } }, address_name_to_ip: {} };
    const hollow = { ...rootOf(blob), cidr: "", hosts: null, blocks: null, block_to_owner: null };
    const empty = {
      ...blob,
      networks: { net1: { ...net1, host_groups: { ...hollow, block_to_host: null, owner_to_block: null } } },
      address_name_to_ip: {},
    };

    for (const each of [bare, empty]) {
      const { topology, findings } = imported(each);
      expect(topology.networks[0]?.root.kind).toBe("reserve");
      expect(findings.map(({ code }) => code)).toEqual(["warning"]);
    }
  });
});

describe("what hosts and networks keep", () => {
  it("is the document's word for those that stood in it, and Kubernetes' for nodes", () => {
    const blob = small();
    const root = rootOf(blob);
    root.hosts = [
      { name: "h1", ip: "192.168.0.1", agent_port: 0, tags: null },
      { name: "h2", ip: "192.168.0.2", agent_port: 9604, tags: { zone: "a" } },
    ];
    Object.assign(root.hosts[1] ?? {}, { k8s_info: { UID: "1" } });

    const { built, topology } = imported(blob);

    expect(viewHosts(built).map(({ name, origin, agentPort }) => [name, origin, agentPort])).toEqual([
      ["h1", "document", 9604],
      ["h2", "kubernetes", 9604],
    ]);
    expect(topology.hosts.map(({ name }) => name)).toEqual(["h1"]);
  });

  it("is the order in which each tenant's networks are tried; where lists contradict each other, the name decides which comes next", () => {
    const blob = small();
    const net1 = blob.networks["net1"] as NonNullable<RawBlob["networks"][string]>;
    const root = {
      ...rootOf(small()),
      hosts: [],
      blocks: [],
      block_to_owner: {},
      block_to_host: {},
      owner_to_block: {},
    };
    const network = (name: string, third: number) => ({
      ...net1,
      name,
      cidr: `10.0.${third}.0/24`,
      host_groups: { ...root, cidr: `10.0.${third}.0/24` },
      revision: 0,
    });
    blob.networks = { ...blob.networks, net0: network("net0", 1), net2: network("net2", 2) };
    const order = (tenants: Record<string, string[]>) => {
      const { topology, findings } = imported({ ...blob, tenant_to_network: tenants });
      return [topology.networks.map((each) => each.network.name), findings.map(({ code }) => code)];
    };

    expect(order({ "*": ["net2", "net1"], t: ["net1", "net0"] })).toEqual([
      ["net2", "net1", "net0"],
      ["tenant-and-any"],
    ]);
    expect(order({ a: ["net2", "net1", "net0"], b: ["net0", "net2"] })).toEqual([
      ["net0", "net2", "net1"],
      ["network-order"],
    ]);
  });

  it("is each blackout, the wider one where one contains the other", () => {
    const blob = small();
    blob.networks["net1"]?.blacked_out.push("10.0.0.64/28", "10.0.0.64/27", "10.0.0.128/30");
    const [block] = rootOf(blob).blocks ?? [];
    Object.assign(block ?? {}, { pool: { Ranges: [{ Min: 167772161, Max: 167772166 }] } });
    blob.networks["net1"]?.blacked_out.push("10.0.0.7/32");

    const { state, findings } = imported(blob);

    expect(state.blackouts).toEqual([
      { network: "net1", cidrs: ["10.0.0.7/32", "10.0.0.64/27", "10.0.0.128/30"] },
    ]);
    expect(findings).toEqual([]);
  });

  it("is the reserve before padding that is in use: a dummy group stands for it", () => {
    const blob = sample("padding-hosts");
    const root = blob.networks["net1"]?.host_groups as RawGroup;
    const groups = root.groups ?? [];
    const narrow = (group: RawGroup | undefined, name: string, index: number) => ({
      ...(group as RawGroup),
      name,
      cidr: `10.111.${index * 32}.0/19`,
      hosts: [] as RawGroup["hosts"],
      blocks: [],
      block_to_owner: {},
      block_to_host: {},
      owner_to_block: {},
    });
    root.groups = Array.from({ length: 8 }, (_, index) =>
      narrow(groups[0], index < 5 ? `g${index}` : "", index),
    );
    Object.assign(root.groups[6] ?? {}, {
      hosts: [{ name: "h", ip: "192.168.0.1", agent_port: 9604, tags: null }],
    });
    blob.address_name_to_ip = {};
    blob.AllocationRevision = 0;

    const { topology, findings } = imported(blob);

    expect(topology.networks[0]?.root.children.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      "g0 group",
      "g1 group",
      "g2 group",
      "g3 group",
      "g4 group",
      "padding-6 dummy",
      "padding-7 group",
      " reserve",
    ]);
    expect(findings.map(({ code }) => code)).toEqual(["hosts-in-padding"]);
  });

  it("is a dummy group without hosts as it is, and one whose groups have hosts not", () => {
    const blob = sample("padding-hosts");
    const root = blob.networks["net1"]?.host_groups as RawGroup;
    Object.assign(root.groups?.[2] ?? {}, { dummy: true });

    expect(codes(blob)).toEqual(["hosts-in-dummy", "hosts-in-padding"]);
  });
});

it("carves the same ranges as the original for its own built-in shape", () => {
  const root = sample("padding-hosts").networks["net1"]?.host_groups as RawGroup;
  const network = { name: "net1", cidr: "10.111.0.0/16" as never, blockMask: 29, tenants: [] };
  const spec = { assignment: {}, routing: "", dummy: false, children: [] };

  const carved = carveGroups(
    network,
    ["g1", "g2", "g3"].map((name) => ({ ...spec, name })),
  );

  expect(carved.root.children.map(({ cidr }) => cidr)).toEqual((root.groups ?? []).map(({ cidr }) => cidr));
});

it("has a row in docs/operations/migrate.md for every finding, with its severity, and no other", () => {
  const page = readFileSync("docs/operations/migrate.md", "utf8");
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (unsound|note) \|/gm)].map(
    ([, code, kind]) => `${code} ${kind}`,
  );
  const sources = globSync("src/core/migration/*.ts").map((file) => readFileSync(file, "utf8"));
  const given = sources.flatMap((text) =>
    [...text.matchAll(/findings\.(unsound|note)\(\s*"([a-z-]+)"/g)].map(
      ([, kind, code]) => `${code} ${kind}`,
    ),
  );

  expect(rows.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
    [...new Set(given)].toSorted((a, b) => (a < b ? -1 : 1)),
  );
  expect(rows.length).toBeGreaterThan(25);
});
