import { createTrialCertificates } from "../adapters/certificates/trial-certificates.ts";
import { writeNewFiles } from "../adapters/certificates/write-files.ts";
import type { CertificateOptions } from "../cli/commands/certs.ts";

/** What `romana certs init` runs; answers the names of the files. */
export async function createCertificates({
  dir,
  hosts,
  agents,
  days,
}: CertificateOptions): Promise<readonly string[]> {
  const files = await createTrialCertificates({ hosts, agents, days, nowMs: Date.now() });
  await writeNewFiles(dir, files);
  return files.map(({ name }) => name);
}
