import { describe, expect, it } from "vitest";

import { Cluster } from "./support.ts";

function cluster(): Cluster {
  const made = new Cluster({
    networks: [
      { name: "n", cidr: "10.0.0.0/24" },
      { name: "m", cidr: "10.0.1.0/24" },
    ],
    topologies: [{ networks: ["n", "m"], map: [{ name: "all" }] }],
  });
  made.addHost("h1");
  return made;
}

const blackouts = (made: Cluster): readonly string[] =>
  made.state.networks.flatMap((network) => network.blackouts.map(({ cidr }) => cidr));

describe("planBlackout", () => {
  it("keeps ranges sorted, ignores one that is covered, and replaces those that it covers", () => {
    const made = cluster();

    made.blackout("n", "10.0.0.64/28");
    made.blackout("n", "10.0.0.16/30");
    made.blackout("n", "10.0.0.16/32");
    expect(blackouts(made)).toEqual(["10.0.0.16/30", "10.0.0.64/28"]);

    made.blackout("n", "10.0.0.0/25");
    expect(blackouts(made)).toEqual(["10.0.0.0/25"]);
  });

  it.for([
    ["n", "10.0.0.0/24", "BLACKOUT_INVALID", "it is the whole network"],
    ["n", "10.0.0.0/23", "BLACKOUT_INVALID", "the network is 10.0.0.0/24"],
    ["n", "10.0.1.0/28", "BLACKOUT_INVALID", "the network is 10.0.0.0/24"],
    ["x", "10.0.0.0/28", "NETWORK_NOT_FOUND", `no network "x": there are "n", "m"`],
  ] as const)("refuses %s %s: %s", ([network, cidr, code, reason]) => {
    const made = cluster();

    expect(() => made.blackout(network, cidr)).toThrow(expect.objectContaining({ code }));
    expect(() => made.blackout(network, cidr)).toThrow(reason);
  });

  it("refuses a range in which any address is in use, and names the first five", () => {
    const made = cluster();
    for (let index = 0; index < 8; index += 1) {
      made.allocate(`p${index}`, "h1");
    }

    expect(() => made.blackout("n", "10.0.0.0/25")).toThrow(
      `in use are 10.0.0.0 ("p0"), 10.0.0.1 ("p1"), 10.0.0.2 ("p2"), 10.0.0.3 ("p3"), 10.0.0.4 ("p4") and 3 more; release them first`,
    );
    expect(() => made.blackout("n", "10.0.0.7/32")).toThrow(`in use are 10.0.0.7 ("p7"); release`);
    made.blackout("n", "10.0.0.8/29");
  });

  it("may lie beside addresses in use of the same block", () => {
    const made = cluster();
    made.allocate("p0", "h1");

    made.blackout("n", "10.0.0.2/31");
    made.blackout("n", "10.0.0.4/30");

    expect([made.allocate("p1", "h1"), made.allocate("p2", "h1")]).toEqual(["10.0.0.1", "10.0.0.8"]);
  });

  it("leaves a returned block out while it is wholly blacked out", () => {
    const made = cluster();
    made.allocate("p0", "h1");
    made.release("p0");
    made.blackout("n", "10.0.0.0/29");

    expect(made.allocate("p1", "h1")).toBe("10.0.0.8");
    made.endBlackout("n", "10.0.0.0/29");
    expect(made.allocate("p2", "h1", "u:s")).toBe("10.0.0.0");
  });
});

describe("planBlackoutRemoval", () => {
  it("wants the range as it was named", () => {
    const made = cluster();
    expect(() => made.endBlackout("n", "10.0.0.0/28")).toThrow(
      `no blackout 10.0.0.0/28 in network "n": there are none`,
    );
    made.blackout("n", "10.0.0.0/27");

    expect(() => made.endBlackout("n", "10.0.0.0/28")).toThrow("there are 10.0.0.0/27; name one exactly");
    expect(() => new Cluster().endBlackout("n", "10.0.0.0/28")).toThrow(`no network "n": there are none`);
    made.endBlackout("n", "10.0.0.0/27");

    expect(blackouts(made)).toEqual([]);
  });
});
