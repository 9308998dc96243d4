import { DescribeRouteTablesCommand, type EC2Client } from "@aws-sdk/client-ec2";

import type { CloudRouteTable } from "../../core/cloud/facts.ts";
import type { Ec2Caller } from "./ec2-caller.ts";
import { readPages, unreadable } from "./ec2-pages.ts";
import { readRouteTable } from "./schema.ts";

export interface RouteTableReaderOptions {
  readonly client: EC2Client;
  readonly caller: Ec2Caller;
  readonly vpcId: string;
  readonly timeoutMs: number;
  /** Tables per page, 5 to 100 (EC2 API, DescribeRouteTables). */
  readonly pageSize: number;
}

/** All route tables of the VPC, sorted by id. Throws `CLOUD_UNREADABLE` when one of them cannot be read whole. */
export async function readRouteTables(
  { client, caller, vpcId, timeoutMs, pageSize }: RouteTableReaderOptions,
  signal: AbortSignal,
): Promise<readonly CloudRouteTable[]> {
  const call = { action: "DescribeRouteTables", asked: `list the route tables of ${vpcId}` };
  const pages = readPages(
    {
      ...call,
      caller,
      timeoutMs,
      send: (NextToken, abortSignal) =>
        client.send(
          new DescribeRouteTablesCommand({
            Filters: [{ Name: "vpc-id", Values: [vpcId] }],
            MaxResults: pageSize,
            NextToken,
          }),
          { abortSignal },
        ),
      items: (output) => output.RouteTables,
    },
    signal,
  );
  const found = new Map<string, CloudRouteTable>();
  for await (const items of pages) {
    for (const item of items) {
      const reading = readRouteTable(item);
      if (!reading.ok) {
        throw unreadable(call, `route table ${reading.id ?? "without id"}: ${reading.problem}`);
      }
      found.set(reading.value.id, reading.value);
    }
  }
  return [...found.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
