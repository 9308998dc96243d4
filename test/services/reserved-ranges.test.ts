import { describe, expect, it } from "vitest";

import { parseCidr } from "../../src/core/net/cidr.ts";
import { ReservedRanges } from "../../src/services/reserved-ranges.ts";
import { createLog, createStore, hostIn, openService, signal, twoZones, type LogLine } from "./support.ts";

async function setUp() {
  const lines: LogLine[] = [];
  const addressing = await openService(createStore());
  const ranges = new ReservedRanges({ addressing, log: createLog(lines) });
  return { addressing, ranges, warnings: () => lines.filter(({ level }) => level === "warn").length };
}

const services = (cidr: string) => ({
  cidr: parseCidr(cidr),
  what: 'the service range of ServiceCIDR "kubernetes"',
});
const vpc = (cidr: string) => ({ cidr: parseCidr(cidr), what: "the VPC vpc-1" });

describe("reserved ranges", () => {
  it("of one source leave those of another standing, in either order", async () => {
    const { ranges } = await setUp();

    ranges.put("vpc", [vpc("172.31.0.0/16")]);
    ranges.put("service-range", [services("10.96.0.0/12")]);
    ranges.put("vpc", [vpc("172.31.0.0/16"), vpc("172.30.0.0/16")]);

    expect(ranges.list().map(({ cidr }) => cidr)).toEqual(["10.96.0.0/12", "172.30.0.0/16", "172.31.0.0/16"]);
  });

  it("refuse a network, in words that name the range and where it was learned", async () => {
    const { addressing, ranges } = await setUp();
    ranges.put("service-range", [services("10.0.0.0/20")]);
    ranges.put("vpc", [vpc("172.31.0.0/16")]);

    await expect(addressing.updateTopology(twoZones, signal)).rejects.toMatchObject({
      code: "TOPOLOGY_INVALID",
      message: expect.stringContaining(
        'network "pods" 10.0.0.0/16 overlaps the service range of ServiceCIDR "kubernetes" 10.0.0.0/20: choose a range outside it',
      ) as string,
    });
    expect(addressing.networks()).toEqual([]);
  });

  it("that are learned later than a network warn once, and nothing of it moves", async () => {
    const { addressing, ranges, warnings } = await setUp();
    await addressing.updateTopology(twoZones, signal);
    await addressing.addHost(hostIn("a", "h1", 1), signal);
    const address = await addressing.allocate({ name: "p1", host: "h1", tenant: "t", segment: "s" }, signal);

    ranges.put("service-range", [services("10.0.0.0/20")]);
    ranges.put("service-range", [services("10.0.0.0/20")]);
    ranges.put("vpc", [vpc("172.31.0.0/16")]);

    expect(warnings()).toBe(1);
    expect(ranges.overlaps()).toEqual([
      {
        source: "service-range",
        network: "pods",
        cidr: "10.0.0.0/16",
        range: "10.0.0.0/20",
        what: 'the service range of ServiceCIDR "kubernetes"',
      },
    ]);
    expect(addressing.address("p1")?.address).toBe(address);
    expect(await addressing.allocate({ name: "p2", host: "h1", tenant: "t", segment: "s" }, signal)).toBe(
      "10.0.0.1",
    );
  });

  it("are held against networks that come later, and no more against those that are gone", async () => {
    const { addressing, ranges, warnings } = await setUp();
    ranges.put("vpc", [vpc("10.0.0.0/8")]);
    // As another replica may do that does not know the range yet.
    addressing.setReserved([]);
    await addressing.updateTopology(twoZones, signal);
    const during = ranges.overlaps().length;

    await addressing.updateTopology(null, signal);

    expect([during, ranges.overlaps().length]).toEqual([1, 0]);
    expect(warnings()).toBe(1);
    ranges.stop();
    await addressing.updateTopology(twoZones, signal);
    expect(ranges.overlaps()).toEqual([]);
  });
});
