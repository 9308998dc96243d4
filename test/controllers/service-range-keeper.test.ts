import { describe, expect, it } from "vitest";

import { ServiceRangeKeeper } from "../../src/controllers/service-range-keeper.ts";
import type { ClusterService, ClusterServiceCidr } from "../../src/core/cluster/objects.ts";
import { parseCidr, type Cidr } from "../../src/core/net/cidr.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import { createLog, type LogLine } from "../services/support.ts";
import { FakeClock } from "../support/fake-clock.ts";

let version = 0;

function serviceCidr(name: string, ...cidrs: readonly string[]): ClusterServiceCidr {
  version += 1;
  return {
    uid: `uid-${name}`,
    namespace: "",
    name,
    resourceVersion: String(version),
    deleting: false,
    cidrs,
  };
}

function service(namespace: string, name: string, ip: string): ClusterService {
  version += 1;
  return {
    uid: `uid-${namespace}-${name}`,
    namespace,
    name,
    resourceVersion: String(version),
    deleting: false,
    labels: {},
    selector: {},
    type: "ClusterIP",
    clusterIps: [ip],
    externalIps: [],
    ports: [],
    vipAnnotations: { romanaip: undefined, romanavip: undefined },
  };
}

function setUp(flag?: Cidr) {
  const serviceCidrs = new ObjectView<ClusterServiceCidr>();
  const services = new ObjectView<ClusterService>();
  const told: string[] = [];
  const lines: LogLine[] = [];
  const clock = new FakeClock();
  const keeper = new ServiceRangeKeeper({
    serviceCidrs,
    services,
    flag,
    onRange: (ranges) => void told.push(ranges.map(({ cidr }) => cidr).join(" ")),
    clock,
    log: createLog(lines),
  });
  const warnings = () => lines.filter(({ level }) => level === "warn").length;
  return { serviceCidrs, services, told, warnings, keeper, clock };
}

const API = service("default", "kubernetes", "10.96.0.1");

describe("the keeper of the service range", () => {
  it("decides nothing from a view that is not whole", () => {
    const { serviceCidrs, services, told, warnings, keeper } = setUp();

    keeper.start();
    services.put(API);
    serviceCidrs.put(serviceCidr("kubernetes", "10.96.0.0/16"));

    expect(told).toEqual([]);
    expect(warnings()).toBe(0);
    expect(keeper.finding()).toEqual({ ranges: [], warnings: [] });
  });

  it("goes by the flag until the objects are there, then by the objects, and tells each range once", () => {
    const { serviceCidrs, services, told, warnings, keeper } = setUp(parseCidr("10.96.0.0/12"));

    keeper.start();
    services.replace([API]);
    serviceCidrs.replace([serviceCidr("kubernetes", "10.96.0.0/16")]);
    services.put({ ...API, resourceVersion: "later" });

    expect(told).toEqual(["10.96.0.0/12", "10.96.0.0/16"]);
    expect(warnings()).toBe(1);
  });

  it("goes by the address of the API server's own service where there are no objects", () => {
    const { serviceCidrs, services, told, keeper } = setUp();

    keeper.start();
    services.replace([service("default", "other", "100.64.0.1"), API]);
    serviceCidrs.replace([]);

    expect(told).toEqual(["10.96.0.0/12"]);
  });

  it("counts a ServiceCIDR that is added later, and one that goes", () => {
    const { serviceCidrs, services, told, keeper } = setUp();
    serviceCidrs.replace([serviceCidr("kubernetes", "10.96.0.0/16")]);
    services.replace([API]);

    keeper.start();
    const more = serviceCidr("more", "10.200.0.0/16");
    serviceCidrs.put(more);
    serviceCidrs.remove(more);

    expect(told).toEqual(["10.96.0.0/16", "10.96.0.0/16 10.200.0.0/16", "10.96.0.0/16"]);
  });

  it("says once that the range is unknown", () => {
    const { serviceCidrs, services, told, warnings, keeper } = setUp();

    keeper.start();
    serviceCidrs.replace([]);
    services.replace([service("default", "kubernetes", "172.20.0.1")]);
    serviceCidrs.replace([]);
    services.put(service("default", "kubernetes", "172.20.0.1"));

    expect(told).toEqual([]);
    expect(warnings()).toBe(1);
    expect(keeper.finding().warnings).toEqual([expect.stringContaining("give --service-range")]);
  });

  it("knows all that the cluster says once both kinds were told, and can be waited for", async () => {
    const { serviceCidrs, services, told, keeper } = setUp();
    const impatient = new AbortController();
    keeper.start();
    const first = keeper.whenTold(impatient.signal);
    const second = keeper.whenTold(new AbortController().signal);

    services.replace([API]);
    impatient.abort(new Error("too long"));
    await expect(first).rejects.toThrow("too long");
    serviceCidrs.replace([serviceCidr("kubernetes", "10.200.0.0/16")]);
    await second;

    expect(told.at(-1)).toBe("10.200.0.0/16");
    await expect(keeper.whenTold(impatient.signal)).rejects.toThrow("too long");
  });

  it("does not hold up whoever waits for ServiceCIDRs that the role may not list", async () => {
    const { services, keeper, clock, warnings } = setUp();
    keeper.start();
    let isOver = false;
    const waiting = keeper.whenTold(new AbortController().signal).then(() => (isOver = true));
    await clock.advance(60_000);
    const before = isOver;

    services.replace([API]);
    await clock.advance(9_000);
    const early = isOver;
    await clock.advance(1_000);
    await waiting;

    expect([before, early]).toEqual([false, false]);
    expect(warnings()).toBeGreaterThan(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it("tells nothing any more after it was stopped", async () => {
    const { serviceCidrs, services, told, keeper } = setUp();
    keeper.start();
    serviceCidrs.replace([]);

    await keeper.stop();
    services.replace([API]);

    expect(told).toEqual([]);
  });
});
