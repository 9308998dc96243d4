import { EC2Client } from "@aws-sdk/client-ec2";

import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Logger } from "../../ports/logger.ts";
import { Ec2Cloud } from "./ec2-cloud.ts";
import { FencedHandler } from "./fenced-handler.ts";
import { InstanceMetadata, metadataOptions, type InstanceMetadataOptions } from "./imds.ts";
import { readLean } from "./lean-answers.ts";

/** A connection that is not made after this is tried again. */
const CONNECTION_TIMEOUT_MS = 1000;

export interface CreateEc2CloudOptions {
  /** For example `us-west-2`. Unless given: `AWS_REGION`, the profile's region, the instance's own. */
  readonly region?: string | undefined;
  /** For example `vpc-0a1b2c3d`. Unless given: the instance's own. */
  readonly vpc?: string | undefined;
  /** Only instances tagged `kubernetes.io/cluster/<cluster>`. */
  readonly cluster?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds for one attempt of a write; 2,000 unless given. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Milliseconds for one page of a Describe call; 20,000 unless given. */
  readonly readTimeoutMs?: number | undefined;
  /** Further attempts after a transient failure; 2 unless given. */
  readonly retries?: number | undefined;
  /** Connections to EC2 at once; 64 unless given. Further calls wait. */
  readonly maxSockets?: number | undefined;
  /** Unless given, as the environment says. */
  readonly metadata?: InstanceMetadataOptions | undefined;
}

/** A cloud with what was found out for it. */
export interface ConnectedEc2 {
  readonly cloud: Ec2Cloud;
  readonly region: string;
  readonly vpcId: string;
  /** Closes its connections; calls under way fail. */
  close(): void;
}

/**
 * An `Ec2Cloud` set up as users of the AWS SDKs expect: endpoint from `AWS_ENDPOINT_URL_EC2`, `AWS_ENDPOINT_URL` or the profile; credentials by
 * the default chain (environment, profile and SSO, web identity of a service account, container, instance role). No call to EC2 is made yet.
 * Throws `METADATA_UNAVAILABLE` (transient) when region or VPC are not given and cannot be found, `VPC_INVALID` for what is no VPC's id.
 */
export async function createEc2Cloud(
  options: CreateEc2CloudOptions,
  signal: AbortSignal,
): Promise<ConnectedEc2> {
  const {
    clock,
    log,
    attemptTimeoutMs = 2000,
    readTimeoutMs = 20_000,
    retries = 2,
    maxSockets = 64,
  } = options;
  if (options.vpc !== undefined && !/^vpc-[0-9a-z]+$/.test(options.vpc)) {
    throw new NetworkError(
      "invalid",
      "VPC_INVALID",
      `"${options.vpc}" is not the id of a VPC: give one such as vpc-0a1b2c3d4e5f60718 with --vpc`,
      { vpc: options.vpc },
    );
  }
  const metadata = new InstanceMetadata(options.metadata ?? metadataOptions(process.env));
  const region = options.region ?? (await configuredRegion()) ?? (await metadata.region(signal));
  const vpcId = options.vpc ?? (await metadata.vpcId(signal));
  const client = new EC2Client({
    region,
    maxAttempts: 1,
    requestHandler: new FencedHandler({ keepAlive: true, maxSockets }, CONNECTION_TIMEOUT_MS),
  });
  readLean(client);
  log.info({ region, vpcId, cluster: options.cluster }, "using the EC2 API");
  const cloud = new Ec2Cloud({
    client,
    region,
    vpcId,
    cluster: options.cluster,
    clock,
    log,
    attemptTimeoutMs,
    readTimeoutMs,
    retries,
  });
  return { cloud, region, vpcId, close: () => client.destroy() };
}

/** The region of environment or profile. Without one the SDK throws a plain "Region is missing". */
async function configuredRegion(): Promise<string | undefined> {
  const probe = new EC2Client({});
  try {
    return await probe.config.region();
  } catch (error) {
    if (error instanceof Error && error.message === "Region is missing") {
      return undefined;
    }
    throw error;
  } finally {
    probe.destroy();
  }
}
