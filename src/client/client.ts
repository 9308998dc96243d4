import type { IpExplanation, RouteExplanation } from "../core/views/explain-views.ts";
import type { HealthView, PlanView, RouteStatusView, StatusView } from "../core/views/route-views.ts";
import type { ImportReport } from "../core/views/state-views.ts";
import { exchange, type Endpoint, type HttpRequest } from "./http.ts";
import type {
  AddressDocument,
  AddressRequestDocument,
  BlackoutDocument,
  BlockListDocument,
  HostDocument,
  HostListDocument,
  HostRequestDocument,
  NetworkListEntry,
  TopologyEntry,
  TopologyStatusDocument,
} from "./wire.ts";

/** How long a client waits for an answer. Passes over the cloud take longer than reads of memory. */
export interface ClientDeadlines {
  readonly requestMs: number;
  readonly passMs: number;
}

const defaultDeadlines: ClientDeadlines = { requestMs: 30_000, passMs: 150_000 };

/**
 * The REST API as calls. Every failure is a `NetworkError` whose kind is the server's (`http.ts`); every call ends with the signal.
 * Names go into paths escaped, so any name is safe.
 */
export class RomanaClient {
  readonly #endpoint: Endpoint;
  readonly #signal: AbortSignal;
  readonly #deadlines: ClientDeadlines;

  constructor({
    endpoint,
    signal,
    deadlines = defaultDeadlines,
  }: {
    readonly endpoint: Endpoint;
    readonly signal: AbortSignal;
    readonly deadlines?: ClientDeadlines;
  }) {
    this.#endpoint = endpoint;
    this.#signal = signal;
    this.#deadlines = deadlines;
  }

  topology(): Promise<TopologyEntry> {
    return this.#call("GET", "/topology");
  }

  topologyStatus(): Promise<TopologyStatusDocument> {
    return this.#call("GET", "/topology/status");
  }

  updateTopology(document: unknown): Promise<null> {
    return this.#call("POST", "/topology", document);
  }

  hosts(): Promise<HostListDocument> {
    return this.#call("GET", "/hosts?full=true");
  }

  host(name: string): Promise<HostDocument> {
    return this.#call("GET", `/hosts/${encodeURIComponent(name)}`);
  }

  addHost(host: HostRequestDocument): Promise<null> {
    return this.#call("POST", "/hosts", host);
  }

  removeHost(name: string): Promise<null> {
    return this.#call("DELETE", `/hosts/${encodeURIComponent(name)}`);
  }

  setLabels(name: string, labels: Readonly<Record<string, string>>): Promise<null> {
    return this.#call("PUT", `/hosts/${encodeURIComponent(name)}/labels`, { labels });
  }

  networks(): Promise<readonly NetworkListEntry[]> {
    return this.#call("GET", "/networks");
  }

  /** The blocks of one network, or of all. */
  blocks(network?: string): Promise<BlockListDocument> {
    return this.#call(
      "GET",
      network === undefined ? "/blocks" : `/networks/${encodeURIComponent(network)}/blocks`,
    );
  }

  addresses(): Promise<readonly AddressDocument[]> {
    return this.#call("GET", "/addresses");
  }

  /** Answers the address that was given. */
  allocate(request: AddressRequestDocument): Promise<string> {
    return this.#call("POST", "/address", request);
  }

  release(nameOrIp: string): Promise<null> {
    return this.#call("DELETE", `/address?addressName=${encodeURIComponent(nameOrIp)}`);
  }

  blackouts(network: string): Promise<readonly BlackoutDocument[]> {
    return this.#call("GET", blackoutsOf(network));
  }

  addBlackout(network: string, cidr: string): Promise<null> {
    return this.#call("POST", blackoutsOf(network), { cidr });
  }

  removeBlackout(network: string, cidr: string): Promise<null> {
    return this.#call("DELETE", `${blackoutsOf(network)}?cidr=${encodeURIComponent(cidr)}`);
  }

  plan(): Promise<PlanView> {
    return this.#call("GET", "/plan", undefined, this.#deadlines.passMs);
  }

  rebalance(): Promise<PlanView> {
    return this.#call("POST", "/rebalance", undefined, this.#deadlines.passMs);
  }

  reconcile(): Promise<PlanView> {
    return this.#call("POST", "/reconcile", undefined, this.#deadlines.passMs);
  }

  routes(): Promise<RouteStatusView> {
    return this.#call("GET", "/routes");
  }

  health(): Promise<HealthView> {
    return this.#call("GET", "/health/nodes");
  }

  status(): Promise<StatusView> {
    return this.#call("GET", "/status");
  }

  explainIp(address: string): Promise<IpExplanation> {
    return this.#call("GET", `/explain/ip/${encodeURIComponent(address)}`);
  }

  explainRoute(cidr: string): Promise<RouteExplanation> {
    return this.#call("GET", `/explain/route?cidr=${encodeURIComponent(cidr)}`);
  }

  /** The whole state, as `GET /export` gives it. */
  exportState(): Promise<object> {
    return this.#call("GET", "/export", undefined, this.#deadlines.passMs);
  }

  importState(
    document: unknown,
    { repair, dryRun }: { readonly repair: boolean; readonly dryRun: boolean },
  ): Promise<ImportReport> {
    return this.#call("POST", `/import?repair=${repair}&dry_run=${dryRun}`, document, this.#deadlines.passMs);
  }

  async #call<T>(
    method: HttpRequest["method"],
    path: string,
    body?: unknown,
    deadlineMs = this.#deadlines.requestMs,
  ): Promise<T> {
    return (await exchange(this.#endpoint, { method, path, body, deadlineMs }, this.#signal)) as T;
  }
}

function blackoutsOf(network: string): string {
  return `/networks/${encodeURIComponent(network)}/blackouts`;
}
