import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { createEc2Cloud, type CreateEc2CloudOptions } from "../../../src/adapters/aws/create-ec2-cloud.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { silentLog } from "../../support/silent-log.ts";

const never = new AbortController().signal;
const OFF = { endpoint: "http://127.0.0.1:9", disabled: true, timeoutMs: 100, retries: 0 };

const closers: (() => Promise<void>)[] = [];
beforeEach(() => {
  // Whatever profile or role the machine has: the tests bring their own.
  for (const name of [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_EC2",
  ]) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv("AWS_CONFIG_FILE", "/dev/null");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(closers.splice(0).map((close) => close()));
});

/** An HTTP server on 127.0.0.1; `answer` gets the request and its body. */
async function serve(answer: (request: IncomingMessage, body: string) => string): Promise<string> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => response.end(answer(request, body)));
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
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function connect(over: Partial<CreateEc2CloudOptions> = {}) {
  const connected = await createEc2Cloud(
    { clock: new FakeClock(), log: silentLog, vpc: "vpc-1", metadata: OFF, ...over },
    never,
  );
  closers.push(() => {
    connected.close();
    return Promise.resolve();
  });
  return connected;
}

describe("createEc2Cloud", () => {
  it("takes region and VPC as given, and asks nobody", async () => {
    expect(await connect({ region: "eu-west-1" })).toMatchObject({ region: "eu-west-1", vpcId: "vpc-1" });
  });

  it("takes the region of the environment before the instance's", async () => {
    vi.stubEnv("AWS_REGION", "ap-south-1");

    expect((await connect()).region).toBe("ap-south-1");
  });

  it("finds both from the instance metadata where nothing else says them", async () => {
    const endpoint = await serve(({ url }) => {
      if (url === "/latest/meta-data/placement/region") {
        return "us-west-2";
      }
      if (url === "/latest/meta-data/mac") {
        return "02:29:96:8f:6a:2d";
      }
      return url?.endsWith("/vpc-id") === true ? "vpc-0abc" : "TOKEN==";
    });

    const connected = await connect({ vpc: undefined, metadata: { ...OFF, disabled: false, endpoint } });

    expect(connected).toMatchObject({ region: "us-west-2", vpcId: "vpc-0abc" });
  });

  it.for([
    ["the region", { vpc: "vpc-1" }, "--region"],
    ["the VPC", { region: "us-west-2", vpc: undefined }, "--vpc"],
  ] as const)("says which option to give when %s cannot be found", async ([, options, option]) => {
    await expect(connect(options)).rejects.toMatchObject({
      code: "METADATA_UNAVAILABLE",
      message: expect.stringContaining(option) as string,
    });
  });

  it("refuses what is no VPC's id before it asks anybody", async () => {
    await expect(connect({ vpc: "my-vpc" })).rejects.toMatchObject({ code: "VPC_INVALID", kind: "invalid" });
  });

  it("signs with the environment's credentials and calls the environment's endpoint, once per attempt", async () => {
    const requests: { readonly authorization: string; readonly body: string }[] = [];
    const endpoint = await serve(({ headers }, body) => {
      requests.push({ authorization: headers.authorization ?? "", body });
      return "<CreateRouteResponse><return>true</return></CreateRouteResponse>";
    });
    vi.stubEnv("AWS_ENDPOINT_URL_EC2", endpoint);
    const { cloud } = await connect({ region: "eu-west-1" });

    await cloud.disableSourceDestCheck("eni-1", () => Promise.resolve(Infinity), never);

    expect(requests).toHaveLength(1);
    expect(requests[0]?.authorization).toMatch(/Credential=AKIDEXAMPLE\/\d+\/eu-west-1\/ec2\//);
    expect(new URLSearchParams(requests[0]?.body).get("SourceDestCheck.Value")).toBe("false");
  });

  it("leaves repeats to the adapter: the SDK makes none of its own", async () => {
    let requests = 0;
    const endpoint = await serve(() => {
      requests += 1;
      return "not XML";
    });
    vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
    const { cloud } = await connect({ region: "eu-west-1", retries: 0 });

    await expect(
      cloud.disableSourceDestCheck("eni-1", () => Promise.resolve(Infinity), never),
    ).rejects.toMatchObject({
      code: "CLOUD_UNAVAILABLE",
    });

    expect(requests).toBe(1);
  });

  it("says so when there are no credentials", async () => {
    for (const name of [
      "AWS_ACCESS_KEY_ID",
      "AWS_SECRET_ACCESS_KEY",
      "AWS_WEB_IDENTITY_TOKEN_FILE",
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
      "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ]) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    const { cloud } = await connect({ region: "eu-west-1", retries: 0 });

    await expect(cloud.describe(never)).rejects.toMatchObject({ code: "CLOUD_UNAUTHENTICATED" });
  });
});
