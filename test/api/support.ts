import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import type { Authentication } from "../../src/api/authentication.ts";
import { createServer, type ServerLimits } from "../../src/api/server.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
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
export async function emptyServer(
  limits: Partial<ServerLimits> = {},
  authentication: Partial<Authentication> = {},
) {
  const clock = new SystemClock();
  const log = new MemoryLogger();
  const store = new MemoryStore({ clock });
  const addressing = await AddressingService.open({ store, clock, log, prefix: "/romana" }, never);
  const routes = new FakeRoutes();
  const app = createServer({
    addressing,
    routes,
    log,
    limits,
    authentication: { tokens: [], requireAuth: false, clock, ...authentication },
  });
  return { app, addressing, routes, log };
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
