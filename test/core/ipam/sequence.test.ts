import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { networksOfTenant, type IpamState } from "../../../src/core/ipam/state.ts";
import { containsAddress, formatCidr, networkOf } from "../../../src/core/net/cidr.ts";
import { formatIpv4, ipv4Value, parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { Cluster, outlineOf, rebuilt } from "./support.ts";

const groups = (...zones: readonly string[]) => zones.map((zone) => ({ name: zone, assignment: { zone } }));
const pods = { name: "pods", cidr: "10.0.0.0/26", block_mask: 30 };
const vip = { name: "vip", cidr: "10.1.0.0/28", block_mask: 32, tenants: ["t0"] };
const large = { name: "large", cidr: "10.2.0.0/24", block_mask: 25 };

/** Documents that follow each other, some of them refused while addresses are in use. */
const documents: readonly unknown[] = [
  { networks: [pods], topologies: [{ networks: ["pods"], map: groups("a", "b", "c") }] },
  { networks: [pods], topologies: [{ networks: ["pods"], map: groups("a", "b", "c", "a") }] },
  {
    networks: [vip, pods],
    topologies: [
      { networks: ["pods"], map: groups("a", "b", "c") },
      { networks: ["vip"], map: [{ name: "all" }] },
    ],
  },
  {
    networks: [pods, large],
    topologies: [{ networks: ["pods", "large"], map: groups("a", "b") }],
  },
  {
    networks: [{ ...pods, cidr: "10.0.0.0/25" }],
    topologies: [{ networks: ["pods"], map: groups("a", "b", "c") }],
  },
  {
    networks: [{ ...pods, name: "renamed" }],
    topologies: [{ networks: ["renamed"], map: groups("a", "b", "c") }],
  },
  {
    networks: [{ ...pods, block_mask: 31 }],
    topologies: [{ networks: ["pods"], map: groups("a", "b", "c") }],
  },
  { networks: [] },
];

const index = fc.nat(1000);
const operation = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant("allocate" as const), name: index, host: index, owner: index }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("release" as const), name: index }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("exact" as const), name: index, host: index, offset: index }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove-host" as const), host: index }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("add-host" as const), host: index, zone: index }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("labels" as const), host: index, zone: index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("blackout" as const),
      offset: index,
      length: fc.integer({ min: 27, max: 32 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end-blackout" as const), which: index }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("topology" as const), document: index }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const HOSTS = 6;
const OWNERS = ["t0:s0", "t0:s1", "t1:s0", "t1:", ":"];
const zones = ["a", "b", "c", "d"];
const hostName = (number: number): string => `h${number % HOSTS}`;

/** What should be in use: kept by hand, without any index. */
type Model = Map<string, { readonly address: string; readonly host: string; readonly owner: string }>;

/** The code of the error that `act` fails with, "" when it succeeds. That a refusal leaves the state as it was is checked by `Cluster`. */
function codeOf(act: () => void): string {
  try {
    act();
    return "";
  } catch (error) {
    if (error instanceof NetworkError) {
      return error.code;
    }
    throw error;
  }
}

function attempt(cluster: Cluster, model: Model, op: Operation): void {
  switch (op.kind) {
    case "allocate": {
      const [name, host] = [`p${op.name % 60}`, hostName(op.host)];
      const owner = OWNERS[op.owner % OWNERS.length] ?? "";
      model.set(name, { address: cluster.allocate(name, host, owner), host, owner });
      break;
    }
    case "exact": {
      const [name, host] = [`p${op.name % 60}`, hostName(op.host)];
      const address = formatIpv4(ipv4Value(parseIpv4("10.0.0.0")) + (op.offset % 80));
      cluster.allocate(name, host, "t0:s0", address);
      model.set(name, { address, host, owner: "t0:s0" });
      break;
    }
    case "release":
      cluster.release(`p${op.name % 60}`);
      model.delete(`p${op.name % 60}`);
      break;
    case "remove-host":
      cluster.removeHost(hostName(op.host));
      for (const [name, { host }] of model) {
        if (host === hostName(op.host)) {
          model.delete(name);
        }
      }
      break;
    case "add-host":
      cluster.addHost(hostName(op.host), { zone: zones[op.zone % 4] ?? "" });
      break;
    case "labels":
      cluster.setLabels(hostName(op.host), { zone: zones[op.zone % 4] ?? "" });
      break;
    case "blackout":
      cluster.blackout("pods", networkOf(`${formatIpv4(0x0a_00_00_00 + (op.offset % 64))}/${op.length}`));
      break;
    case "end-blackout": {
      const { blackouts = [] } = cluster.state.networksByName.get("pods") ?? {};
      const range = blackouts[op.which % Math.max(1, blackouts.length)];
      cluster.endBlackout("pods", range?.cidr ?? "10.0.0.0/27");
      break;
    }
    case "topology":
      cluster.update(documents[op.document % documents.length]);
      break;
  }
}

function check(state: IpamState, model: Model): void {
  expect(new Map([...state.names].map(([name, { address }]) => [name, formatIpv4(address)]))).toEqual(
    new Map([...model].map(([name, { address }]) => [name, address])),
  );
  expect(new Set([...model.values()].map(({ address }) => address)).size).toBe(model.size);
  for (const [name, { address, host, owner }] of model) {
    const block = state.names.get(name)?.block;
    const record = block?.holding?.record;
    expect(record && `${record.host} ${record.tenant}:${record.segment}`).toBe(`${host} ${owner}`);
    const { network } = block?.pool.network ?? {};
    expect(containsAddress(formatCidr(block?.first ?? 0, network?.blockMask ?? 32), parseIpv4(address))).toBe(
      true,
    );
    const group = state.hosts.get(host)?.record.groups.find((other) => other.network === network?.name);
    expect(group !== undefined && containsAddress(group.cidr, parseIpv4(address))).toBe(true);
    expect(network?.tenants.length === 0 || network?.tenants.includes(record?.tenant ?? "")).toBe(true);
  }
  for (const { blocks, blackouts } of state.networks) {
    for (const block of blocks.values()) {
      expect(block.count).toBe(block.holders.filter((holder) => holder !== undefined).length);
      expect(block.count > 0).toBe(block.holding !== undefined);
    }
    for (const { address } of state.names.values()) {
      expect(blackouts.some(({ first, end }) => address >= first && address < end)).toBe(false);
    }
  }
}

/** True when some address would have done: found by trying every one. */
function hasRoom(state: IpamState, hostName_: string, owner: string): boolean {
  const [tenant = "", segment = ""] = owner.split(":");
  const host = state.hosts.get(hostName_);
  const inUse = new Set([...state.names.values()].map(({ address }) => address));
  return networksOfTenant(state, tenant).some((network) => {
    const pool = host?.placements.get(network);
    for (let address = pool?.first ?? 0; address < (pool?.end ?? 0); address += 1) {
      const block = network.blocks.get(address - (address % network.blockSize));
      const record = block?.holding?.record;
      const isOurs = record?.host === hostName_ && record.tenant === tenant && record.segment === segment;
      const isOpen = record === undefined ? host?.record.misplaced === false : isOurs;
      const isBlack = network.blackouts.some(({ first, end }) => address >= first && address < end);
      if (isOpen && !isBlack && !inUse.has(address)) {
        return true;
      }
    }
    return false;
  });
}

describe("any sequence of changes", () => {
  it("keeps names, addresses, blocks, owners, hosts and groups consistent, and equals what the records rebuild", () => {
    const refusals = new Set<string>();
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60, size: "max" }), (operations) => {
        const cluster = new Cluster(documents[0]);
        const model: Model = new Map();
        zones.forEach((zone, number) => cluster.addHost(hostName(number), { zone }));
        for (const op of operations) {
          const code = codeOf(() => attempt(cluster, model, op));
          refusals.add(code);
          const isRefusal = ["NETWORK_FULL", "HOST_MISPLACED", "HOST_UNPLACED"].includes(code);
          const wasRefused = op.kind === "allocate" && isRefusal;
          expect(
            wasRefused && hasRoom(cluster.state, hostName(op.host), OWNERS[op.owner % OWNERS.length] ?? ""),
          ).toBe(false);
          check(cluster.state, model);
        }
        expect(outlineOf(rebuilt(cluster.state))).toEqual(outlineOf(cluster.state));
      }),
      { numRuns: 150 },
    );
    expect([...refusals]).toEqual(
      expect.arrayContaining([
        "NETWORK_FULL",
        "ADDRESS_EXISTS",
        "ADDRESS_NOT_FOUND",
        "BLACKOUT_IN_USE",
        "TOPOLOGY_IN_USE",
      ]),
    );
  }, 60_000);

  it("has everything free after all was released, in whatever order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(index, index), { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(index),
        (asked, order) => {
          const cluster = new Cluster(documents[0]);
          zones.slice(0, 3).forEach((zone, number) => cluster.addHost(hostName(number), { zone }));
          const names: string[] = [];
          for (const [position, [host, owner]] of asked.entries()) {
            const name = `p${position}`;
            const code = codeOf(() => cluster.allocate(name, hostName(host % 3), OWNERS[owner % 3]));
            expect(["", "NETWORK_FULL"]).toContain(code);
            names.push(...(code === "" ? [name] : []));
          }
          while (names.length > 0) {
            const [name = ""] = names.splice((order.next().value ?? 0) % names.length, 1);
            cluster.release(name);
          }
          const { state } = cluster;
          expect(state.names.size).toBe(0);
          expect(state.networks.map(({ owners }) => owners.size)).toEqual([0]);
          expect(cluster.blocks().every((line) => line.endsWith(" free"))).toBe(true);
          for (let offset = 0; offset < 16; offset += 1) {
            expect(cluster.allocate(`again${offset}`, "h0")).toMatch(/^10\.0\.0\./);
          }
          expect(() => cluster.allocate("more", "h0")).toThrow("all 4 blocks of group");
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});
