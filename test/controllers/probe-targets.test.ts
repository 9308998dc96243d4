import { describe, expect, it } from "vitest";

import { probeTargets } from "../../src/controllers/probe-targets.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { planRoutes } from "../../src/core/routing/plan-routes.ts";
import { cluster, type ClusterSketch } from "../support/routing.ts";

function targets(sketch: ClusterSketch) {
  const input = cluster(sketch);
  const plan = planRoutes(input);
  const addresses = new Map(input.hosts.map(({ name, ip }) => [name, ip]));
  return probeTargets(plan.desired, plan, (host) => addresses.get(host));
}

describe("whom to probe", () => {
  it("probes who holds a route and who could, and nobody else", () => {
    const found = targets({
      groups: { "100.96.0.0/16": ["a1", "a2"], "100.97.0.0/16": ["b1"] },
      nodes: ["a1@subnet-a", "a2@subnet-a", "b1@subnet-b", "idle@subnet-b"],
      tables: { "rtb-1": ["100.96.0.0/16 eni-a1", "100.97.0.0/16 eni-b1"] },
    });

    expect(found).toEqual([
      { host: "a1", address: parseIpv4("172.31.0.1"), role: "gateway", standIns: ["a2"], zone: "zone-a" },
      { host: "a2", address: parseIpv4("172.31.0.2"), role: "stand-in", standIns: [], zone: "zone-a" },
      { host: "b1", address: parseIpv4("172.31.0.3"), role: "gateway", standIns: [], zone: "zone-b" },
    ]);
  });

  it("leaves out what EC2 says does not run", () => {
    const found = targets({
      groups: { "100.96.0.0/16": ["a1", "a2"] },
      nodes: ["a1@subnet-a", "a2@subnet-a"],
      states: { a2: "stopped" },
    });

    expect(found.map(({ host }) => host)).toEqual(["a1"]);
  });

  it("asks a bounded number of stand-ins of a large group", () => {
    const nodes = Array.from({ length: 200 }, (_, index) => `n${index}`);
    const found = targets({
      groups: { "100.96.0.0/16": nodes },
      nodes: nodes.map((name) => `${name}@subnet-a`),
    });
    const gateway = found.find(({ role }) => role === "gateway");

    expect(found).toHaveLength(200);
    expect(gateway?.standIns).toHaveLength(16);
    expect(gateway?.standIns).not.toContain(gateway?.host);
  });
});
