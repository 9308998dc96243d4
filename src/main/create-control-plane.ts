import { watchSources } from "../api/watch-sources.ts";
import { AddressAudit } from "../controllers/address-audit.ts";
import { Explainer } from "../controllers/explainer.ts";
import { LeaderTerms, type Duties } from "../controllers/leader-terms.ts";
import { ReplicaRoutes } from "../controllers/replica-routes.ts";
import { NoRoutes } from "../controllers/route-reporter.ts";
import type { Election } from "../ports/election.ts";
import { AddressingService } from "../services/addressing-service.ts";
import { prepareStore } from "../services/addressing/schema.ts";
import { ClusterPolicyStore } from "../services/cluster-policy-store.ts";
import { AgentReports } from "../services/cluster/agent-reports.ts";
import { chooseInitialTopology } from "../services/initial-topology.ts";
import { PolicyService } from "../services/policy-service.ts";
import { ReservedRanges } from "../services/reserved-ranges.ts";
import { ResourceFeed } from "../services/resource-feed.ts";
import { RouteFeedSource } from "../services/route-feed-source.ts";
import type { RoutesView } from "../services/route-views.ts";
import { StateService } from "../services/state-service.ts";
import { StoreFollower } from "../services/store-follower.ts";
import { TenantService } from "../services/tenant-service.ts";
import { together } from "../services/together.ts";
import { beginClusterDuties, type ClusterDuties } from "./cluster-duties.ts";
import type { ControlPlaneParts } from "./control-plane-parts.ts";
import { createCluster, type ClusterSide } from "./create-cluster.ts";
import { createElection } from "./create-election.ts";
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
  /** What agents say of themselves. */
  readonly agents: AgentReports;
  /** What does not fit together of addresses and Pods. */
  readonly audit: AddressAudit;
  /** What is known of the cluster; `undefined` where none is followed. */
  readonly cluster: ClusterSide | undefined;
  /** What the leader does for the cluster; `undefined` on a replica that does not lead. */
  clusterDuties(): ClusterDuties | undefined;
  /** Ranges that no network may overlap, by who says so. */
  readonly reserved: ReservedRanges;
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
  const election = createElection(
    {
      store,
      clock,
      log,
      prefix,
      id: parts.replica.id,
      url: parts.replica.url,
      ttlMs: config.leaderTtlMs,
      random: parts.random,
      ...(parts.uptimeMs === undefined ? {} : { uptimeMs: parts.uptimeMs }),
    },
    parts.cluster?.lease,
  );
  follower.add(election);
  const policies = new PolicyService({ store, follower, log, prefix, random: parts.random });
  const clusterPolicies = new ClusterPolicyStore({ store, follower, log, prefix });
  const reserved = new ReservedRanges({ addressing, log: log.child({ component: "addressing" }) });
  if (config.serviceRange !== undefined) {
    reserved.put("service-range", [{ cidr: config.serviceRange, what: "the service range" }]);
  }
  const agents = new AgentReports(clock);
  const ignoreHosts = agents.followHosts(addressing);
  const cluster =
    parts.cluster &&
    createCluster(parts.cluster, {
      clock,
      log,
      addressing,
      reserved,
      agents,
      serviceRange: config.serviceRange,
    });
  const tenants = new TenantService({
    store,
    follower,
    usage: addressing,
    observed: cluster === undefined ? undefined : (tenant) => cluster.tenants.owners(tenant),
    log,
    prefix,
    random: parts.random,
  });
  follower.start();
  const chooseTopology = (abort: AbortSignal): Promise<unknown> =>
    chooseInitialTopology({
      given: parts.initialTopology,
      config,
      inCluster: cluster !== undefined,
      serviceIp: () => cluster?.serviceIp(abort) ?? Promise.resolve(undefined),
      zones: () =>
        parts.zones?.(abort) ?? Promise.reject(new Error("there is no cloud to ask for its zones")),
      log,
    });
  // In a cluster the leader does it, once it is known which ranges are taken.
  if (cluster === undefined && parts.initialTopology !== undefined && addressing.networks().length === 0) {
    await addressing.updateTopology(await chooseTopology(signal), signal);
  }
  const facts = {
    version: parts.version,
    cloudName: parts.cloudName,
    storeName: parts.storeName,
    dryRun: config.dryRun,
    hostCounts: () => addressing.hostCounts(),
  };
  const { cloud } = parts;
  let duties: LeaderDuties | undefined;
  let clusterDuties: ClusterDuties | undefined;
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
      const begun =
        cloud === undefined
          ? undefined
          : await beginDuties({ ...parts, cloud }, { addressing, facts, term, reserved, cluster }, abort);
      duties = begun;
      // What streams were told in an earlier term, or by an earlier leader, is not continued.
      routeFeed.restart();
      clusterDuties =
        cluster === undefined || parts.cluster === undefined
          ? undefined
          : beginClusterDuties(
              { ...parts, cluster: parts.cluster },
              {
                addressing,
                cluster,
                clusterPolicies,
                term,
                cloudDuties: begun,
                chooseTopology: async (turn) => {
                  await cluster.rangesKnown(turn);
                  return await chooseTopology(turn);
                },
              },
            );
      return {
        stop: async () => {
          await clusterDuties?.stop();
          clusterDuties = undefined;
          await begun?.stop();
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
    return new Explainer({ addressing, routes: duties?.explained, endpoints: cluster?.endpoints });
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
    agents,
    audit: new AddressAudit({
      followsCluster: cluster !== undefined,
      collector: () => clusterDuties?.collector,
    }),
    cluster,
    clusterDuties: () => clusterDuties,
    reserved,
    start: () => {
      cluster?.start();
      terms.start();
    },
    stop: async () => {
      await terms.stop();
      await cluster?.stop();
      reserved.stop();
      ignoreHosts();
      addressing.stop();
      await follower.stop();
    },
  };
}
