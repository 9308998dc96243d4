import { createTrialCertificates, type PemFile } from "../adapters/certificates/trial-certificates.ts";
import { writeNewFiles } from "../adapters/certificates/write-files.ts";
import { connect } from "../adapters/kubernetes/create-kubernetes.ts";
import { KubernetesTlsObjects } from "../adapters/kubernetes/tls-objects.ts";
import { SystemClock } from "../adapters/system/system-clock.ts";
import type {
  CertificateOptions,
  ClusterCertificateOptions,
  InstallCertificates,
} from "../cli/commands/certs.ts";
import { readVersion } from "../cli/version.ts";
import type { TlsPair } from "../ports/tls-objects.ts";
import { installCertificates as install } from "../services/install-certificates.ts";
import { createLogger } from "../telemetry/logger.ts";

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

/** What `romana certs install` runs. The authority's key, and those of the clients that are made along with it, are kept nowhere. */
export const installCertificates: InstallCertificates = async (options, signal) => {
  const { cluster, namespace, secret, configMap } = options;
  const clock = new SystemClock();
  // The result goes to standard output.
  const log = createLogger({ level: "warn", destination: "stderr" });
  const transport = connect(cluster, { clock, log, version: readVersion(), component: "certs" });
  try {
    const objects = new KubernetesTlsObjects({
      transport,
      namespace,
      secret,
      configMap,
      labels: { "app.kubernetes.io/name": "romana", "app.kubernetes.io/component": "controller" },
    });
    return await install(objects, () => makePair(options), signal);
  } finally {
    transport.close();
  }
};

async function makePair({ hosts, days }: ClusterCertificateOptions): Promise<TlsPair> {
  const files = await createTrialCertificates({ hosts, agents: [], days, nowMs: Date.now() });
  return { ca: textOf(files, "ca.crt"), cert: textOf(files, "server.crt"), key: textOf(files, "server.key") };
}

function textOf(files: readonly PemFile[], name: string): string {
  const file = files.find((each) => each.name === name);
  if (file === undefined) {
    throw new Error(`no ${name} was made`);
  }
  return file.text;
}
