import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { loadRouterConfig } from "../../src/config/load-router.ts";
import { renderOptions } from "../../src/config/render-options.ts";
import type { Flags } from "../../src/config/resolve-options.ts";
import { routerOptions } from "../../src/config/router-options.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { healthOptions } from "../../src/core/health/options.ts";

function load(flags: Flags, environment: Readonly<Record<string, string>> = {}) {
  return loadRouterConfig({ flags, environment });
}

function problemsOf(flags: Flags): readonly string[] {
  try {
    load(flags);
  } catch (error) {
    if (error instanceof NetworkError && error.code === "CONFIG_INVALID") {
      return error.details["problems"] as readonly string[];
    }
    throw error;
  }
  return [];
}

const file = { routeSpec: "routes.json" };

describe("the configuration of the router", () => {
  it("wants to be told where the list comes from, and nothing else", () => {
    expect(problemsOf({})).toEqual([
      "nothing says where the list of routes comes from: give --route-spec FILE, or --listen ADDRESS:PORT to have it posted",
    ]);
    expect(problemsOf(file)).toEqual([]);
    expect(problemsOf({ listen: ["127.0.0.1:33289"] })).toEqual([]);
  });

  it("has defaults with which probes and failover work", () => {
    const config = load(file);

    expect(config).toMatchObject({
      routeSpec: "routes.json",
      listen: [],
      allowEmpty: false,
      store: { kind: "sqlite", file: "/var/lib/romana/vpc-router.db" },
      dryRun: false,
      routeTables: { kind: "cluster" },
      takeOver: false,
      routeQuota: 500,
      routeReserve: 25,
      ignoreRoutes: [],
      intervalMs: 30_000,
      probe: { kind: "icmp", port: 22 },
    });
    expect(() => healthOptions(config.health)).not.toThrow();
  });

  it("takes every flag of its own", () => {
    const config = load({
      ...file,
      listen: ["127.0.0.1:33289", "unix:/run/router.sock"],
      allowEmpty: true,
      store: "memory",
      recheck: "0s",
      region: "us-west-2",
      vpc: "vpc-0a1b2c3d",
      routeTables: "rtb-1,rtb-2",
      takeOver: true,
      ignoreRoutes: ["0.0.0.0/0"],
      health: "multi",
      tcpPort: "443",
      interval: "1s",
    });

    expect(config).toMatchObject({
      listen: [
        { kind: "tcp", host: "127.0.0.1", port: 33_289, tls: false },
        { kind: "unix", path: "/run/router.sock" },
      ],
      allowEmpty: true,
      store: { kind: "memory" },
      intervalMs: 0,
      region: "us-west-2",
      vpc: "vpc-0a1b2c3d",
      routeTables: { kind: "ids", ids: ["rtb-1", "rtb-2"] },
      takeOver: true,
      ignoreRoutes: ["0.0.0.0/0"],
      probe: { kind: "multi", port: 443 },
      health: { intervalMs: 1000, standbyIntervalMs: 2000 },
    });
  });

  it("reads the same from variables", () => {
    const config = load({}, { ROMANA_ROUTE_SPEC: "r.json", ROMANA_RECHECK: "1m", ROMANA_TAKE_OVER: "true" });

    expect([config.routeSpec, config.intervalMs, config.takeOver]).toEqual(["r.json", 60_000, true]);
  });

  it("probes the addresses that serve nothing no more often than those that serve, however slow these are", () => {
    expect(load({ ...file, interval: "5s" }).health.standbyIntervalMs).toBe(5000);
    expect(load({ ...file, interval: "5s", probeIntervalStandby: "8s" }).health.standbyIntervalMs).toBe(8000);
    expect(problemsOf({ ...file, interval: "5s", probeIntervalStandby: "1s" })).toEqual([
      "probe-interval (5s) must be at most probe-interval-standby (1s)",
    ]);
  });

  it("keeps an address off loopback from being served without TLS and callers", () => {
    expect(problemsOf({ listen: ["10.0.0.5:33289"] })[0]).toMatch(
      /is served with TLS, which wants tls-cert and tls-key/,
    );
    expect(problemsOf({ listen: ["10.0.0.5:33289"], tlsCert: "c", tlsKey: "k" })[0]).toMatch(
      /would let nobody in/,
    );
    expect(problemsOf({ listen: ["http://10.0.0.5:33289"] })[0]).toMatch(/without TLS, which is not done/);
    expect(problemsOf({ listen: ["10.0.0.5:33289"], tlsCert: "c", tlsKey: "k", tokenFile: "t" })).toEqual([]);
  });

  it("names every problem at once", () => {
    expect(
      problemsOf({ ...file, health: "http", tcpPort: "0", interval: "2", recheck: "1ms", cluster: "prod" }),
    ).toHaveLength(5);
  });
});

describe("its options", () => {
  it("are documented as they are (node scripts/render-configuration.ts writes the page anew)", () => {
    const page = readFileSync(new URL("../../docs/vpc-router.md", import.meta.url), "utf8");

    expect(/<!-- router-options -->\n\n([^]*)\n<!-- \/router-options -->/.exec(page)?.[1]).toBe(
      renderOptions(routerOptions),
    );
  });
});
