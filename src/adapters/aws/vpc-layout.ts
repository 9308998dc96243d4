import { DescribeSubnetsCommand, DescribeVpcsCommand, type EC2Client } from "@aws-sdk/client-ec2";

import type { CloudSubnet } from "../../core/cloud/facts.ts";
import { NetworkError } from "../../core/errors.ts";
import type { Cidr } from "../../core/net/cidr.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Ec2Caller } from "./ec2-caller.ts";
import { readPages, unreadable } from "./ec2-pages.ts";
import { readSubnet, readVpcCidrs } from "./schema.ts";

/** Milliseconds after which subnets and CIDRs are read again although nothing hints at a change. */
const MAX_AGE_MS = 10 * 60_000;
/** EC2 API, DescribeSubnets: 5 to 1,000. */
const SUBNETS_PER_PAGE = 1000;

/** What changes rarely in a VPC. */
export interface Layout {
  readonly subnets: readonly CloudSubnet[];
  readonly vpcCidrs: readonly Cidr[];
}

export interface VpcLayoutOptions {
  readonly client: EC2Client;
  readonly caller: Ec2Caller;
  readonly clock: Clock;
  readonly log: Logger;
  readonly vpcId: string;
  readonly timeoutMs: number;
}

/** One of the two readings, with the moments (monotonic milliseconds) at which it last succeeded and was last tried. */
interface Part {
  readAt: number;
  triedAt: number;
}

/**
 * The VPC's CIDRs and subnets, kept between passes. Both are read at the start, and at once when a subnet turns up that is not among them; a subnet that is
 * not there then either is not asked for again until the next reading. A reading that is 10 minutes old is renewed, the two in different passes, so that a
 * pass in which nothing is new never costs more than one call for them.
 */
export class VpcLayout {
  readonly #options: VpcLayoutOptions;
  readonly #subnetsPart: Part = { readAt: 0, triedAt: 0 };
  readonly #cidrsPart: Part = { readAt: 0, triedAt: 0 };
  #layout: Layout | undefined;
  #known = new Set<string>();

  constructor(options: VpcLayoutOptions) {
    this.#options = options;
  }

  /**
   * The layout, with `subnetIds` in it where they exist. When only its age asks for a new reading and that fails, the old layout stays and
   * a later call tries again.
   */
  async read(subnetIds: Iterable<string>, signal: AbortSignal): Promise<Layout> {
    const seen = [...subnetIds];
    const old = this.#layout;
    if (old === undefined || seen.some((id) => !this.#known.has(id))) {
      const vpcCidrs = await this.#renew(this.#cidrsPart, () => this.#fetchCidrs(signal));
      const subnets = await this.#renew(this.#subnetsPart, () => this.#fetchSubnets(signal));
      return this.#keep({ vpcCidrs, subnets }, seen);
    }
    const part = this.#due();
    if (part === undefined) {
      return old;
    }
    try {
      return part === this.#subnetsPart
        ? this.#keep({ ...old, subnets: await this.#renew(part, () => this.#fetchSubnets(signal)) }, seen)
        : this.#keep({ ...old, vpcCidrs: await this.#renew(part, () => this.#fetchCidrs(signal)) }, seen);
    } catch (error) {
      if (!(error instanceof NetworkError)) {
        throw error;
      }
      const what = part === this.#subnetsPart ? "subnets" : "CIDRs of the VPC";
      this.#options.log.warn({ err: error }, `${what} could not be read again, the last ones stay`);
      return old;
    }
  }

  /** Of the readings that are old the one that was tried longest ago, so that one that always fails does not keep the other from its turn. */
  #due(): Part | undefined {
    const now = this.#options.clock.monotonic();
    return [this.#subnetsPart, this.#cidrsPart]
      .filter(({ readAt }) => now - readAt >= MAX_AGE_MS)
      .toSorted((a, b) => a.triedAt - b.triedAt)[0];
  }

  async #renew<T>(part: Part, fetch: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    part.triedAt = clock.monotonic();
    const value = await fetch();
    part.readAt = clock.monotonic();
    return value;
  }

  #keep(layout: Layout, seen: readonly string[]): Layout {
    this.#layout = layout;
    this.#known = new Set([...layout.subnets.map(({ id }) => id), ...seen]);
    return layout;
  }

  async #fetchCidrs(signal: AbortSignal): Promise<readonly Cidr[]> {
    const { client, caller, vpcId, timeoutMs } = this.#options;
    const call = { action: "DescribeVpcs", asked: `read the CIDRs of ${vpcId}` };
    const pages = readPages(
      {
        ...call,
        caller,
        timeoutMs,
        send: (NextToken, abortSignal) =>
          client.send(
            new DescribeVpcsCommand({ Filters: [{ Name: "vpc-id", Values: [vpcId] }], NextToken }),
            {
              abortSignal,
            },
          ),
        items: (output) => output.Vpcs,
      },
      signal,
    );
    let cidrs: readonly Cidr[] | undefined;
    for await (const items of pages) {
      for (const item of items) {
        const reading = readVpcCidrs(item);
        if (!reading.ok) {
          throw unreadable(call, reading.problem);
        }
        cidrs = reading.value;
      }
    }
    if (cidrs === undefined) {
      throw new NetworkError(
        "not-found",
        "VPC_NOT_FOUND",
        `cannot ${call.asked}: there is no such VPC in this region and account; give the right one with --vpc and --region`,
        { vpcId },
      );
    }
    return cidrs;
  }

  async #fetchSubnets(signal: AbortSignal): Promise<readonly CloudSubnet[]> {
    const { client, caller, log, vpcId, timeoutMs } = this.#options;
    const pages = readPages(
      {
        caller,
        action: "DescribeSubnets",
        asked: `list the subnets of ${vpcId}`,
        timeoutMs,
        send: (NextToken, abortSignal) =>
          client.send(
            new DescribeSubnetsCommand({
              Filters: [{ Name: "vpc-id", Values: [vpcId] }],
              MaxResults: SUBNETS_PER_PAGE,
              NextToken,
            }),
            { abortSignal },
          ),
        items: (output) => output.Subnets,
      },
      signal,
    );
    const found = new Map<string, CloudSubnet>();
    for await (const items of pages) {
      for (const item of items) {
        const reading = readSubnet(item);
        if (reading.ok) {
          found.set(reading.value.id, reading.value);
        } else {
          // An IPv6-only subnet has no IPv4 CIDR, and no host of ours.
          log.warn({ problem: reading.problem }, "subnet cannot be read");
        }
      }
    }
    return [...found.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }
}
