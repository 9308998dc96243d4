import { NetworkError } from "../errors.ts";
import { formatCidr, rangeOf, type Cidr } from "../net/cidr.ts";
import type { CarvedNetwork, Group, Network } from "./topology.ts";

/** A group before it has a range: what the document says about it. */
export interface GroupSpec {
  readonly name: string;
  readonly assignment: Readonly<Record<string, string>>;
  readonly routing: string;
  /** Never takes a host, nor does any group inside it. */
  readonly dummy: boolean;
  readonly children: readonly GroupSpec[];
}

/** Name of the root that stands above the elements of a map with two or more of them. */
export const ROOT_NAME = "/";

/** Bits that a list of `count` siblings takes from their parent's prefix: 0 for one, 1 for two, 2 for three or four, … */
export function siblingBits(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}

/**
 * Carves the network's range for the groups of a map, in document order:
 *
 * ```
 * 10.1.0.0/16 for [a, b, c]       a 10.1.0.0/18   b 10.1.64.0/18   c 10.1.128.0/18   reserve 10.1.192.0/18
 * 10.1.0.0/16 for [a]             a 10.1.0.0/16, and `a` itself is the root
 * 10.1.0.0/16 for []              one reserve range: the network takes no host
 * ```
 *
 * A list of siblings is rounded up to a power of two, the rest of which is `reserve`; a single group inherits the whole range. Groups
 * inside a dummy group are dummy. Throws `NetworkError` `TOPOLOGY_INVALID` when a group would be smaller than one address.
 */
export function carveGroups(network: Network, map: readonly GroupSpec[]): CarvedNetwork {
  const [first] = map;
  if (first === undefined) {
    return { network, root: reserve(network.name, ROOT_NAME, network.cidr) };
  }
  const top = map.length === 1 ? first : rootOf(map);
  return { network, root: carve(network.name, top, network.cidr, false) };
}

function rootOf(children: readonly GroupSpec[]): GroupSpec {
  return { name: ROOT_NAME, assignment: {}, routing: "", dummy: false, children };
}

function carve(network: string, spec: GroupSpec, cidr: Cidr, insideDummy: boolean): Group {
  const { name, assignment, routing } = spec;
  const dummy = insideDummy || spec.dummy;
  const children = ranges(network, spec, cidr).map((range, index) => {
    const child = spec.children[index];
    return child === undefined ? reserve(network, "", range) : carve(network, child, range, dummy);
  });
  return { network, name, cidr, kind: dummy ? "dummy" : "group", assignment, routing, children };
}

function ranges(network: string, spec: GroupSpec, cidr: Cidr): readonly Cidr[] {
  const count = spec.children.length;
  if (count === 0) {
    return [];
  }
  const { first, length } = rangeOf(cidr);
  const bits = siblingBits(count);
  const childLength = length + bits;
  if (childLength > 32) {
    throw new NetworkError(
      "invalid",
      "TOPOLOGY_INVALID",
      `${count} groups do not fit into ${cidr} of network "${network}": each would be a /${childLength}; use fewer groups or a wider network`,
      { network, cidr },
    );
  }
  return Array.from({ length: 2 ** bits }, (_, index) =>
    formatCidr(first + index * 2 ** (32 - childLength), childLength),
  );
}

function reserve(network: string, name: string, cidr: Cidr): Group {
  return { network, name, cidr, kind: "reserve", assignment: {}, routing: "", children: [] };
}
