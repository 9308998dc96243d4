import { DescribeVpcsCommand, EC2Client } from "@aws-sdk/client-ec2";
import { describe, expect, it } from "vitest";

import { requireMoto, startMoto } from "../support/moto.ts";

describe.skipIf(requireMoto())("moto", () => {
  it("answers EC2 calls, each server with a state of its own, and is gone after it was stopped", async () => {
    const [first, second] = await Promise.all([startMoto(), startMoto()]);
    const client = new EC2Client({
      endpoint: first.endpoint,
      region: "us-east-1",
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
      maxAttempts: 1,
    });

    const { Vpcs } = await client.send(new DescribeVpcsCommand({}));

    expect(Vpcs).toEqual([expect.objectContaining({ CidrBlock: "172.31.0.0/16", IsDefault: true })]);
    expect(second.endpoint).not.toBe(first.endpoint);
    await Promise.all([first.stop(), second.stop()]);
    await first.stop();
    await expect(client.send(new DescribeVpcsCommand({}))).rejects.toMatchObject({ code: "ECONNREFUSED" });
    client.destroy();
  });
});
