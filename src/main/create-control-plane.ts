import { watchSources } from "../api/watch-sources.ts";
import { Explainer } from "../controllers/explainer.ts";
import { LeaderTerms, type Duties } from "../controllers/leader-terms.ts";
import { ReplicaRoutes } from "../controllers/replica-routes.ts";
import { NoRoutes } from "../controllers/route-reporter.ts";
import type { Election } from "../ports/election.ts";
import { AddressingService } from "../services/addressing-service.ts";
import { prepareStore } from "../services/addressing/schema.ts";
import { ClusterPolicyStore } from "../services/cluster-policy-store.ts";
import { PolicyService } from "../services/policy-service.ts";
import { ResourceFeed } from "../services/resource-feed.ts";
import { RouteFeedSource } from "../services/route-feed-source.ts";
import type { RoutesView } from "../services/route-views.ts";
import { StateService } from "../services/state-service.ts";
import { StoreElection } from "../services/store-election.ts";
import { StoreFollower } from "../services/store-follower.ts";
import { TenantService } from "../services/tenant-service.ts";
import { together } from "../services/together.ts";
import type { ControlPlaneParts } from "./control-plane-parts.ts";
import { beginDuties, type LeaderDuties } from "./leader-duties.ts";

/** Everything that works together in one controller process, or in one simulation of it. */
export interface ControlPlane {
  readonly addressing: AddressingService;
  readonly policies: PolicyService;
  /** Models of NetworkPolicies and isolated namespaces; written by the leader's duties. */
  readonly clusterPolicies: ClusterPolicyStore;
  readonly tenants: TenantService;
  readonly feed: ResourceFeed;
  readonly explain: Pick<Explainer, "explainIp" | "explainRoute">;
  readonly transfer: StateService;
  readonly election: Election;
  readonly follower: StoreFollower;
  readonly routes: RoutesView;
  /** What the leader does; `undefined` on a replica that does not lead, and without a cloud. */
  duties(): LeaderDuties | undefined;
  /** Whether this replica leads. */
  leads(): boolean;
  /** Loops that have ended and should not have, one phrase each. */
  stuck(): readonly string[];
  start(): void;
  stop(): Promise<void>;
}

/**
 * Builds the control plane from its adapters. `romana controller` and `romana simulate` both call this and nothing else does: what runs in a simulation is what
 * runs in production, but for the adapters and the clock (held by `test/architecture.test.ts`).
 *
 *     every replica   follower ─► addressing, election        reads, allocations
 *     the leader      leader duties, one term after another   EC2, probes, verdicts
 */
export async function createControlPlane(
  parts: ControlPlaneParts,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const { clock, log, store, config, prefix } = parts;
  await prepareStore(store, prefix, signal);
  const follower = await StoreFollower.open({ store, clock, log, prefix }, signal);
  const addressing = await AddressingService.open({ store, follower, clock, log, prefix }, signal);
  const election = new StoreElection({
    store,
    clock,
    log,
    prefix,
    id: parts.replica.id,
    url: parts.replica.url,
    ttlMs: config.leaderTtlMs,
    random: parts.random,
    ...(parts.uptimeMs === undefined ? {} : { uptimeMs: parts.uptimeMs }),
  });
  follower.add(election);
  const policies = new PolicyService({ store, follower, log, prefix, random: parts.random });
  const clusterPolicies = new ClusterPolicyStore({ store, follower, log, prefix });
  const tenants = new TenantService({
    store,
    follower,
    usage: addressing,
    log,
    prefix,
    random: parts.random,
  });
  follower.start();
  const serviceRange =
    config.serviceRange === undefined ? [] : [{ cidr: config.serviceRange, what: "the service range" }];
  addressing.setReserved(serviceRange);
  if (parts.initialTopology !== undefined && addressing.networks().length === 0) {
    await addressing.updateTopology(parts.initialTopology, signal);
  }
  const facts = {
    version: parts.version,
    cloudName: parts.cloudName,
    storeName: parts.storeName,
    dryRun: config.dryRun,
    hosts: () => addressing.hosts().hosts,
  };
  const { cloud } = parts;
  let duties: LeaderDuties | undefined;
  const routes: RoutesView =
    cloud === undefined
      ? new NoRoutes(
          { ...facts, refusedHosts: () => new Map() },
          clock,
          () => election.leader()?.id === parts.replica.id,
        )
      : new ReplicaRoutes({
          reporter: () => duties?.routes,
          follower: { election, id: parts.replica.id, facts, clock },
        });
  const routeFeed = new RouteFeedSource({
    // A leader that has not looked yet knows of no route: whoever watches shall not take that for their end.
    status: () =>
      duties !== undefined && duties.state.snapshot() === undefined ? undefined : routes.routes(),
    clock,
  });
  const feed = new ResourceFeed({
    sources: watchSources({ addressing, policies, clusterPolicies, routes: routeFeed }),
    reached: (revision, abort) => follower.reached(revision, abort),
    clock,
    log,
    ...(parts.maxStreams === undefined ? {} : { maxStreams: parts.maxStreams }),
  });
  const terms = new LeaderTerms({
    election,
    clock,
    log: log.child({ component: "election" }),
    begin: async (term, abort): Promise<Duties> => {
      if (cloud === undefined) {
        return NO_DUTIES;
      }
      const begun = await beginDuties({ ...parts, cloud }, { addressing, facts, term, serviceRange }, abort);
      duties = begun;
      // What streams were told in an earlier term, or by an earlier leader, is not continued.
      routeFeed.restart();
      return {
        stop: async () => {
          await begun.stop();
          duties = undefined;
          routeFeed.restart();
        },
      };
    },
  });
  const explain: Pick<Explainer, "explainIp" | "explainRoute"> = {
    explainIp: (address) => explainer().explainIp(address),
    explainRoute: (cidr) => explainer().explainRoute(cidr),
  };
  function explainer(): Explainer {
    return new Explainer({ addressing, routes: duties?.explained });
  }
  const transfer = new StateService({
    keeper: addressing,
    tenants,
    policies,
    clock,
    log,
    together: (abort) => together(addressing, follower, abort),
    routes: () => duties?.explained.journal.owned() ?? [],
  });
  return {
    explain,
    transfer,
    addressing,
    policies,
    clusterPolicies,
    tenants,
    feed,
    election,
    follower,
    routes,
    duties: () => duties,
    leads: () => terms.leads,
    stuck: () => [...follower.stuck(), ...terms.stuck(), ...(duties?.controller.stuck() ?? [])],
    start: () => terms.start(),
    stop: async () => {
      await terms.stop();
      addressing.stop();
      await follower.stop();
    },
  };
}

const NO_DUTIES: Duties = { stop: () => Promise.resolve() };
