import { DescribeAvailabilityZonesCommand, type EC2Client } from "@aws-sdk/client-ec2";

import type { Ec2Caller } from "./ec2-caller.ts";
import { readPages, unreadable } from "./ec2-pages.ts";
import { readZone } from "./schema.ts";

export interface ZoneReaderOptions {
  readonly client: EC2Client;
  readonly caller: Ec2Caller;
  readonly region: string;
  readonly timeoutMs: number;
}

/**
 * Names of the region's availability zones that the account may use, sorted; without local and Wavelength zones, and without those that are `unavailable`. One
 * that is impaired or constrained today is there all the same. Throws `CLOUD_UNREADABLE` for an answer that cannot be read whole or names no zone.
 */
export async function readZones(
  { client, caller, region, timeoutMs }: ZoneReaderOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const call = { action: "DescribeAvailabilityZones", asked: `list the availability zones of ${region}` };
  const pages = readPages(
    {
      ...call,
      caller,
      timeoutMs,
      // This call has no pages.
      send: (_, abortSignal) =>
        client.send(
          new DescribeAvailabilityZonesCommand({
            Filters: [{ Name: "zone-type", Values: ["availability-zone"] }],
          }),
          { abortSignal },
        ),
      items: (output) => output.AvailabilityZones,
    },
    signal,
  );
  const found = new Set<string>();
  for await (const items of pages) {
    for (const item of items) {
      const reading = readZone(item);
      if (!reading.ok) {
        throw unreadable(call, reading.problem);
      }
      const { name, type, state } = reading.value;
      if (type === "availability-zone" && state !== "unavailable") {
        found.add(name);
      }
    }
  }
  if (found.size === 0) {
    throw unreadable(call, "it names no availability zone");
  }
  return [...found].toSorted();
}
