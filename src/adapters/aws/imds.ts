import { request } from "node:http";

import pRetry from "p-retry";

import { NetworkError } from "../../core/errors.ts";

/** Answers are an id or a token; anything longer is not the metadata service. */
const MAX_BYTES = 4096;
/** Only needed during a start. AWS allows 1 to 21,600. */
const TOKEN_SECONDS = 60;

export interface InstanceMetadataOptions {
  /** `http://169.254.169.254`, unless `AWS_EC2_METADATA_SERVICE_ENDPOINT` or `…_ENDPOINT_MODE=IPv6` says otherwise. */
  readonly endpoint: string;
  /** `AWS_EC2_METADATA_DISABLED=true`: never asked. */
  readonly disabled: boolean;
  /** Milliseconds that each request may take. */
  readonly timeoutMs: number;
  /** Further attempts of each request. */
  readonly retries: number;
}

/** The options that the environment variables of the AWS SDKs ask for. */
export function metadataOptions(env: Readonly<Record<string, string | undefined>>): InstanceMetadataOptions {
  const ipv6 = env["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.toLowerCase() === "ipv6";
  return {
    endpoint:
      env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ??
      (ipv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254"),
    disabled: env["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true",
    timeoutMs: 1000,
    retries: 2,
  };
}

/**
 * What an instance can learn about itself, by IMDSv2 only (a token first). Errors are `NetworkError` `METADATA_UNAVAILABLE` (transient), whose
 * message names the option that makes the question needless.
 */
export class InstanceMetadata {
  readonly #options: InstanceMetadataOptions;
  #token: string | undefined;

  constructor(options: InstanceMetadataOptions) {
    this.#options = options;
  }

  /** The region of this instance. */
  region(signal: AbortSignal): Promise<string> {
    return this.#find(
      "the region",
      "--region, or AWS_REGION",
      "placement/region",
      /^[a-z]{2}[a-z0-9-]+$/,
      signal,
    );
  }

  /** The VPC of this instance's primary interface. */
  async vpcId(signal: AbortSignal): Promise<string> {
    const question = ["the VPC", "--vpc"] as const;
    const mac = await this.#find(...question, "mac", /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, signal);
    return this.#find(...question, `network/interfaces/macs/${mac}/vpc-id`, /^vpc-[0-9a-z]+$/, signal);
  }

  async #find(
    what: string,
    option: string,
    path: string,
    form: RegExp,
    signal: AbortSignal,
  ): Promise<string> {
    const { endpoint, disabled } = this.#options;
    try {
      if (disabled) {
        throw new Error("AWS_EC2_METADATA_DISABLED is true");
      }
      this.#token ??= await this.#request(
        "PUT",
        "/latest/api/token",
        {
          "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_SECONDS),
        },
        signal,
      );
      const text = await this.#request(
        "GET",
        `/latest/meta-data/${path}`,
        {
          "x-aws-ec2-metadata-token": this.#token,
        },
        signal,
      );
      if (!form.test(text)) {
        throw new Error(`${path} is "${text.slice(0, 60)}"`);
      }
      return text;
    } catch (error) {
      signal.throwIfAborted();
      const obstacle = error instanceof Error ? error.message : String(error);
      throw new NetworkError(
        "transient",
        "METADATA_UNAVAILABLE",
        `cannot find ${what} from the instance metadata at ${endpoint}: ${obstacle}; give it with ${option} ` +
          "(in a pod the metadata may need a hop limit of 2, or the host's network)",
        { endpoint, path },
        error,
      );
    }
  }

  #request(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<string> {
    const { endpoint, retries, timeoutMs } = this.#options;
    return pRetry(() => requestOnce(new URL(path, endpoint), method, headers, timeoutMs, signal), {
      retries,
      minTimeout: 100,
      shouldRetry: ({ error }) => !signal.aborted && !(error instanceof Refusal),
    });
  }
}

/** An answer, but not the wanted one: asking again gives the same. */
class Refusal extends Error {}

function requestOnce(
  url: URL,
  method: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const fail = (error: Error): void => {
      reject(timeout.aborted ? new Error(`no answer within ${timeoutMs} ms`, { cause: error }) : error);
    };
    const outgoing = request(
      url,
      { method, headers, agent: false, signal: AbortSignal.any([signal, timeout]) },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.once("error", fail);
        response.on("data", (chunk: string) => {
          text += chunk;
          if (text.length > MAX_BYTES) {
            response.destroy(new Refusal(`the answer is longer than ${MAX_BYTES} bytes`));
          }
        });
        response.once("end", () => {
          const status = response.statusCode ?? 0;
          if (status === 200) {
            resolve(text.trim());
          } else {
            reject(status >= 500 ? new Error(`HTTP ${status}`) : new Refusal(`HTTP ${status}`));
          }
        });
      },
    );
    outgoing.once("error", fail);
    outgoing.end();
  });
}
