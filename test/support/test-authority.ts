import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Paths of a pair and of the authority that signed it. */
export interface CertificateFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const run = promisify(execFile);

const CONFIG = `
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
`;

/** A certificate authority for a test, made by the `openssl` program; its keys are in a temporary folder, until `remove`. */
export class TestAuthority {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(name = "test authority"): Promise<TestAuthority> {
    const authority = new TestAuthority(mkdtempSync(join(tmpdir(), "romana-authority-")));
    writeFileSync(authority.#path("openssl.cnf"), CONFIG);
    await authority.#request(`/CN=${name}`, "authority", authority.ca, authority.#path("ca.key"));
    return authority;
  }

  /** The authority's certificate. */
  get ca(): string {
    return this.#path("ca.crt");
  }

  /** Writes `NAME.crt` and `NAME.key` into the folder: for 127.0.0.1 and localhost, of a server and of a client alike. `subject`: `/O=group/CN=name`. */
  async issue(folder: string, name: string, subject = `/CN=${name}`): Promise<CertificateFiles> {
    const files = { ca: this.ca, cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
    await this.#request(
      subject,
      "leaf",
      files.cert,
      files.key,
      "-CA",
      this.ca,
      "-CAkey",
      this.#path("ca.key"),
    );
    return files;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #request(
    subject: string,
    extensions: "authority" | "leaf",
    cert: string,
    key: string,
    ...signer: readonly string[]
  ): Promise<void> {
    const pair = [
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      key,
      "-out",
      cert,
    ];
    const what = ["-config", this.#path("openssl.cnf"), "-extensions", extensions, "-subj", subject];
    await run("openssl", ["req", "-x509", "-days", "30", ...pair, ...what, ...signer], { timeout: 20_000 });
  }

  #path(file: string): string {
    return join(this.#folder, file);
  }
}
