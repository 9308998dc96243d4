import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import { createServer, type ServerLimits } from "../../src/api/server.ts";
import { Explainer } from "../../src/controllers/explainer.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { StateService } from "../../src/services/state-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
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

/** A server on an empty memory store, with its parts at hand. */
export async function emptyServer(limits: Partial<ServerLimits> = {}) {
  const clock = new SystemClock();
  const log = new MemoryLogger();
  const store = new MemoryStore({ clock });
  const common = { store, clock, log, prefix: "/romana" };
  const follower = await StoreFollower.open(common, never);
  const addressing = await AddressingService.open({ ...common, follower }, never);
  follower.start();
  const routes = new FakeRoutes();
  const state = new StateService({ keeper: addressing, clock: new FakeClock(), log });
  const explain = new Explainer({ addressing });
  const app = createServer({ addressing, routes, state, explain, log, limits });
  return { app, addressing, routes, log };
}

/** The same with network "prod", 10.0.0.0/24 in blocks of four addresses, one group, and host "node-1" in it. */
export async function serverWithOneHost(limits: Partial<ServerLimits> = {}) {
  const parts = await emptyServer(limits);
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
