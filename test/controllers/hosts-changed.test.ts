import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { SimulatedCloud } from "../../src/adapters/simulation/simulated-cloud.ts";
import { SmallRegion, type SmallController } from "../support/region.ts";

const never = new AbortController().signal;

describe("a change of hosts", () => {
  let region: SmallRegion;
  let cloud: SimulatedCloud;
  let controller: SmallController;
  beforeEach(async () => {
    region = new SmallRegion();
    const { ec2, clock, random } = region;
    cloud = new SimulatedCloud({ region: region.region, ec2, clock, random });
    controller = await region.controller();
    controller.passes.start();
    // Between two passes by interval.
    await region.clock.runFor(75_000);
  });
  afterEach(() => region.stop());

  const calls = (): Readonly<Record<string, number>> => region.ec2.calls();
  const subnetOf = (name: string): string => region.instances.get(name)?.subnetId ?? "";

  /** A new node in a group, looked at alone as its Node arrives; its check is turned off. */
  async function arrive(name: string, group: string): Promise<void> {
    region.launch(name, subnetOf("a1"));
    // EC2 shows it with its usual delay.
    await region.clock.runFor(3000);
    const { id, eni } = region.instances.get(name) ?? { id: "", eni: "" };
    const instance = await region.clock.runUntilSettled(cloud.describeInstance(id, never));
    if (instance !== undefined) {
      controller.passes.instanceSeen(instance);
    }
    region.groups[group]?.push(name);
    controller.passes.hostsChanged();
    await region.clock.runUntilSettled(
      controller.passes.turnOffChecks([{ host: name, interfaceId: eni, instanceId: id }], never),
    );
  }

  it("that needs no route costs one look at that instance and one write, and no pass", async () => {
    const before = calls();
    await arrive("a4", "100.96.0.0/16");
    await region.clock.runFor(2000);
    const after = calls();

    expect((after["DescribeInstances"] ?? 0) - (before["DescribeInstances"] ?? 0)).toBe(1);
    expect(after["DescribeRouteTables"]).toBe(before["DescribeRouteTables"]);
    expect(region.checksOn()).toEqual([]);
    expect(controller.state.snapshot()?.plan.gateways.get("a4")).toMatchObject({ sourceDestCheck: false });
    expect(region.health.targets.map(({ host }) => host)).toContain("a4");
  });

  it("that needs a route has a pass at once, which writes it", async () => {
    const before = calls();
    region.groups["100.97.0.0/16"] = [];
    controller.passes.hostsChanged();
    await region.clock.runFor(5000);
    await arrive("a4", "100.97.0.0/16");
    await region.clock.runFor(5000);

    expect((calls()["DescribeRouteTables"] ?? 0) > (before["DescribeRouteTables"] ?? 0)).toBe(true);
    expect(region.gatewayOf("100.97.0.0/16")).toBe("a4");
  });

  it("whose machine no look has shown has a pass at once", async () => {
    region.launch("a4", subnetOf("a1"));
    region.groups["100.96.0.0/16"]?.push("a4");
    controller.passes.hostsChanged();
    await region.clock.runFor(8000);

    expect(region.checksOn()).toEqual([]);
  });

  it("leaves a check that could not be turned off to a pass", async () => {
    region.ec2.failNext("ModifyNetworkInterfaceAttribute", "unavailable", 3);
    await arrive("a4", "100.96.0.0/16");
    await region.clock.runFor(8000);

    expect(region.checksOn()).toEqual([]);
  });

  it("looks at the plan four times a second at most, however many come", async () => {
    let planned = 0;
    const { health } = region;
    const setTargets = health.setTargets.bind(health);
    health.setTargets = (targets) => {
      planned += 1;
      setTargets(targets);
    };
    for (let count = 0; count < 100; count += 1) {
      controller.passes.hostsChanged();
      await region.clock.runFor(10);
    }

    expect(planned).toBeGreaterThan(0);
    expect(planned).toBeLessThanOrEqual(5);
  });
});

it("turns nothing off in a dry run", async () => {
  const region = new SmallRegion();
  const { passes } = await region.controller({ dryRun: true });
  passes.start();
  await region.clock.runFor(10_000);
  const { id, eni } = region.instances.get("a1") ?? { id: "", eni: "" };

  await region.clock.runUntilSettled(
    passes.turnOffChecks([{ host: "a1", interfaceId: eni, instanceId: id }], never),
  );

  expect(region.checksOn()).toContain("a1");
  await region.stop();
});
