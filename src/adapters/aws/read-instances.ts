import {
  DescribeInstancesCommand,
  type DescribeInstancesCommandOutput,
  type EC2Client,
  type Instance,
} from "@aws-sdk/client-ec2";

import type { CloudInstance } from "../../core/cloud/facts.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Ec2Caller } from "./ec2-caller.ts";
import { readPages, unreadable } from "./ec2-pages.ts";
import { readInstance } from "./schema.ts";

/** EC2's states, all of them: a filter on the state keeps EC2 from leaving out what it leaves out by default some day. */
const STATES = ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"];

export interface InstanceReaderOptions {
  readonly client: EC2Client;
  readonly caller: Ec2Caller;
  readonly log: Logger;
  readonly vpcId: string;
  /** Only instances with the tag `kubernetes.io/cluster/<cluster>`, whatever its value. */
  readonly cluster: string | undefined;
  readonly timeoutMs: number;
  /** Instances per page, 5 to 1,000. */
  readonly pageSize: number;
}

/** Reads the instances of a VPC, and remembers what each looked like when it could last be read. */
export class InstanceReader {
  readonly #options: InstanceReaderOptions;
  #lastGood: ReadonlyMap<string, CloudInstance> = new Map();
  #skipped = 0;

  constructor(options: InstanceReaderOptions) {
    this.#options = options;
  }

  /** Instance descriptions that could not be read, since the start. */
  skipped(): number {
    return this.#skipped;
  }

  /** All instances, sorted by id. Of one that cannot be read now the last good description is given, if there is one. */
  async read(signal: AbortSignal): Promise<{
    readonly instances: readonly CloudInstance[];
    readonly unreadableIds: readonly string[];
  }> {
    const found = new Map<string, CloudInstance>();
    const unreadableIds = new Set<string>();
    for await (const instances of this.#pages(signal)) {
      for (const item of instances) {
        const reading = readInstance(item, this.#options.vpcId);
        if (reading.ok) {
          found.set(reading.value.id, reading.value);
          continue;
        }
        this.#skipped += 1;
        const known = reading.id === undefined ? undefined : this.#lastGood.get(reading.id);
        this.#options.log.warn(
          { instanceId: reading.id, problem: reading.problem, lastGoodKept: known !== undefined },
          "instance cannot be read",
        );
        if (reading.id !== undefined) {
          unreadableIds.add(reading.id);
        }
        if (known !== undefined) {
          found.set(known.id, known);
        }
      }
    }
    this.#lastGood = found;
    return {
      instances: [...found.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      unreadableIds: [...unreadableIds].toSorted(),
    };
  }

  /** One instance, without regard to VPC and tags: of a terminated one EC2 tells neither. */
  async readOne(instanceId: string, signal: AbortSignal): Promise<CloudInstance | undefined> {
    // Anything else names nothing, and `*` and `?` would match others in a filter.
    if (!/^i-[0-9a-z]+$/.test(instanceId)) {
      return undefined;
    }
    const { client, caller, vpcId, timeoutMs } = this.#options;
    const call = {
      caller,
      action: "DescribeInstances",
      asked: `look at instance ${instanceId}`,
      timeoutMs,
      send: (NextToken: string | undefined, abortSignal: AbortSignal) =>
        client.send(
          new DescribeInstancesCommand({
            Filters: [
              { Name: "instance-id", Values: [instanceId] },
              { Name: "instance-state-name", Values: STATES },
            ],
            NextToken,
          }),
          { abortSignal },
        ),
      items: (output: DescribeInstancesCommandOutput) => output.Reservations,
    };
    for await (const reservations of readPages(call, signal)) {
      for (const item of reservations.flatMap(({ Instances }) => Instances ?? [])) {
        const reading = readInstance(item, vpcId);
        if (!reading.ok) {
          throw unreadable(call, reading.problem);
        }
        if (reading.value.id === instanceId) {
          return reading.value;
        }
      }
    }
    return undefined;
  }

  async *#pages(signal: AbortSignal): AsyncGenerator<readonly Instance[], void, void> {
    const { client, caller, vpcId, cluster, timeoutMs, pageSize } = this.#options;
    const filters = [
      { Name: "vpc-id", Values: [vpcId] },
      { Name: "instance-state-name", Values: STATES },
      ...(cluster === undefined ? [] : [{ Name: "tag-key", Values: [`kubernetes.io/cluster/${cluster}`] }]),
    ];
    const pages = readPages(
      {
        caller,
        action: "DescribeInstances",
        asked: `list the instances of ${vpcId}`,
        timeoutMs,
        send: (NextToken, abortSignal) =>
          client.send(new DescribeInstancesCommand({ Filters: filters, MaxResults: pageSize, NextToken }), {
            abortSignal,
          }),
        items: (output) => output.Reservations,
      },
      signal,
    );
    for await (const reservations of pages) {
      yield reservations.flatMap(({ Instances }) => Instances ?? []);
    }
  }
}
