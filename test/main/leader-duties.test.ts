import { expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import { VirtualClock } from "../../src/adapters/simulation/virtual-clock.ts";
import { loadControllerConfig } from "../../src/config/load.ts";
import { parseIpv4 } from "../../src/core/net/ipv4.ts";
import { builtinTopology } from "../../src/core/topology/builtin.ts";
import { createControlPlane } from "../../src/main/create-control-plane.ts";
import type { Cloud } from "../../src/ports/cloud.ts";
import type { Prober } from "../../src/ports/prober.ts";
import { silentLog } from "../support/silent-log.ts";

const never = new AbortController().signal;

/** A cloud that has not answered yet. */
class SlowCloud implements Cloud {
  asked = 0;

  describe(signal: AbortSignal): Promise<never> {
    this.asked += 1;
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  }

  writeRoute(): Promise<void> {
    return Promise.reject(new Error("nothing may be written before EC2 was read"));
  }

  describeInstance(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  disableSourceDestCheck(): Promise<void> {
    return this.writeRoute();
  }

  calls(): Readonly<Record<string, number>> {
    return {};
  }
}

it("probes every known host while EC2 has not answered a new leader yet", async () => {
  const clock = new VirtualClock();
  const cloud = new SlowCloud();
  const probed = new Map<string, number>();
  const prober: Prober = {
    probe: (address, listener) => {
      probed.set(address, (probed.get(address) ?? 0) + 1);
      listener({ kind: "answer" });
    },
    settle: (callback) => void callback(),
    close: () => undefined,
  };
  const plane = await createControlPlane(
    {
      clock,
      log: silentLog,
      store: new MemoryStore({ clock }),
      prefix: "/romana",
      replica: { id: "one", url: "" },
      random: () => 0,
      cloud,
      prober,
      config: loadControllerConfig({ flags: { cloud: "aws", region: "us-west-2" }, environment: {} }),
      initialTopology: builtinTopology("kubeadm"),
      version: "0",
      cloudName: "aws",
      storeName: "memory",
    },
    never,
  );
  const hosts = ["10.9.0.1", "10.9.0.2"].map((ip) => ({
    name: `n-${ip}`,
    ip: parseIpv4(ip),
    origin: "api" as const,
  }));
  await clock.runUntilSettled(plane.addressing.addHosts(hosts, never));
  plane.start();
  await clock.runFor(1_000);

  expect(cloud.asked).toBe(1);
  expect(Object.fromEntries(probed)).toEqual({ "10.9.0.1": 5, "10.9.0.2": 5 });
  await clock.runUntilSettled(plane.stop());
});
