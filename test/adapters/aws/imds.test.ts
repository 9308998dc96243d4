import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import { InstanceMetadata, metadataOptions } from "../../../src/adapters/aws/imds.ts";

const never = new AbortController().signal;
const MAC = "02:29:96:8f:6a:2d";
const PATHS: Readonly<Record<string, string>> = {
  "/latest/meta-data/placement/region": "us-west-2",
  "/latest/meta-data/mac": MAC,
  [`/latest/meta-data/network/interfaces/macs/${MAC}/vpc-id`]: "vpc-0a1b2c3d4e5f60718",
};

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

/** A metadata service that speaks IMDSv2 only; `handler` may answer instead of it. */
async function serve(handler?: (request: IncomingMessage) => Handler | undefined) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const other = handler?.(request);
    if (other !== undefined) {
      other(request, response);
    } else if (request.method === "PUT" && request.url === "/latest/api/token") {
      const seconds = Number(request.headers["x-aws-ec2-metadata-token-ttl-seconds"]);
      response.writeHead(seconds >= 1 ? 200 : 400).end(seconds >= 1 ? "TOKEN==" : "");
    } else if (request.headers["x-aws-ec2-metadata-token"] === "TOKEN==") {
      const text = PATHS[request.url ?? ""];
      response.writeHead(text === undefined ? 404 : 200).end(text);
    } else {
      response.writeHead(401).end();
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const metadata = new InstanceMetadata({ endpoint, disabled: false, timeoutMs: 200, retries: 1 });
  return { endpoint, asked, metadata };
}

describe("InstanceMetadata", () => {
  it("finds region and VPC with one token", async () => {
    const { metadata, asked } = await serve();

    expect(await metadata.region(never)).toBe("us-west-2");
    expect(await metadata.vpcId(never)).toBe("vpc-0a1b2c3d4e5f60718");
    expect(asked).toEqual([
      "PUT /latest/api/token",
      "GET /latest/meta-data/placement/region",
      "GET /latest/meta-data/mac",
      `GET /latest/meta-data/network/interfaces/macs/${MAC}/vpc-id`,
    ]);
  });

  it("asks again after a time-out, and then says what to give instead", async () => {
    const { metadata, asked, endpoint } = await serve(() => () => undefined);

    await expect(metadata.vpcId(never)).rejects.toMatchObject({
      code: "METADATA_UNAVAILABLE",
      kind: "transient",
      message: expect.stringMatching(
        new RegExp(`cannot find the VPC .*${endpoint}: no answer within 200 ms; give it with --vpc `),
      ) as string,
    });
    expect(asked).toEqual(["PUT /latest/api/token", "PUT /latest/api/token"]);
  });

  it("asks again after a server error", async () => {
    let failures = 0;
    const { metadata } = await serve(() => {
      failures += 1;
      return failures > 1 ? undefined : (_, response) => void response.writeHead(503).end();
    });

    expect(await metadata.region(never)).toBe("us-west-2");
  });

  it("does not ask again after a refusal", async () => {
    const { metadata, asked } = await serve(() => (_, response) => void response.writeHead(403).end());

    await expect(metadata.region(never)).rejects.toMatchObject({
      message: expect.stringContaining("HTTP 403; give it with --region, or AWS_REGION") as string,
    });
    expect(asked).toHaveLength(1);
  });

  it.for([
    ["a page of something else", "<html>login</html>"],
    ["nothing", ""],
    ["no end of text", "x".repeat(100_000)],
  ] as const)("does not take %s for a region", async ([, text]) => {
    const { metadata } = await serve(({ method }) =>
      method === "GET" ? (_, response) => void response.end(text) : undefined,
    );

    await expect(metadata.region(never)).rejects.toMatchObject({ code: "METADATA_UNAVAILABLE" });
  });

  it("says so when nothing listens there", async () => {
    const { endpoint, metadata } = await serve();
    await Promise.all(closers.splice(0).map((close) => close()));

    await expect(metadata.region(never)).rejects.toMatchObject({
      code: "METADATA_UNAVAILABLE",
      message: expect.stringContaining(endpoint) as string,
    });
  });

  it("asks nothing where it is switched off", async () => {
    const { endpoint, asked } = await serve();
    const metadata = new InstanceMetadata({ endpoint, disabled: true, timeoutMs: 200, retries: 1 });

    await expect(metadata.region(never)).rejects.toMatchObject({
      message: expect.stringContaining("AWS_EC2_METADATA_DISABLED is true; give it with --region") as string,
    });
    expect(asked).toEqual([]);
  });

  it("ends with the signal's reason", async () => {
    const stop = new AbortController();
    const reason = new Error("shutting down");
    const { metadata } = await serve(() => () => stop.abort(reason));

    await expect(metadata.region(stop.signal)).rejects.toBe(reason);
  });
});

describe("metadataOptions", () => {
  it.for([
    [{}, "http://169.254.169.254", false],
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6" }, "http://[fd00:ec2::254]", false],
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1338" }, "http://127.0.0.1:1338", false],
    [{ AWS_EC2_METADATA_DISABLED: "TRUE" }, "http://169.254.169.254", true],
  ] as const)("reads %j as the AWS SDKs do", ([env, endpoint, disabled]) => {
    expect(metadataOptions(env)).toMatchObject({ endpoint, disabled });
  });
});
