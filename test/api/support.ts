import { createServer, type ServerLimits } from "../../src/api/server.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { FakeAddressing } from "./fake-addressing.ts";
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

/** A server on memory alone, with a host "node-1" and its parts at hand. */
export async function serverWithOneHost(limits: Partial<ServerLimits> = {}) {
  const addressing = new FakeAddressing();
  await addressing.addHost({ name: "node-1", ip: "192.168.0.1", tags: { zone: "a" }, origin: "api" });
  const routes = new FakeRoutes();
  const log = new MemoryLogger();
  const app = createServer({ addressing, routes, log, limits });
  return { app, addressing, routes, log };
}
