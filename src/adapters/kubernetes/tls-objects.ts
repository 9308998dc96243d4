import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import type { TlsObjects, TlsPair, TrustedAuthorities } from "../../ports/tls-objects.ts";
import { errorOfConnection } from "./classify-error.ts";
import { labels } from "./parts.ts";
import type { ApiCall, Transport } from "./transport.ts";

const FILE = "ca.crt";

const ConfigMap = z.object({
  metadata: z.object({ resourceVersion: z.string().min(1), labels }),
  data: z.record(z.string(), z.string()).default({}),
});

export interface KubernetesTlsObjectsOptions {
  readonly transport: Transport;
  readonly namespace: string;
  /** The Secret of the pair; type `kubernetes.io/tls`. */
  readonly secret: string;
  /** The ConfigMap of the authorities, under `ca.crt`. */
  readonly configMap: string;
  /** Of the objects that are made. */
  readonly labels: Readonly<Record<string, string>>;
}

/** A Secret that is created and never read, and a ConfigMap. Needs `create` on both kinds, `get` and `update` on that ConfigMap. */
export class KubernetesTlsObjects implements TlsObjects {
  readonly #options: KubernetesTlsObjectsOptions;
  /** As last seen: other keys and labels stay on it. */
  #seen: z.output<typeof ConfigMap> | undefined;

  constructor(options: KubernetesTlsObjectsOptions) {
    this.#options = options;
  }

  /** A creation that is only tried: whoever may create a Secret learns that its name is taken, and nothing of what is in it. */
  async hasPair(signal: AbortSignal): Promise<boolean> {
    const nothing = { ca: "", cert: "", key: "" };
    return !(await this.#createSecret(nothing, "?dryRun=All", signal));
  }

  async createPair(pair: TlsPair, signal: AbortSignal): Promise<boolean> {
    return this.#createSecret(pair, "", signal);
  }

  async authorities(signal: AbortSignal): Promise<TrustedAuthorities | undefined> {
    const call = { verb: "get", resource: "configmaps", path: this.#configMapPath };
    this.#seen = undefined;
    const answer = await ifNot("CLUSTER_NOT_FOUND", this.#options.transport.json(call, signal));
    if (answer === undefined) {
      return undefined;
    }
    const { success, data } = ConfigMap.safeParse(answer);
    if (!success) {
      throw errorOfConnection(call, "the answer is no ConfigMap");
    }
    this.#seen = data;
    return { text: data.data[FILE] ?? "", version: data.metadata.resourceVersion };
  }

  async putAuthorities(
    text: string,
    before: TrustedAuthorities | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { namespace, configMap: name } = this.#options;
    const seen = before === undefined ? undefined : this.#seen;
    const body = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        namespace,
        name,
        labels: seen?.metadata.labels ?? this.#options.labels,
        ...(before === undefined ? {} : { resourceVersion: before.version }),
      },
      data: { ...seen?.data, [FILE]: text },
    };
    return this.#write(
      before === undefined
        ? {
            verb: "create",
            method: "POST",
            path: this.#collection("configmaps"),
            resource: "configmaps",
            body,
          }
        : { verb: "update", method: "PUT", path: this.#configMapPath, resource: "configmaps", body },
      signal,
    );
  }

  async #createSecret({ ca, cert, key }: TlsPair, query: string, signal: AbortSignal): Promise<boolean> {
    const { namespace, secret: name } = this.#options;
    const body = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { namespace, name, labels: this.#options.labels },
      type: "kubernetes.io/tls",
      stringData: { [FILE]: ca, "tls.crt": cert, "tls.key": key },
    };
    const path = `${this.#collection("secrets")}${query}`;
    return this.#write({ verb: "create", method: "POST", path, resource: "secrets", body }, signal);
  }

  /** False when the object is there already, or is another one by now. */
  async #write(call: ApiCall, signal: AbortSignal): Promise<boolean> {
    return (await ifNot("CLUSTER_CONFLICT", this.#options.transport.json(call, signal))) !== undefined;
  }

  #collection(kind: "secrets" | "configmaps"): string {
    return `/api/v1/namespaces/${this.#options.namespace}/${kind}`;
  }

  get #configMapPath(): string {
    return `${this.#collection("configmaps")}/${this.#options.configMap}`;
  }
}

async function ifNot<T>(code: string, answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NetworkError && error.code === code) {
      return undefined;
    }
    throw error;
  }
}
