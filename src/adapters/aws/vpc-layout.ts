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

/**
 * The VPC's CIDRs and subnets, kept between passes. Read again when they are 10 minutes old, and at once when a subnet turns up that is not
 * among them; a subnet that is not there then either is not asked for again until the next reading.
 */
export class VpcLayout {
  readonly #options: VpcLayoutOptions;
  #layout: Layout | undefined;
  #readAt = 0;
  #known = new Set<string>();

  constructor(options: VpcLayoutOptions) {
    this.#options = options;
  }

  /**
   * The layout, with `subnetIds` in it where they exist. When only its age asks for a new reading and that fails, the old layout stays and
   * the next call tries again.
   */
  async read(subnetIds: Iterable<string>, signal: AbortSignal): Promise<Layout> {
    const { clock, log } = this.#options;
    const seen = [...subnetIds];
    const old = this.#layout;
    const missing = seen.filter((id) => !this.#known.has(id));
    if (old !== undefined && missing.length === 0 && clock.monotonic() - this.#readAt < MAX_AGE_MS) {
      return old;
    }
    try {
      const layout = await this.#fetch(signal);
      this.#layout = layout;
      this.#readAt = clock.monotonic();
      this.#known = new Set([...layout.subnets.map(({ id }) => id), ...seen]);
      return layout;
    } catch (error) {
      if (old === undefined || missing.length > 0 || !(error instanceof NetworkError)) {
        throw error;
      }
      log.warn({ err: error }, "subnets could not be read again, the last ones stay");
      return old;
    }
  }

  async #fetch(signal: AbortSignal): Promise<Layout> {
    const vpcCidrs = await this.#fetchCidrs(signal);
    const subnets = await this.#fetchSubnets(signal);
    return { vpcCidrs, subnets };
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
