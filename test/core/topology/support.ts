import fc from "fast-check";

import { NetworkError } from "../../../src/core/errors.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { carveGroups, type GroupSpec } from "../../../src/core/topology/carve-groups.ts";
import { readTopology, type Topology } from "../../../src/core/topology/read-topology.ts";
import type { GroupDocument } from "../../../src/core/topology/topology-document.ts";
import type { CarvedNetwork, Group, Network } from "../../../src/core/topology/topology.ts";
import { groupsOf } from "../../../src/core/topology/walk-groups.ts";

/** `readTopology` without reserved ranges. */
export function read(document: unknown): Topology {
  return readTopology(document, { reserved: [] });
}

/** A document of one network 10.0.0.0/8 with this map. */
export function mapOf(...map: readonly unknown[]): unknown {
  return {
    networks: [{ name: "net", cidr: "10.0.0.0/8" }],
    topologies: [{ networks: ["net"], map }],
  };
}

/** The only network of a document. */
export function only(topology: Topology): CarvedNetwork {
  const [first] = topology.networks;
  if (first === undefined || topology.networks.length > 1) {
    throw new Error(`expected one network, found ${topology.networks.length}`);
  }
  return first;
}

/** The problems (`place: problem`) for which a document is refused; empty when it is accepted. */
export function problemsOf(document: unknown): readonly string[] {
  try {
    read(document);
  } catch (error) {
    if (error instanceof NetworkError && error.code === "TOPOLOGY_INVALID") {
      const { problems } = error.details;
      return Array.isArray(problems) ? problems : [];
    }
    throw error;
  }
  return [];
}

/** The warnings (`place: warning`) of a document that is accepted. */
export function warningsOf(document: unknown): readonly string[] {
  return read(document).warnings.map(({ place, message }) => `${place}: ${message}`);
}

export function network(cidr: string, blockMask = 32): Network {
  return { name: "net", cidr: parseCidr(cidr), blockMask, tenants: [] };
}

export function spec(name: string, ...children: readonly GroupSpec[]): GroupSpec {
  return { name, assignment: {}, routing: "", dummy: false, children };
}

/** The root that a map gives in a network of this range. */
export function carved(cidr: string, ...map: readonly GroupSpec[]): Group {
  return carveGroups(network(cidr), map).root;
}

/** One readable line per group, the root first: `rack-1 10.0.0.0/18`, with `(reserve)` or `(dummy)` behind. */
export function show(root: Group): readonly string[] {
  return groupsOf(root).map(({ name, cidr, kind }) =>
    [name === "" ? "-" : name, cidr, ...(kind === "group" ? [] : [`(${kind})`])].join(" "),
  );
}

/** Random trees of at most three levels with up to nine siblings: 12 bits of prefix at most. */
export const specs: fc.Arbitrary<readonly GroupSpec[]> = levels(3);

function levels(depth: number): fc.Arbitrary<readonly GroupSpec[]> {
  const children =
    depth === 1 ? fc.constant([]) : fc.oneof(fc.constant([]), fc.constant([]), levels(depth - 1));
  const group = fc.record({
    name: fc.constantFrom("", "/", "a", "rack 1"),
    assignment: fc.dictionary(fc.constantFrom("zone", "rack", "__proto__"), fc.constantFrom("1", "2"), {
      noNullPrototype: true,
    }),
    routing: fc.constantFrom("", "block-on-host"),
    dummy: fc.boolean().map((flag) => flag && depth % 2 === 0),
    children,
  });
  return fc.array(group, { maxLength: 9 });
}

/** The document of a tree, with hosts in its leaves as `hostsOf` says. */
export function documentOf(
  root: GroupSpec,
  hostsOf: (leaf: GroupSpec) => readonly GroupDocument[] = () => [],
): GroupDocument {
  const { name, assignment, routing, dummy, children } = root;
  const inside = (child: GroupSpec) => documentOf({ ...child, dummy: dummy || child.dummy }, hostsOf);
  const groups = children.length === 0 ? hostsOf(root) : children.map(inside);
  return { name, assignment, routing, dummy, groups };
}

/** Three networks that do not overlap and are wide enough for every tree of `specs`. */
const NETWORKS = [
  { name: "ten", cidr: "10.0.0.0/8" },
  { name: "private", cidr: "172.16.0.0/12", block_mask: 30, tenants: ["a", "b"] },
  { name: "small", cidr: "192.168.0.0/16", block_mask: 32, tenants: ["*"] },
];

/** Valid documents: up to three networks in up to three topologies, with hosts in some leaves. */
export const documents: fc.Arbitrary<unknown> = fc
  .record({
    entries: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 3, maxLength: 3 }),
    maps: fc.tuple(specs, specs, specs),
    hosts: fc.infiniteStream(fc.nat(2)),
  })
  .map(({ entries, maps, hosts }) => {
    let count = 0;
    const hostsOf = ({ dummy }: GroupSpec): readonly GroupDocument[] =>
      dummy
        ? []
        : Array.from({ length: hosts.next().value ?? 0 }, () => {
            count += 1;
            return {
              name: `host-${count}`,
              ip: `198.18.${count >> 8}.${count & 255}`,
              assignment: { n: `${count}` },
            };
          });
    const topologies = [...new Set(entries)].map((entry) => ({
      networks: NETWORKS.filter((_, index) => entries[index] === entry).map(({ name }) => name),
      map: (maps[entry] ?? []).map((root) => documentOf(root, hostsOf)),
    }));
    return { networks: NETWORKS, topologies };
  });
