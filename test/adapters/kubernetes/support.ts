import { CredentialKeeper } from "../../../src/adapters/kubernetes/credentials.ts";
import { KubernetesCluster } from "../../../src/adapters/kubernetes/kubernetes-cluster.ts";
import type { FollowTimes } from "../../../src/adapters/kubernetes/reflector.ts";
import { Transport } from "../../../src/adapters/kubernetes/transport.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import type { ClusterNamespace } from "../../../src/core/cluster/objects.ts";
import type { Clock } from "../../../src/ports/clock.ts";
import type { Logger } from "../../../src/ports/logger.ts";
import { ObjectView } from "../../../src/services/cluster/object-view.ts";
import { silentLog } from "../../support/silent-log.ts";

export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

/** A log that keeps its lines. */
export function keptLog(): { readonly log: Logger; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  const log: Logger = {
    child: () => log,
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
  };
  return { log, lines };
}

/** A clock on which back-offs take no longer than a hundredth of their time. */
export class HurriedClock extends SystemClock {
  /** How long was slept, in the milliseconds that were asked for. */
  readonly pauses: number[] = [];

  override sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    this.pauses.push(delayMs);
    return super.sleep(delayMs / 100, signal);
  }
}

export function transportTo(
  server: string,
  clock: Clock,
  headers: Readonly<Record<string, string>> = {},
  maxBodyBytes?: number,
): Transport {
  const load = () => Promise.resolve({ server, tls: {}, headers });
  return new Transport({
    credentials: new CredentialKeeper({ load, clock, log: silentLog }),
    clock,
    version: "2.0.0",
    ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }),
  });
}

/** Follows the namespaces of a server. */
export function followNamespaces(
  server: string,
  times: Partial<FollowTimes> = {},
  maxBodyBytes?: number,
): {
  readonly view: ObjectView<ClusterNamespace>;
  readonly cluster: KubernetesCluster;
  readonly clock: HurriedClock;
  readonly lines: readonly LogLine[];
  readonly names: () => readonly string[];
  readonly stop: () => Promise<void>;
} {
  const clock = new HurriedClock();
  const { log, lines } = keptLog();
  const transport = transportTo(server, clock, {}, maxBodyBytes);
  const cluster = new KubernetesCluster({ transport, clock, log, random: () => 0.5, times });
  const view = new ObjectView<ClusterNamespace>();
  const end = new AbortController();
  const work = cluster.follow("namespaces", view, end.signal);
  return {
    view,
    cluster,
    clock,
    lines,
    names: () => [...view.values()].map(({ name }) => name).toSorted(),
    stop: async () => {
      end.abort(new Error("the test is over"));
      await work;
      transport.close();
    },
  };
}
