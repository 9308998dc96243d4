import type { Ipv4 } from "../../core/net/ipv4.ts";
import type { Clock } from "../../ports/clock.ts";

/** What the agent of a host says of itself and of the interfaces that it serves. */
export interface AgentReport {
  readonly ready: boolean;
  /** Address of each pod interface, with the UID of its Pod, "" where the agent does not know it. */
  readonly endpoints: ReadonlyMap<Ipv4, string>;
  /** When it came, by the monotonic clock, in milliseconds. */
  readonly at: number;
}

/** Agents report every 30 s: one whose last three reports are missing is silent. That proves nothing about the node. */
const SILENT_MS = 90_000;

/**
 * The last report of every agent, kept by the leader in memory: agents repeat it every 30 s, so a new leader knows them all after half a minute, and until then
 * takes nobody for ready or gone.
 */
export class AgentReports {
  readonly #clock: Clock;
  readonly #reports = new Map<string, AgentReport>();
  readonly #listeners = new Set<(host: string) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(host: string): AgentReport | undefined {
    return this.#reports.get(host);
  }

  /** Milliseconds since the last report of this host's agent, `Infinity` for none. */
  ageMs(host: string): number {
    const report = this.#reports.get(host);
    return report === undefined ? Infinity : this.#clock.monotonic() - report.at;
  }

  /** Whether the agent has said nothing for more than 90 s. */
  isSilent(host: string): boolean {
    return this.ageMs(host) > SILENT_MS;
  }

  put(host: string, report: Omit<AgentReport, "at">): void {
    this.#reports.set(host, { ...report, at: this.#clock.monotonic() });
    this.#listeners.forEach((listener) => listener(host));
  }

  /** Forgets what agents said of hosts that are gone, whoever removed them. Returns what ends that. */
  followHosts(hosts: {
    host(name: string): unknown;
    onBatch(
      listener: (batch: { readonly reset: boolean; readonly hosts: readonly string[] }) => void,
    ): () => void;
  }): () => void {
    return hosts.onBatch((batch) => {
      for (const name of batch.reset ? this.#reports.keys() : batch.hosts) {
        if (hosts.host(name) === undefined) {
          this.forget(name);
        }
      }
    });
  }

  /** The host is gone, or another machine under its name. */
  forget(host: string): void {
    this.#reports.delete(host);
  }

  /** Calls the listener after each report; it must not throw. Returns what ends that. */
  onReport(listener: (host: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
