import { NetworkError } from "../core/errors.ts";
import type { TlsObjects, TlsPair } from "../ports/tls-objects.ts";

/** Authorities of before that stay trusted beside a new one. */
const KEPT = 3;
/** Others write the same object seldom. */
const ATTEMPTS = 5;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** What became of it: a pair was made, or one was there and stays. */
export type Installed = "made" | "kept";

/**
 * Sees to it that a cluster has a certificate for the controller and an authority that agents trust. What is there stays. Reaches the same end from wherever an earlier run
 * was ended, and beside another run: agents trust an authority *before* a pair of it is put in, and those of before go on to be trusted, so that whichever pair wins is
 * trusted. Throws `AUTHORITY_MISSING` (conflict) for a pair that somebody put in without an authority, and what the objects throw.
 */
export async function installCertificates(
  objects: TlsObjects,
  make: () => Promise<TlsPair>,
  signal: AbortSignal,
): Promise<Installed> {
  if (await objects.hasPair(signal)) {
    if ((await objects.authorities(signal)) === undefined) {
      throw new NetworkError(
        "conflict",
        "AUTHORITY_MISSING",
        "there is a certificate for the controller, and no authority that agents trust: put the one that signed it into the ConfigMap, " +
          '"kubectl -n kube-system create configmap romana-ca --from-file=ca.crt=FILE"; or delete the Secret, then both are made',
      );
    }
    return "kept";
  }
  const pair = await make();
  await trust(objects, pair.ca, signal);
  return (await objects.createPair(pair, signal)) ? "made" : "kept";
}

async function trust(objects: TlsObjects, ca: string, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const before = await objects.authorities(signal);
    const others = before?.text.match(CERTIFICATE) ?? [];
    const text = [ca.trim(), ...others.slice(0, KEPT), ""].join("\n");
    if (await objects.putAuthorities(text, before, signal)) {
      return;
    }
  }
  throw new NetworkError(
    "transient",
    "AUTHORITY_CONTESTED",
    `others changed the authorities that agents trust ${ATTEMPTS} times while one was to be added: see who does, then run it again`,
  );
}
