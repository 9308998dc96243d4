import { webcrypto, X509Certificate as NodeCertificate } from "node:crypto";
import { isIP } from "node:net";

import type * as X509Module from "@peculiar/x509";

import { NetworkError } from "../../core/errors.ts";
import { provideReflectMetadata } from "./reflect-metadata.ts";

/** What the certificates are made for. */
export interface TrialOptions {
  /** Names and addresses under which the server is reached; a wildcard is none. */
  readonly hosts: readonly string[];
  /** Hosts whose agents get a certificate. */
  readonly agents: readonly string[];
  /** How long all of them hold, authority included. */
  readonly days: number;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

/** A file of the installation: PEM text. */
export interface PemFile {
  /** Within the folder: `ca.crt`, `server.key`. */
  readonly name: string;
  readonly text: string;
}

const DAY_MS = 86_400_000;
/** Clocks of other machines may be late. */
const SKEW_MS = 5 * 60_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
/** Names as certificates hold them, one label or several. */
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
/** Characters of the longest CN (RFC 5280, appendix A.1). */
const MAX_COMMON_NAME = 64;

type X509 = typeof X509Module;
type X509Certificate = X509Module.X509Certificate;

/** Who signs: its certificate and keys. */
interface Authority {
  readonly certificate: X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

/** One certificate to be made. */
interface Wanted {
  readonly file: string;
  readonly commonName: string;
  readonly organization: string | undefined;
  readonly hosts: readonly string[];
}

/**
 * Makes a certificate authority, a certificate for the server and one for each of admin, reader and the agents, each with its key (ECDSA P-256). The authority
 * can sign for this installation alone as long as its key is kept to it: it is for trials, where nobody has one. Throws `CERTIFICATE_NAME_INVALID`.
 */
export async function createTrialCertificates({
  hosts,
  agents,
  days,
  nowMs,
}: TrialOptions): Promise<readonly PemFile[]> {
  const wanted = [
    { file: "server", commonName: "romana", organization: undefined, hosts: hosts.map(checkHost) },
    { file: "admin", commonName: "admin", organization: "romana:admin", hosts: [] },
    { file: "reader", commonName: "reader", organization: "romana:reader", hosts: [] },
    ...agents.map((host) => ({
      // A name may have any character, a file's may not.
      file: `agent-${encodeURIComponent(host)}`,
      commonName: checkCommonName(host),
      organization: "romana:agent",
      hosts: [],
    })),
  ];
  const x509 = await loadX509();
  const validity = { notBefore: new Date(nowMs - SKEW_MS), notAfter: new Date(nowMs + days * DAY_MS) };
  const authority = await createAuthority(x509, validity);
  const files = [...(await pemFiles("ca", authority.certificate, authority.keys))];
  for (const each of wanted) {
    const keys = await generateKeys();
    files.push(...(await pemFiles(each.file, await sign(x509, authority, each, keys, validity), keys)));
  }
  return files;
}

interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

async function loadX509(): Promise<X509> {
  provideReflectMetadata();
  return await import("@peculiar/x509");
}

async function createAuthority(x509: X509, validity: Validity): Promise<Authority> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: ["Romana trial authority"] }],
      keys,
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate, keys };
}

async function sign(
  x509: X509,
  { certificate: issuer, keys: issuerKeys }: Authority,
  { commonName, organization, hosts }: Wanted,
  keys: webcrypto.CryptoKeyPair,
  validity: Validity,
): Promise<X509Certificate> {
  const purpose =
    organization === undefined ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  return await x509.X509CertificateGenerator.create(
    {
      subject: [...(organization === undefined ? [] : [{ O: [organization] }]), { CN: [commonName] }],
      issuer: issuer.subjectName,
      publicKey: keys.publicKey,
      signingKey: issuerKeys.privateKey,
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([purpose]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(issuerKeys.publicKey, false, webcrypto),
        ...(hosts.length === 0
          ? []
          : [
              new x509.SubjectAlternativeNameExtension(
                hosts.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
              ),
            ]),
      ],
    },
    webcrypto,
  );
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function pemFiles(
  file: string,
  certificate: X509Certificate,
  { privateKey }: webcrypto.CryptoKeyPair,
): Promise<readonly PemFile[]> {
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", privateKey));
  const lines = key.toString("base64").match(/.{1,64}/g) ?? [];
  return [
    { name: `${file}.crt`, text: new NodeCertificate(Buffer.from(certificate.rawData)).toString() },
    {
      name: `${file}.key`,
      text: ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n"),
    },
  ];
}

function checkHost(host: string): string {
  if (isIP(host) === 0 && !DNS_NAME.test(host)) {
    throw new NetworkError(
      "invalid",
      "CERTIFICATE_NAME_INVALID",
      `"${host}" is neither a name nor an address under which a server is reached: give them without scheme and port`,
      { host },
    );
  }
  return host;
}

function checkCommonName(host: string): string {
  if (host === "" || host.length > MAX_COMMON_NAME) {
    throw new NetworkError(
      "invalid",
      "CERTIFICATE_NAME_INVALID",
      `a certificate cannot hold the host "${host}": its name has 1 to ${MAX_COMMON_NAME} characters there; give this agent a token instead`,
      { host },
    );
  }
  return host;
}
