import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import type { Authentication } from "../../src/api/authentication.ts";
import type { LeaderSource } from "../../src/api/replica.ts";
import { createServer, type ServerLimits } from "../../src/api/server.ts";
import { watchSources } from "../../src/api/watch-sources.ts";
import { Explainer } from "../../src/controllers/explainer.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { LeaderView } from "../../src/ports/election.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { ClusterPolicyStore } from "../../src/services/cluster-policy-store.ts";
import { PolicyService } from "../../src/services/policy-service.ts";
import { ResourceFeed } from "../../src/services/resource-feed.ts";
import { RouteFeedSource } from "../../src/services/route-feed-source.ts";
import { StateService } from "../../src/services/state-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { TenantService } from "../../src/services/tenant-service.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeRoutes } from "./fake-routes.ts";

/** Keeps what was logged, so that a test can look at it. */
export class MemoryLogger implements Logger {
  readonly lines: { level: string; fields: object; message: string }[] = [];

  child(): Logger {
    return this;
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: "error", fields, message });
  }
  warn(fields: object, message: string): void {
    this.lines.push({ level: "warn", fields, message });
  }
  info(fields: object, message: string): void {
    this.lines.push({ level: "info", fields, message });
  }
  debug(fields: object, message: string): void {
    this.lines.push({ level: "debug", fields, message });
  }
}

const never = new AbortController().signal;

/** A replica that leads until a test says otherwise. */
export class FakeLeader implements LeaderSource {
  readonly selfId = "replica-1";
  current: LeaderView | undefined = {
    id: "replica-1",
    url: "http://127.0.0.1:9600",
    epoch: 7,
    since: Date.UTC(2026, 10, 2, 9),
  };

  leader(): LeaderView | undefined {
    return this.current;
  }
}

/** A server on an empty memory store, with its parts at hand. */
export async function emptyServer(
  limits: Partial<ServerLimits> = {},
  authentication: Partial<Authentication> = {},
) {
  const clock = new SystemClock();
  const log = new MemoryLogger();
  const store = new MemoryStore({ clock });
  const common = { store, clock, log, prefix: "/romana" };
  const follower = await StoreFollower.open(common, never);
  const addressing = await AddressingService.open({ ...common, follower }, never);
  const policies = new PolicyService({ ...common, follower });
  const clusterPolicies = new ClusterPolicyStore({ ...common, follower });
  const tenants = new TenantService({ ...common, follower, usage: addressing });
  follower.start();
  const routes = new FakeRoutes();
  const leader = new FakeLeader();
  const surroundings = { stuck: [] as string[], silentMs: 0 };
  const metrics = new Metrics("2.0.0");
  const contact = { silentMs: () => surroundings.silentMs };
  metrics.read({ addressing, routes, store: contact });
  const feed = new ResourceFeed({
    sources: watchSources({
      addressing,
      policies,
      clusterPolicies,
      routes: new RouteFeedSource({ status: () => routes.routes(), clock }),
    }),
    reached: (revision, signal) => follower.reached(revision, signal),
    clock,
    log,
  });
  const app = createServer({
    addressing,
    routes,
    policies,
    tenants,
    feed,
    state: new StateService({ keeper: addressing, tenants, policies, clock: new FakeClock(), log }),
    explain: new Explainer({ addressing }),
    log,
    limits,
    authentication: { tokens: [], requireAuth: false, clock, ...authentication },
    leader,
    liveness: { stuck: () => surroundings.stuck },
    store: contact,
    metrics,
  });
  app.addHook("onClose", async () => {
    addressing.stop();
    await follower.stop();
  });
  return {
    app,
    store,
    addressing,
    policies,
    clusterPolicies,
    tenants,
    feed,
    routes,
    log,
    leader,
    surroundings,
    metrics,
  };
}

/** The same with network "prod", 10.0.0.0/24 in blocks of four addresses, one group, and host "node-1" in it. */
export async function serverWithOneHost(
  limits: Partial<ServerLimits> = {},
  authentication: Partial<Authentication> = {},
) {
  const parts = await emptyServer(limits, authentication);
  const document = {
    networks: [{ name: "prod", cidr: "10.0.0.0/24", block_mask: 30 }],
    topologies: [{ networks: ["prod"], map: [{ name: "all", groups: [] }] }],
  };
  await parts.addressing.updateTopology(document, never);
  await parts.addressing.addHost(
    { name: "node-1", ip: parseIpv4("192.168.0.1"), tags: { zone: "a" }, origin: "api" },
    never,
  );
  return parts;
}
