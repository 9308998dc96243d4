import { expect, it } from "vitest";

import { AgentReports } from "../../../src/services/cluster/agent-reports.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { createStore, hostIn, openService, signal, twoZones } from "../support.ts";

it("forgets what the agent of a host said that is gone, whoever removed it, and no other's", async () => {
  const addressing = await openService(createStore());
  await addressing.updateTopology(twoZones, signal);
  await addressing.addHost(hostIn("a", "h1", 1), signal);
  await addressing.addHost(hostIn("a", "h2", 2), signal);
  const agents = new AgentReports(new FakeClock());
  const end = agents.followHosts(addressing);
  const report = { ready: true, endpoints: new Map() };
  agents.put("h1", report);
  agents.put("h2", report);

  await addressing.removeHost("h1", signal);
  const left = [agents.of("h1"), agents.of("h2")];
  end();
  await addressing.removeHost("h2", signal);

  expect(left).toEqual([undefined, expect.objectContaining(report)]);
  expect(agents.of("h2")).toBeDefined();
});
