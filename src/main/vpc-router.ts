import { createEc2Cloud } from "../adapters/aws/create-ec2-cloud.ts";
import { MemoryStore } from "../adapters/memory/memory-store.ts";
import { createProber } from "../adapters/probe/create-prober.ts";
import { isOwnAddress } from "../adapters/probe/own-addresses.ts";
import { SqliteStore } from "../adapters/sqlite/sqlite-store.ts";
import { FileFollower, readSmallFile } from "../adapters/system/file-follower.ts";
import { SystemClock } from "../adapters/system/system-clock.ts";
import { listen } from "../api/listen.ts";
import { createServer } from "../api/server.ts";
import { readVersion } from "../cli/version.ts";
import type { RouterConfig } from "../config/load-router.ts";
import { MAX_ROUTE_SPEC_BYTES, readRouteSpec } from "../config/route-spec.ts";
import { NetworkError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store } from "../ports/store.ts";
import type { RouteSpecKeeper } from "../services/route-spec-keeper.ts";
import { createLogger } from "../telemetry/logger.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { createSecurity, type Security } from "./create-security.ts";
import { createVpcRouter, type VpcRouter } from "./create-vpc-router.ts";

/** Runs `romana vpc-router` until `signal` is aborted; then ends what it took on and closes the store. The routes stay. */
export async function runVpcRouter(config: RouterConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger({ level: config.logLevel });
  const clock = new SystemClock();
  const closers: (() => void | Promise<void>)[] = [];
  const { routeSpec: file, allowEmpty } = config;
  try {
    // Before anything is opened, so that a mistake in a certificate or a token file changes nothing.
    const security = await createSecurity(config.security, clock, log.child({ component: "api" }));
    closers.push(() => security.close());
    const store = openStore(config, clock);
    closers.push(() => store.close());
    const ec2 = await createEc2Cloud(
      {
        region: config.region,
        vpc: config.vpc,
        clock,
        log: log.child({ component: "ec2" }),
        attemptTimeoutMs: config.ec2.timeoutMs,
      },
      signal,
    );
    closers.push(() => ec2.close());
    const prober = await createProber(
      config.probe.kind === "icmp" ? { kind: "icmp" } : { kind: config.probe.kind, port: config.probe.port },
    );
    closers.push(() => prober.close());
    const metrics = new Metrics(readVersion());
    metrics.readProcess();
    const router = await createVpcRouter(
      {
        clock,
        log,
        store,
        cloud: ec2.cloud,
        prober,
        config,
        file,
        read: (text, source) => readRouteSpec(text, { source, allowEmpty }),
        isOwn: isOwnAddress,
        meter: metrics,
        version: readVersion(),
        cloudName: "aws",
        storeName: config.store.kind === "sqlite" ? `sqlite:${config.store.file}` : "memory",
      },
      signal,
    );
    closers.push(() => router.stop());
    metrics.read({ routes: router.routes });
    if (file !== undefined) {
      await takeFirst(file, router.routeSpec, signal);
      const follower = followFile(file, router.routeSpec, clock, signal);
      closers.push(() => follower.stop());
      follower.start();
    }
    const addresses = await serve(config, router, metrics, security, log, closers);
    router.start();
    log.info(
      {
        address: addresses.join(", "),
        file,
        vpcId: ec2.vpcId,
        dryRun: config.dryRun,
        health: config.probe.kind,
      },
      "the router runs",
    );
    await aborted(signal);
    log.info({}, "the router stops, the routes stay");
  } finally {
    for (const close of closers.toReversed()) {
      await close();
    }
  }
}

/** The file as it stands at the start. When it is bad and no list of an earlier run is in force, there is nothing to do: throws what is wrong with it. */
async function takeFirst(file: string, routeSpec: RouteSpecKeeper, signal: AbortSignal): Promise<void> {
  try {
    await routeSpec.take(await readSmallFile(file, MAX_ROUTE_SPEC_BYTES), signal);
  } catch (error) {
    if (!(error instanceof NetworkError) || routeSpec.current() === undefined) {
      throw error;
    }
    routeSpec.refused(error);
  }
}

function followFile(
  path: string,
  routeSpec: RouteSpecKeeper,
  clock: Clock,
  signal: AbortSignal,
): FileFollower {
  return new FileFollower({
    path,
    maxBytes: MAX_ROUTE_SPEC_BYTES,
    clock,
    onText: async (text) => {
      try {
        await routeSpec.take(text, signal);
      } catch (error) {
        // The keeper has said what is wrong. A bad text stays bad; what failed for another reason is tried again.
        if (!(error instanceof NetworkError) || error.kind !== "invalid") {
          throw error;
        }
      }
    },
    onFailure: (error) => routeSpec.refused(error),
  });
}

/** Answers where it serves: nowhere, when nothing was asked for. */
async function serve(
  config: RouterConfig,
  router: VpcRouter,
  metrics: Metrics,
  { authentication, tls }: Security,
  log: Logger,
  closers: (() => void | Promise<void>)[],
): Promise<readonly string[]> {
  if (config.listen.length === 0) {
    return [];
  }
  const server = createServer({
    routeSpec: router.routeSpec,
    routes: router.routes,
    liveness: router,
    metrics,
    authentication,
    log: log.child({ component: "api" }),
    limits: { maxInFlight: config.maxInFlight, maxBodyBytes: MAX_ROUTE_SPEC_BYTES },
  });
  closers.push(() => server.close());
  const addresses: string[] = [];
  for (const each of config.listen) {
    addresses.push(await listen(server, each, tls));
  }
  return addresses;
}

function openStore({ store }: RouterConfig, clock: Clock): Store {
  return store.kind === "sqlite" ? new SqliteStore({ file: store.file, clock }) : new MemoryStore({ clock });
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
