import { NetworkError } from "../errors.ts";

/** The Pod that an address was given to. */
export interface PodReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** As a caller of the API gives it: each may be missing, and then all must. */
export interface PodFields {
  readonly namespace?: string | undefined;
  readonly pod?: string | undefined;
  readonly podUID?: string | undefined;
}

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Kubernetes takes no longer name of a Pod (DNS-1123 subdomain). */
const MAX_NAME = 253;
/** A UUID in practice; what is printable and no blank may be one. */
const UID = /^[\x21-\x7e]{1,64}$/;

/**
 * Reads the Pod of a request; `undefined` where none is named. Throws `ADDRESS_POD_INVALID` (invalid) when some of the three are missing, or one is no namespace (a DNS label),
 * no name of a Pod (labels with dots, up to 253 characters) or no UID (1 to 64 printable ASCII characters, no blank).
 */
export function readPodReference({ namespace, pod, podUID }: PodFields): PodReference | undefined {
  if (!namespace && !pod && !podUID) {
    return undefined;
  }
  if (!namespace || !pod || !podUID) {
    throw invalid('give all of "namespace", "pod" and "podUID", or none');
  }
  if (!LABEL.test(namespace)) {
    throw invalid(`"${namespace}" is no name of a namespace (RFC 1123 label: a-z, 0-9 and -)`);
  }
  if (pod.length > MAX_NAME || !pod.split(".").every((part) => LABEL.test(part))) {
    throw invalid(`"${pod}" is no name of a Pod (RFC 1123: a-z, 0-9, - and dots, up to 253 characters)`);
  }
  if (!UID.test(podUID)) {
    throw invalid('"podUID" must be 1 to 64 printable characters without blanks');
  }
  return { namespace, name: pod, uid: podUID };
}

function invalid(reason: string): NetworkError {
  return new NetworkError(
    "invalid",
    "ADDRESS_POD_INVALID",
    `the Pod of the address is not understood: ${reason}`,
  );
}
