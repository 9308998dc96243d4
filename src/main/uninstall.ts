import { existsSync } from "node:fs";
import { hostname, uptime } from "node:os";

import { createEc2Cloud } from "../adapters/aws/create-ec2-cloud.ts";
import { SystemClock } from "../adapters/system/system-clock.ts";
import type { RemovalOutcome, UninstallRoutes } from "../cli/commands/uninstall.ts";
import type { ControllerConfig } from "../config/load.ts";
import { NO_PROBES } from "../controllers/health-source.ts";
import { RouteRemover } from "../controllers/route-remover.ts";
import { NetworkError } from "../core/errors.ts";
import type { RemovalPlan } from "../core/routing/plan-removal.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud } from "../ports/cloud.ts";
import type { LeaseLock } from "../ports/cluster.ts";
import type { Election, Leadership } from "../ports/election.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store } from "../ports/store.ts";
import { AddressingService } from "../services/addressing-service.ts";
import { prepareStore } from "../services/addressing/schema.ts";
import { RouteJournal } from "../services/route-journal.ts";
import { StoreFollower } from "../services/store-follower.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createElection } from "./create-election.ts";
import { createRouteHands } from "./create-route-engine.ts";
import { leaseOf, openCluster } from "./open-cluster.ts";
import { openStore, prefixIn } from "./open-store.ts";

/** Beyond the time that a leader which fell silent is waited for: until one that was just stopped has let go. */
const PATIENCE_MS = 3_000;

/** What a removal works with; `romana uninstall` builds it for AWS, tests for a simulated region. */
export interface UninstallParts {
  readonly config: Pick<ControllerConfig, "dryRun" | "ignoreRoutes" | "leaderTtlMs" | "routeQuota" | "ec2">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  /** Root of all keys, `/romana`. */
  readonly prefix: string;
  readonly cloud: Cloud;
  /** The Lease by which the controllers choose their leader; absent: the store does. */
  readonly lock?: LeaseLock | undefined;
}

/** What `romana uninstall --routes` runs. */
export const uninstallRoutes: UninstallRoutes = async (config, confirm, signal) => {
  requireRecord(config);
  // The result goes to standard output.
  const log = createLogger({ level: config.logLevel, destination: "stderr" });
  const clock = new SystemClock();
  // The Lease of the cluster where the controllers stand for it: a leader that was killed still holds it.
  const kubernetes = openCluster(config, clock, log);
  const lock = leaseOf(config, kubernetes);
  const ec2 = await createEc2Cloud(
    {
      region: config.region,
      vpc: config.vpc,
      cluster: config.cluster,
      clock,
      log: log.child({ component: "ec2" }),
      attemptTimeoutMs: config.ec2.timeoutMs,
    },
    signal,
  );
  try {
    const store = openStore(config, clock, log);
    try {
      const parts = { config, clock, log, store, prefix: prefixIn(config), cloud: ec2.cloud, lock };
      return await removeRoutes(parts, confirm, signal);
    } finally {
      await store.close();
    }
  } finally {
    ec2.close();
    kubernetes?.close();
  }
};

/**
 * Removes every route that is on record. It leads while it does: throws `UNINSTALL_LED` (conflict) when somebody else does and does not let go in time. A dry run
 * only reads, and may be made beside a controller.
 */
export async function removeRoutes(
  parts: UninstallParts,
  confirm: (plan: RemovalPlan) => Promise<void>,
  signal: AbortSignal,
): Promise<RemovalOutcome> {
  const { config, clock, log, store, prefix } = parts;
  if (!config.dryRun) {
    await prepareStore(store, prefix, signal);
  }
  const follower = await StoreFollower.open({ store, clock, log, prefix }, signal);
  const addressing = await AddressingService.open({ store, follower, clock, log, prefix }, signal);
  const networks = addressing.networks().map(({ cidr }) => cidr);
  addressing.stop();
  const common = { cloud: parts.cloud, clock, networks, ignore: config.ignoreRoutes };
  if (config.dryRun) {
    const journal = await RouteJournal.open({ store, prefix, guard: undefined }, signal);
    const plan = await new RouteRemover({ ...common, journal, hands: undefined }).plan(signal);
    return { plan, remaining: [], isUnchanged: true };
  }
  // The one that the controllers hold, as somebody whom nobody reaches.
  const election = createElection(
    {
      store,
      clock,
      log,
      prefix,
      id: `uninstall-${hostname()}-${process.pid}`,
      url: "",
      ttlMs: config.leaderTtlMs,
      random: Math.random,
      uptimeMs: () => uptime() * 1000,
    },
    parts.lock,
  );
  follower.add(election);
  follower.start();
  try {
    const leadership = await elected(election, parts, signal);
    try {
      const over = AbortSignal.any([signal, leadership.ended]);
      const { journal, ...hands } = await createRouteHands(
        { ...parts, term: { leadership, ttlMs: config.leaderTtlMs } },
        { health: NO_PROBES, over },
        over,
      );
      const remover = new RouteRemover({ ...common, journal, hands });
      const plan = await remover.plan(over);
      if (plan.remove.length === 0 && plan.forget.length === 0) {
        return { plan, remaining: [], isUnchanged: true };
      }
      await confirm(plan);
      return { ...(await remover.remove(plan, over)), isUnchanged: false };
    } finally {
      await leadership.resign();
    }
  } finally {
    await follower.stop();
  }
}

/** Stands for election for a few seconds. */
async function elected(
  election: Election,
  { config, clock }: UninstallParts,
  signal: AbortSignal,
): Promise<Leadership> {
  const patience = new AbortController();
  const timer = clock.setTimer(config.leaderTtlMs + PATIENCE_MS, () => {
    const leader = election.leader();
    const who = leader === undefined ? "" : ` (${leader.id}${leader.url === "" ? "" : ` at ${leader.url}`})`;
    patience.abort(
      new NetworkError(
        "conflict",
        "UNINSTALL_LED",
        `a controller leads${who} and would write the routes anew: stop every replica first, ` +
          '"kubectl -n kube-system scale deployment/romana-controller --replicas=0" in a cluster, then ask again',
        leader === undefined ? {} : { leader: leader.id },
      ),
    );
  });
  try {
    return await election.campaign(AbortSignal.any([signal, patience.signal]));
  } finally {
    timer.cancel();
  }
}

/** Throws for options under which there can be no record, before anything is opened or made. */
function requireRecord({ cloud, store }: ControllerConfig): void {
  if (cloud !== "aws") {
    throw new NetworkError(
      "invalid",
      "UNINSTALL_WITHOUT_CLOUD",
      "--cloud is none, so there are no route tables: give the options that the controller ran with, --cloud=aws among them",
    );
  }
  if (store.kind === "memory" || (store.kind === "sqlite" && !existsSync(store.file))) {
    const where = store.kind === "memory" ? "the store is memory" : `there is no file ${store.file}`;
    throw new NetworkError(
      "not-found",
      "UNINSTALL_WITHOUT_STORE",
      `${where}, so nothing is on record: give the --store that the controller ran with`,
    );
  }
}
