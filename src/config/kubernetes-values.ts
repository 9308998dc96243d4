import { NetworkError } from "../core/errors.ts";
import { parseCidr, type Cidr } from "../core/net/cidr.ts";

/** Which cluster is followed. `auto`: the one that we run in, if we run in one. */
export type KubernetesSource =
  | { readonly kind: "auto" }
  | { readonly kind: "in-cluster" }
  | { readonly kind: "off" }
  | { readonly kind: "kubeconfig"; readonly path: string };

/** An object of a namespace. */
export interface NamespacedName {
  readonly namespace: string;
  readonly name: string;
}

/** Another CIDR for a network of the topology that a store begins with. */
export interface CidrOverride {
  readonly network: string;
  readonly cidr: Cidr;
}

/** `auto`, `in-cluster`, `off` or the path of a kubeconfig file. */
export function parseKubernetesSource(text: string): KubernetesSource {
  if (text === "auto" || text === "in-cluster" || text === "off") {
    return { kind: text };
  }
  if (text === "") {
    throw invalid(text, "auto, in-cluster, off or a kubeconfig file");
  }
  return { kind: "kubeconfig", path: text };
}

/** `NAMESPACE/NAME`, both names of Kubernetes (RFC 1123 labels and subdomains). */
export function parseNamespacedName(text: string): NamespacedName {
  const match = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/.exec(
    text,
  );
  if (match === null) {
    throw invalid(text, "NAMESPACE/NAME");
  }
  const [, namespace = "", name = ""] = match;
  return { namespace, name };
}

/** `NETWORK=CIDR`. */
export function parseCidrOverride(text: string): CidrOverride {
  const at = text.indexOf("=");
  if (at < 1) {
    throw invalid(text, "NETWORK=CIDR");
  }
  return { network: text.slice(0, at).trim(), cidr: parseCidr(text.slice(at + 1).trim()) };
}

function invalid(text: string, wanted: string): NetworkError {
  return new NetworkError("invalid", "VALUE_INVALID", `expected ${wanted}, not "${text}"`, { text });
}
