import { readFileSync } from "node:fs";
import { hostname, uptime } from "node:os";

import { createEc2Cloud } from "../adapters/aws/create-ec2-cloud.ts";
import { createProber } from "../adapters/probe/create-prober.ts";
import { isOwnAddress } from "../adapters/probe/own-addresses.ts";
import { growthOf, HeapRoom, v8Heap } from "../adapters/system/heap-room.ts";
import { SystemClock } from "../adapters/system/system-clock.ts";
import { endStreams, listen } from "../api/listen.ts";
import { createServer } from "../api/server.ts";
import { readVersion } from "../cli/version.ts";
import type { ControllerConfig } from "../config/load.ts";
import { stripComments } from "../config/strip-comments.ts";
import { clusterKinds } from "../core/cluster/objects.ts";
import { NetworkError } from "../core/errors.ts";
import { builtinTopology } from "../core/topology/builtin.ts";
import { createLogger } from "../telemetry/logger.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { createControlPlane } from "./create-control-plane.ts";
import { createSecurity } from "./create-security.ts";
import { leaseOf, openCluster, reviewTokens, topologyFile } from "./open-cluster.ts";
import { openStore, prefixIn } from "./open-store.ts";

/** Runs `romana controller` until `signal` is aborted; then ends what it took on and closes the store. */
export async function runController(config: ControllerConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger({ level: config.logLevel });
  const clock = new SystemClock();
  const closers: (() => void | Promise<void>)[] = [];
  try {
    const initialTopology = readInitialTopology(config);
    const kubernetes = openCluster(config, clock, log);
    closers.push(() => kubernetes?.close());
    // Before anything is opened, so that a mistake in a certificate or a token file changes nothing.
    const security = await createSecurity(
      config.security,
      clock,
      log.child({ component: "api" }),
      kubernetes === undefined ? [] : [reviewTokens(kubernetes, config, clock, log)],
    );
    closers.push(() => security.close());
    const store = openStore(config, clock, log);
    closers.push(() => store.close());
    const ec2 =
      config.cloud === "aws"
        ? await createEc2Cloud(
            {
              region: config.region,
              vpc: config.vpc,
              cluster: config.cluster,
              clock,
              log: log.child({ component: "ec2" }),
              attemptTimeoutMs: config.ec2.timeoutMs,
            },
            signal,
          )
        : undefined;
    closers.push(() => ec2?.close());
    const prober =
      ec2 === undefined || config.probe.kind === "none"
        ? undefined
        : await createProber(
            config.probe.kind === "tcp" ? { kind: "tcp", port: config.probe.port } : { kind: "icmp" },
          );
    closers.push(() => prober?.close());
    const replica = {
      id: config.replicaId ?? `${hostname()}-${process.pid}`,
      url: config.advertiseUrl ?? "",
    };
    const metrics = new Metrics(readVersion());
    metrics.readProcess();
    const plane = await createControlPlane(
      {
        clock,
        log,
        store,
        prefix: prefixIn(config),
        replica,
        random: Math.random,
        uptimeMs: () => uptime() * 1000,
        cloud: ec2?.cloud,
        prober,
        config,
        initialTopology,
        zones:
          ec2 && (async (abort) => ({ region: ec2.region, zones: await ec2.cloud.availabilityZones(abort) })),
        cluster: kubernetes && {
          source: kubernetes.source,
          writer: kubernetes.writer,
          lease: leaseOf(config, kubernetes),
          config: config.kubernetes,
          topologyFile: topologyFile(config, clock),
        },
        isOwn: isOwnAddress,
        version: readVersion(),
        cloudName: config.cloud,
        storeName: config.store.kind === "sqlite" ? `sqlite:${config.store.file}` : config.store.kind,
        meter: metrics,
        maxStreams: config.maxStreams,
      },
      signal,
    );
    closers.push(() => plane.stop());
    metrics.read({
      addressing: plane.addressing,
      counters: () => {
        const { allocations, releases, retries, groups } = plane.addressing.counters();
        return { allocations, releases, lostCompares: retries, groups };
      },
      routes: plane.routes,
      store: plane.follower,
      reserved: plane.reserved,
      leaks: () => plane.clusterDuties()?.collector.counts(),
      ...(kubernetes === undefined || plane.cluster === undefined
        ? {}
        : { cluster: { view: plane.cluster.view, source: kubernetes.source } }),
    });
    // One controller with a store of its own stays small; those that share etcd or follow a cluster are there for many nodes.
    const isLarge = config.store.kind === "etcd" || kubernetes !== undefined;
    const leanPercent = isLarge ? growthOf(process.execArgv) : undefined;
    if (leanPercent !== undefined) {
      const changes = (): number => {
        const { allocations, releases } = plane.addressing.counters();
        const objects = clusterKinds.reduce(
          (sum, kind) => sum + (kubernetes?.source.state(kind).read ?? 0),
          0,
        );
        return allocations + releases + objects;
      };
      const room = new HeapRoom({ clock, heap: v8Heap, leanPercent, changes });
      room.start();
      closers.push(() => room.stop());
    }
    const server = createServer({
      addressing: plane.addressing,
      policies: plane.policies,
      tenants: plane.tenants,
      feed: plane.feed,
      routes: plane.routes,
      leader: { leader: () => plane.election.leader(), selfId: replica.id, anyAnswers: ec2 === undefined },
      liveness: plane,
      store: plane.follower,
      metrics,
      explain: plane.explain,
      state: plane.transfer,
      pods: plane.cluster?.segments,
      agents: plane.agents,
      audit: plane.audit,
      clusterPolicies: plane.clusterPolicies,
      log: log.child({ component: "api" }),
      authentication: security.authentication,
      limits: { maxInFlight: config.maxInFlight },
    });
    closers.push(() => server.close());
    security.onTokensChanged(() => endStreams(server));
    // First the addresses, then the work: a second controller on this machine ends here, before it has written anything.
    const addresses: string[] = [];
    for (const each of config.listen) {
      addresses.push(await listen(server, each, security.tls));
    }
    plane.start();
    log.info(
      { address: addresses.join(", "), cloud: config.cloud, vpcId: ec2?.vpcId, dryRun: config.dryRun },
      "the controller serves",
    );
    await aborted(signal);
    log.info({}, "the controller stops");
  } finally {
    for (const close of closers.toReversed()) {
      await close();
    }
  }
}

/** The document that `--topology` names, read before anything is opened, so that a mistake in it changes nothing. */
function readInitialTopology({ topology }: ControllerConfig): unknown {
  if (topology === undefined) {
    return undefined;
  }
  if (topology.kind === "builtin") {
    return builtinTopology(topology.name);
  }
  try {
    return JSON.parse(stripComments(readFileSync(topology.path, "utf8")));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NetworkError(
      "invalid",
      "TOPOLOGY_UNREADABLE",
      `cannot read the topology ${topology.path}: ${reason}`,
      { path: topology.path },
      error,
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}
