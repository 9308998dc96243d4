import {
  CreateRouteCommand,
  DeleteRouteCommand,
  type EC2Client,
  ModifyNetworkInterfaceAttributeCommand,
  ReplaceRouteCommand,
} from "@aws-sdk/client-ec2";

import type { CloudFacts, CloudInstance } from "../../core/cloud/facts.ts";
import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Admit, Cloud, CloudAction, RouteWrite, ZoneSource } from "../../ports/cloud.ts";
import type { Logger } from "../../ports/logger.ts";
import { Ec2Caller } from "./ec2-caller.ts";
import { InstanceReader } from "./read-instances.ts";
import { readRouteTables, type RouteTableReaderOptions } from "./read-route-tables.ts";
import { readZones } from "./read-zones.ts";
import { VpcLayout } from "./vpc-layout.ts";

export interface Ec2CloudOptions {
  /** With `maxAttempts: 1`: repeats are made here, each after asking for admission. */
  readonly client: EC2Client;
  /** Only stated in the facts; the client's own region is where calls go. */
  readonly region: string;
  readonly vpcId: string;
  /** Only instances tagged `kubernetes.io/cluster/<cluster>`; without it, all of the VPC. */
  readonly cluster?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds that one attempt of a write may take. */
  readonly attemptTimeoutMs: number;
  /** Milliseconds that one attempt of a Describe page may take; 20,000 unless given (a slow endpoint lists for seconds). */
  readonly readTimeoutMs?: number | undefined;
  /** Further attempts after a transient failure. */
  readonly retries: number;
  /** Milliseconds before the first further attempt, doubled each time and varied by half; 100 unless given. */
  readonly retryBaseMs?: number | undefined;
  /** Instances a page, 5 to 1,000; 100 unless given: parsing a page stops the event loop (docs/aws.md). */
  readonly instancesPerPage?: number | undefined;
  /** Route tables a page, 5 to 100; 10 unless given. */
  readonly routeTablesPerPage?: number | undefined;
  /** From 0 to below 1; varies the pauses. `Math.random` unless given. */
  readonly random?: (() => number) | undefined;
}

/**
 * A VPC through the EC2 API. A pass costs one DescribeInstances and one DescribeRouteTables (further pages are counted apart); subnets and
 * CIDRs are kept for 10 minutes. Nothing is asked per node, but for a look at one that is new.
 */
export class Ec2Cloud implements Cloud, ZoneSource {
  readonly #client: EC2Client;
  readonly #region: string;
  readonly #vpcId: string;
  readonly #attemptTimeoutMs: number;
  readonly #readTimeoutMs: number;
  readonly #caller: Ec2Caller;
  readonly #instances: InstanceReader;
  readonly #tables: RouteTableReaderOptions;
  readonly #layout: VpcLayout;

  constructor(options: Ec2CloudOptions) {
    const { client, region, vpcId, clock, log } = options;
    const timeoutMs = options.readTimeoutMs ?? 20_000;
    const caller = new Ec2Caller({
      clock,
      log,
      retries: options.retries,
      retryBaseMs: options.retryBaseMs ?? 100,
      random: options.random ?? Math.random,
    });
    this.#client = client;
    this.#region = region;
    this.#vpcId = vpcId;
    this.#attemptTimeoutMs = options.attemptTimeoutMs;
    this.#readTimeoutMs = timeoutMs;
    this.#caller = caller;
    const common = { client, caller, vpcId, timeoutMs };
    this.#instances = new InstanceReader({
      ...common,
      log,
      cluster: options.cluster,
      pageSize: options.instancesPerPage ?? 100,
    });
    this.#tables = { ...common, pageSize: options.routeTablesPerPage ?? 10 };
    this.#layout = new VpcLayout({ ...common, clock, log });
  }

  async describe(signal: AbortSignal): Promise<CloudFacts> {
    const [{ instances, unreadableIds }, routeTables] = await together(
      (both) => this.#instances.read(both),
      (both) => readRouteTables(this.#tables, both),
      signal,
    );
    const subnetIds = new Set([
      ...instances.flatMap(({ interfaces }) => interfaces.map(({ subnetId }) => subnetId)),
      ...routeTables.flatMap((table) => table.subnetIds),
    ]);
    const { subnets, vpcCidrs } = await this.#layout.read(subnetIds, signal);
    return {
      vpcId: this.#vpcId,
      region: this.#region,
      vpcCidrs,
      instances,
      ...(unreadableIds.length === 0 ? {} : { unreadableInstanceIds: unreadableIds }),
      subnets,
      routeTables,
    };
  }

  availabilityZones(signal: AbortSignal): Promise<readonly string[]> {
    return readZones(
      {
        client: this.#client,
        caller: this.#caller,
        region: this.#region,
        timeoutMs: this.#readTimeoutMs,
      },
      signal,
    );
  }

  describeInstance(instanceId: string, signal: AbortSignal): Promise<CloudInstance | undefined> {
    return this.#instances.readOne(instanceId, signal);
  }

  async writeRoute(write: RouteWrite, admit: Admit, signal: AbortSignal): Promise<void> {
    const { kind, routeTableId, destination } = write;
    const key = { RouteTableId: routeTableId, DestinationCidrBlock: destination };
    const where = `route ${destination}`;
    const details = { routeTableId, cidr: destination };
    switch (kind) {
      case "create": {
        const asked = `create ${where} via ${write.target} in ${routeTableId}`;
        await this.#write(
          "CreateRoute",
          asked,
          { ...details, eniId: write.target },
          async (abortSignal) => {
            const input = { ...key, NetworkInterfaceId: write.target };
            const { Return } = await this.#client.send(new CreateRouteCommand(input), { abortSignal });
            if (Return !== true) {
              throw new NetworkError(
                "transient",
                "CLOUD_UNAVAILABLE",
                `cannot ${asked}: the answer of EC2 CreateRoute does not say that the route was made; it is tried again later`,
                { ...details, eniId: write.target, action: "CreateRoute", outcomeUnknown: true },
              );
            }
          },
          admit,
          signal,
        );
        return;
      }
      case "replace":
        await this.#write(
          "ReplaceRoute",
          `lead ${where} to ${write.target} in ${routeTableId}`,
          { ...details, eniId: write.target },
          (abortSignal) => {
            const input = { ...key, NetworkInterfaceId: write.target };
            return this.#client.send(new ReplaceRouteCommand(input), { abortSignal });
          },
          admit,
          signal,
        );
        return;
      case "delete":
        await this.#write(
          "DeleteRoute",
          `delete ${where} from ${routeTableId}`,
          details,
          (abortSignal) => this.#client.send(new DeleteRouteCommand(key), { abortSignal }),
          admit,
          signal,
        );
    }
  }

  async disableSourceDestCheck(interfaceId: string, admit: Admit, signal: AbortSignal): Promise<void> {
    await this.#write(
      "ModifyNetworkInterfaceAttribute",
      `turn the source/destination check of ${interfaceId} off`,
      { eniId: interfaceId },
      (abortSignal) =>
        this.#client.send(
          new ModifyNetworkInterfaceAttributeCommand({
            NetworkInterfaceId: interfaceId,
            SourceDestCheck: { Value: false },
          }),
          { abortSignal },
        ),
      admit,
      signal,
    );
  }

  calls(): Readonly<Record<string, number>> {
    return this.#caller.counts();
  }

  /** Descriptions of instances that could not be read, since the start; each was logged. */
  skippedInstances(): number {
    return this.#instances.skipped();
  }

  async #write(
    action: CloudAction,
    asked: string,
    details: Readonly<Record<string, string>>,
    send: (abortSignal: AbortSignal) => Promise<unknown>,
    admit: Admit,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#caller.call(
      { action, asked, details, timeoutMs: this.#attemptTimeoutMs, admit: () => admit(action), send },
      signal,
    );
  }
}

/** Runs both; when one fails, the other is ended and the failure is thrown. */
async function together<A, B>(
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
  signal: AbortSignal,
): Promise<[A, B]> {
  signal.throwIfAborted();
  const both = new AbortController();
  const end = (): void => both.abort(signal.reason);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.all([first(both.signal), second(both.signal)]);
  } catch (error) {
    both.abort(error);
    throw error;
  } finally {
    signal.removeEventListener("abort", end);
  }
}
