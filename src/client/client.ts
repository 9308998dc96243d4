import { NetworkError } from "../core/errors.ts";
import type { PolicyModel } from "../core/policy/model.ts";
import type { IpExplanation, RouteExplanation } from "../core/views/explain-views.ts";
import type { IpamCheck, LeakRelease } from "../core/views/ipam-views.ts";
import type { HealthView, PlanView, RouteStatusView, StatusView } from "../core/views/route-views.ts";
import type { ImportReport } from "../core/views/state-views.ts";
import type { Credentials } from "./credentials.ts";
import { formatEndpoint, type Endpoint, type HttpRequest } from "./http.ts";
import { anything, nothing, text, type Shape } from "./shape.ts";
import * as shapes from "./shapes.ts";
import { Transport, type ExchangeNote } from "./transport.ts";
import { watch, type WatchEvent, type WatchKind, type WatchOptions } from "./watch.ts";
import type {
  AddressDocument,
  AddressRequestDocument,
  BlackoutDocument,
  BlockListDocument,
  HostDocument,
  HostListDocument,
  HostRequestDocument,
  LeaderDocument,
  NetworkListEntry,
  PolicyDocument,
  SegmentDocument,
  TenantDocument,
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
 * Answers are checked for what is relied on: another server's are `ANSWER_MALFORMED`. Names go into paths escaped, so any name is safe.
 */
export class RomanaClient {
  readonly #endpoint: Endpoint;
  readonly #transport: Transport;
  readonly #signal: AbortSignal;
  readonly #deadlines: ClientDeadlines;

  constructor({
    endpoint,
    credentials = {},
    signal,
    deadlines = defaultDeadlines,
    observe = () => undefined,
  }: {
    readonly endpoint: Endpoint;
    readonly credentials?: Credentials;
    readonly signal: AbortSignal;
    readonly deadlines?: ClientDeadlines;
    /** Is told of each exchange that ended. */
    readonly observe?: (note: ExchangeNote) => void;
  }) {
    this.#endpoint = endpoint;
    this.#signal = signal;
    this.#transport = new Transport({ endpoint, credentials, signal, observe });
    this.#deadlines = deadlines;
  }

  topology(): Promise<TopologyEntry> {
    return this.#call("GET", "/topology", shapes.topology);
  }

  topologyStatus(): Promise<TopologyStatusDocument> {
    return this.#call("GET", "/topology/status", shapes.topologyStatus);
  }

  updateTopology(document: unknown): Promise<null> {
    return this.#call("POST", "/topology", anything, document);
  }

  hosts(): Promise<HostListDocument> {
    return this.#call("GET", "/hosts?full=true", shapes.hostList);
  }

  host(name: string): Promise<HostDocument> {
    return this.#call("GET", `/hosts/${encodeURIComponent(name)}`, shapes.host);
  }

  addHost(host: HostRequestDocument): Promise<null> {
    return this.#call("POST", "/hosts", nothing, host);
  }

  removeHost(name: string): Promise<null> {
    return this.#call("DELETE", `/hosts/${encodeURIComponent(name)}`, nothing);
  }

  setLabels(name: string, labels: Readonly<Record<string, string>>): Promise<null> {
    return this.#call("PUT", `/hosts/${encodeURIComponent(name)}/labels`, nothing, { labels });
  }

  networks(): Promise<readonly NetworkListEntry[]> {
    return this.#call("GET", "/networks", shapes.networks);
  }

  /** The blocks of one network, or of all. */
  blocks(network?: string): Promise<BlockListDocument> {
    return this.#call(
      "GET",
      network === undefined ? "/blocks" : `/networks/${encodeURIComponent(network)}/blocks`,
      shapes.blockList,
    );
  }

  addresses(): Promise<readonly AddressDocument[]> {
    return this.#call("GET", "/addresses", shapes.addresses);
  }

  /** Answers the address that was given. */
  allocate(request: AddressRequestDocument): Promise<string> {
    return this.#call("POST", "/address", text, request);
  }

  /** With `podUID`, only if it was given to the Pod with that UID ("": to none). */
  release(nameOrIp: string, podUID?: string): Promise<null> {
    const only = podUID === undefined ? "" : `&podUID=${encodeURIComponent(podUID)}`;
    return this.#call("DELETE", `/address?addressName=${encodeURIComponent(nameOrIp)}${only}`, nothing);
  }

  blackouts(network: string): Promise<readonly BlackoutDocument[]> {
    return this.#call("GET", blackoutsOf(network), shapes.blackouts);
  }

  addBlackout(network: string, cidr: string): Promise<null> {
    return this.#call("POST", blackoutsOf(network), nothing, { cidr });
  }

  removeBlackout(network: string, cidr: string): Promise<null> {
    return this.#call("DELETE", `${blackoutsOf(network)}?cidr=${encodeURIComponent(cidr)}`, nothing);
  }

  plan(): Promise<PlanView> {
    return this.#call("GET", "/plan", shapes.plan, undefined, this.#deadlines.passMs);
  }

  rebalance(): Promise<PlanView> {
    return this.#call("POST", "/rebalance", shapes.plan, undefined, this.#deadlines.passMs);
  }

  reconcile(): Promise<PlanView> {
    return this.#call("POST", "/reconcile", shapes.plan, undefined, this.#deadlines.passMs);
  }

  routes(): Promise<RouteStatusView> {
    return this.#call("GET", "/routes", shapes.routes);
  }

  health(): Promise<HealthView> {
    return this.#call("GET", "/health/nodes", shapes.health);
  }

  status(): Promise<StatusView> {
    return this.#call("GET", "/status", shapes.status);
  }

  leader(): Promise<LeaderDocument> {
    return this.#call("GET", "/leader", shapes.leader);
  }

  tenants(): Promise<readonly TenantDocument[]> {
    return this.#call("GET", "/tenants", shapes.tenants);
  }

  tenant(name: string): Promise<TenantDocument> {
    return this.#call("GET", tenantAt(name), shapes.tenant);
  }

  createTenant(name: string): Promise<null> {
    return this.#call("POST", "/tenants", nothing, { name });
  }

  deleteTenant(name: string): Promise<null> {
    return this.#call("DELETE", tenantAt(name), nothing);
  }

  segments(tenant: string): Promise<readonly SegmentDocument[]> {
    return this.#call("GET", `${tenantAt(tenant)}/segments`, shapes.segments);
  }

  addSegment(tenant: string, name: string): Promise<null> {
    return this.#call("POST", `${tenantAt(tenant)}/segments`, nothing, { name });
  }

  removeSegment(tenant: string, name: string): Promise<null> {
    return this.#call("DELETE", `${tenantAt(tenant)}/segments/${encodeURIComponent(name)}`, nothing);
  }

  policies(): Promise<readonly PolicyDocument[]> {
    return this.#call("GET", "/policies", shapes.policies);
  }

  /** What all policies come to, Romana's own and the cluster's. */
  policyModels(): Promise<readonly PolicyModel[]> {
    return this.#call("GET", "/policy-models", shapes.policyModels);
  }

  /** Stores a policy of either form, or replaces the one of its id. */
  addPolicy(document: unknown): Promise<unknown> {
    return this.#call("POST", "/policies", anything, document);
  }

  removePolicy(id: string): Promise<null> {
    return this.#call("DELETE", `/policies/${encodeURIComponent(id)}`, nothing);
  }

  /**
   * What is there of a kind, then its changes as they come, until the signal ends it (`watch.ts`). `host`: only what belongs to that host.
   */
  watch(
    kind: WatchKind,
    { host, notice = () => undefined }: WatchOptions = {},
  ): AsyncGenerator<WatchEvent, never> {
    return watch({ kind, host, notice, transport: this.#transport, signal: this.#signal });
  }

  explainIp(address: string): Promise<IpExplanation> {
    return this.#call("GET", `/explain/ip/${encodeURIComponent(address)}`, shapes.explanation);
  }

  explainRoute(cidr: string): Promise<RouteExplanation> {
    return this.#call("GET", `/explain/route?cidr=${encodeURIComponent(cidr)}`, shapes.explanation);
  }

  checkIpam(): Promise<IpamCheck> {
    return this.#call("GET", "/ipam/check", shapes.ipamCheck, undefined, this.#deadlines.passMs);
  }

  /** `grace` instead of the controller's, such as `0s`. */
  releaseLeaked({
    grace,
    dryRun,
  }: {
    readonly grace?: string | undefined;
    readonly dryRun: boolean;
  }): Promise<LeakRelease> {
    return this.#call(
      "POST",
      `/ipam/leaks/release?dry_run=${dryRun}`,
      shapes.leakRelease,
      grace === undefined ? {} : { grace },
      this.#deadlines.passMs,
    );
  }

  /** The whole state, as `GET /export` gives it. */
  exportState(): Promise<object> {
    return this.#call("GET", "/export", shapes.object, undefined, this.#deadlines.passMs);
  }

  importState(
    document: unknown,
    { repair, dryRun }: { readonly repair: boolean; readonly dryRun: boolean },
  ): Promise<ImportReport> {
    return this.#call(
      "POST",
      `/import?repair=${repair}&dry_run=${dryRun}`,
      shapes.importReport,
      document,
      this.#deadlines.passMs,
    );
  }

  async #call<T>(
    method: HttpRequest["method"],
    path: string,
    shape: Shape,
    body?: unknown,
    deadlineMs = this.#deadlines.requestMs,
  ): Promise<T> {
    const answer = await this.#transport.request({ method, path, body, deadlineMs });
    const place = shape(answer);
    if (place !== undefined) {
      const what = place === "" ? "the answer is" : `"${place}" is missing or`;
      throw new NetworkError(
        "invalid",
        "ANSWER_MALFORMED",
        `${method} ${path} on ${formatEndpoint(this.#endpoint)}: ${what} of another kind than this romana reads: is it a Romana controller, and of the same version?`,
        { place },
      );
    }
    return answer as T;
  }
}

function blackoutsOf(network: string): string {
  return `/networks/${encodeURIComponent(network)}/blackouts`;
}

function tenantAt(name: string): string {
  return `/tenants/${encodeURIComponent(name)}`;
}
