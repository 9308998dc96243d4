import { compareCidr, overlaps, type Cidr } from "../core/net/cidr.ts";
import type { ReservedRange } from "../core/topology/check-topology.ts";
import type { Logger } from "../ports/logger.ts";

/** Who says that a range is taken: the cluster its service addresses, the cloud the CIDRs of the VPC. */
export type ReservedSource = "service-range" | "vpc";

/** The networks that ranges are held against. */
export interface ReservedNetworks {
  networks(): readonly { readonly name: string; readonly cidr: Cidr }[];
  /** Takes every range that no network of a later update may overlap. */
  setReserved(list: readonly ReservedRange[]): void;
  /** Calls the listener after a change; returns what ends that. */
  onChange(listener: (what: "topology" | "hosts" | "blocks") => void): () => void;
}

export interface ReservedRangesOptions {
  readonly addressing: ReservedNetworks;
  readonly log: Logger;
}

/** A network in force that shares addresses with a range which was learned after it was stored. */
export interface NetworkOverlap {
  readonly source: ReservedSource;
  readonly network: string;
  /** Of the network. */
  readonly cidr: Cidr;
  readonly range: Cidr;
  readonly what: string;
}

/**
 * Every range that no network may overlap, by who says so: what one source says replaces what it said before, and leaves the others alone. A network that is in
 * force already is never moved nor refused by it: the overlap is logged once, and counted for as long as it lasts.
 */
export class ReservedRanges {
  readonly #addressing: ReservedNetworks;
  readonly #log: Logger;
  readonly #bySource = new Map<ReservedSource, readonly ReservedRange[]>();
  readonly #forget: () => void;
  #overlaps: readonly NetworkOverlap[] = [];

  constructor({ addressing, log }: ReservedRangesOptions) {
    this.#addressing = addressing;
    this.#log = log;
    this.#forget = addressing.onChange((what) => {
      if (what === "topology") {
        this.#look();
      }
    });
  }

  /** What a source says now, all of it. */
  put(source: ReservedSource, ranges: readonly ReservedRange[]): void {
    const sorted = ranges.toSorted((a, b) => compareCidr(a.cidr, b.cidr));
    if (JSON.stringify(this.#bySource.get(source) ?? []) === JSON.stringify(sorted)) {
      return;
    }
    this.#bySource.set(source, sorted);
    this.#addressing.setReserved(this.list());
    this.#look();
  }

  /** All ranges, those of services first. */
  list(): readonly ReservedRange[] {
    return [...(this.#bySource.get("service-range") ?? []), ...(this.#bySource.get("vpc") ?? [])];
  }

  /** Networks in force that overlap a range. */
  overlaps(): readonly NetworkOverlap[] {
    return this.#overlaps;
  }

  stop(): void {
    this.#forget();
  }

  #look(): void {
    const networks = this.#addressing.networks();
    const known = new Set(this.#overlaps.map(keyOf));
    this.#overlaps = [...this.#bySource].flatMap(([source, ranges]) =>
      ranges.flatMap(({ cidr: range, what }) =>
        networks
          .filter(({ cidr }) => overlaps(cidr, range))
          .map(({ name, cidr }) => ({ source, network: name, cidr, range, what })),
      ),
    );
    for (const overlap of this.#overlaps.filter((each) => !known.has(keyOf(each)))) {
      const { network, cidr, range, what } = overlap;
      this.#log.warn(
        { network, cidr, range, what },
        "a network in force overlaps a range that is taken: nothing moves, but its addresses there may not be reached; move to a second network",
      );
    }
  }
}

function keyOf({ source, network, cidr, range }: NetworkOverlap): string {
  return `${source} ${network} ${cidr} ${range}`;
}
