import { formatCidr } from "../core/net/cidr.ts";

/**
 * The names of the objects that addressing stores. Names of hosts, networks and endpoints are percent-encoded, so that a slash in one adds no level.
 *
 *     <prefix>/topology                       the document
 *     <prefix>/topology-revision              counts topology updates and changes of hosts
 *     <prefix>/hosts/<name>
 *     <prefix>/blocks/<network>/<a.b.c.d-len>
 *     <prefix>/addresses/<name>
 *     <prefix>/blackouts/<network>            all of a network in one, so that an allocation can compare it
 *     <prefix>/generation                     which staged change is valid; every transaction compares it
 *     <prefix>/staged/<id>/<n>, …/marker      what does not fit one transaction, until it stands under the keys above
 *     <prefix>/schema                         version of all these
 */
export interface AddressingKeys {
  /** Everything stands below it, and what others store. */
  readonly root: string;
  readonly topology: string;
  readonly topologyRevision: string;
  readonly hosts: string;
  readonly blocks: string;
  readonly addresses: string;
  readonly blackouts: string;
  readonly generation: string;
  /** All that is staged stands below it. */
  readonly staged: string;
  readonly schema: string;
  host(name: string): string;
  /** `first`: the block's first address, unsigned; `length`: its prefix length. */
  block(network: string, first: number, length: number): string;
  address(name: string): string;
  blackoutsOf(network: string): string;
  /** The name of a key below `addresses`. */
  nameOf(addressKey: string): string;
  /** All of one staged change: its marker, written first and deleted before the rest, and its chunks. */
  stagedUnder(id: string): string;
  marker(id: string): string;
  /** `index`: from 0. */
  chunk(id: string, index: number): string;
}

/** The keys under a prefix such as `/romana`. The functions throw `URIError` for text that is not well-formed. */
export function addressingKeys(prefix: string): AddressingKeys {
  const hosts = `${prefix}/hosts/`;
  const blocks = `${prefix}/blocks/`;
  const addresses = `${prefix}/addresses/`;
  const blackouts = `${prefix}/blackouts/`;
  const staged = `${prefix}/staged/`;
  return {
    root: `${prefix}/`,
    topology: `${prefix}/topology`,
    topologyRevision: `${prefix}/topology-revision`,
    hosts,
    blocks,
    addresses,
    blackouts,
    generation: `${prefix}/generation`,
    staged,
    schema: `${prefix}/schema`,
    host: (name) => `${hosts}${encodeURIComponent(name)}`,
    block: (network, first, length) =>
      `${blocks}${encodeURIComponent(network)}/${formatCidr(first, length).replace("/", "-")}`,
    address: (name) => `${addresses}${encodeURIComponent(name)}`,
    blackoutsOf: (network) => `${blackouts}${encodeURIComponent(network)}`,
    nameOf: (key) => decodeURIComponent(key.slice(addresses.length)),
    stagedUnder: (id) => `${staged}${id}/`,
    marker: (id) => `${staged}${id}/marker`,
    chunk: (id, index) => `${staged}${id}/${String(index).padStart(6, "0")}`,
  };
}
