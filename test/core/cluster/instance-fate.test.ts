import { describe, expect, it } from "vitest";

import type { CloudFacts, CloudInstance, InstanceState } from "../../../src/core/cloud/facts.ts";
import {
  countAbsences,
  fateOf,
  machineKey,
  type CloudEvidence,
  type Machine,
} from "../../../src/core/cluster/instance-fate.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";

const ip = parseIpv4("10.0.0.1");
const machine: Machine = { ip, node: { uid: "u", instanceId: "i-1" } };
const nameless: Machine = { ip };

function instance(id: string, state: InstanceState = "running"): CloudInstance {
  const interfaces = [{ id: "eni-1", subnetId: "subnet-1", addresses: [ip], sourceDestCheck: true }];
  return { id, state, zone: "a", tags: {}, interfaces };
}

function facts(instances: readonly CloudInstance[], unreadable: readonly string[] = []): CloudFacts {
  const rest = { vpcId: "vpc-1", region: "r", vpcCidrs: [], subnets: [], routeTables: [] };
  return { ...rest, instances, unreadableInstanceIds: unreadable };
}

const nothing: CloudEvidence = { facts: undefined, absences: new Map(), words: new Map() };
/** After two looks, the first at 0, the last at `at`, neither of which showed it. */
const missing = (at: number, last = facts([])): CloudEvidence => ({
  facts: last,
  absences: countAbsences(
    countAbsences(new Map(), [machine, nameless], facts([]), 0),
    [machine, nameless],
    last,
    at,
  ),
  words: new Map(),
});
const word = (at: number, found: CloudInstance | undefined): CloudEvidence["words"] =>
  new Map([["i-1", { instance: found, at }]]);

describe("what became of a machine", () => {
  it.for([
    ["nobody looked yet", nothing, 0, "unknown"],
    ["it runs", { ...nothing, facts: facts([instance("i-1")]) }, 0, "alive"],
    ["it is stopped", { ...nothing, facts: facts([instance("i-1", "stopped")]) }, 0, "alive"],
    ["it is shutting down", { ...nothing, facts: facts([instance("i-1", "shutting-down")]) }, 0, "alive"],
    ["it is terminated", { ...nothing, facts: facts([instance("i-1", "terminated")]) }, 0, "gone"],
    ["another one has its address", { ...nothing, facts: facts([instance("i-2")]) }, 0, "unknown"],
    [
      "it was terminated when asked about",
      { ...nothing, words: word(0, instance("i-1", "terminated")) },
      0,
      "gone",
    ],
    ["it ran when asked about", { ...nothing, words: word(0, instance("i-1")) }, 0, "unknown"],
    ["it is missing in two looks for 29 s", missing(29_000), 29_000, "unknown"],
    ["it is missing in two looks for 30 s", missing(30_000), 30_000, "absent"],
    [
      "it is missing, and EC2 knows none since",
      { ...missing(30_000), words: word(1, undefined) },
      30_000,
      "gone",
    ],
    [
      "it is missing, and runs",
      { ...missing(30_000), words: word(30_000, instance("i-1")) },
      40_000,
      "alive",
    ],
    [
      "it is missing, and ran a minute ago",
      { ...missing(30_000), words: word(30_000, instance("i-1")) },
      90_000,
      "absent",
    ],
  ] as const)("when %s: %s", ([, evidence, now, expected]) => {
    expect(fateOf(machine, evidence, now)).toBe(expected);
  });

  it("does not follow from what EC2 said before it went missing", () => {
    const absences = new Map([["i-1", { passes: 3, since: 1000 }]]);

    expect(fateOf(machine, { facts: facts([]), absences, words: word(999, undefined) }, 60_000)).toBe(
      "absent",
    );
  });

  it("is told by its address where its instance is not known", () => {
    expect(machineKey(nameless)).toBe(ip);
    expect(fateOf(nameless, { ...nothing, facts: facts([instance("i-9")]) }, 0)).toBe("alive");
    expect(
      fateOf(nameless, { ...nothing, facts: facts([instance("i-8", "terminated"), instance("i-9")]) }, 0),
    ).toBe("alive");
    expect(fateOf(nameless, { ...nothing, facts: facts([instance("i-8", "terminated")]) }, 0)).toBe("gone");
    expect(fateOf(nameless, missing(29_000), 29_000)).toBe("unknown");
    expect(fateOf(nameless, missing(30_000), 30_000)).toBe("gone");
  });
});

describe("absences", () => {
  it("end when a look shows the machine again", () => {
    const once = countAbsences(new Map(), [machine], facts([]), 5);

    expect(once.get("i-1")).toEqual({ passes: 1, since: 5 });
    expect(countAbsences(once, [machine], facts([instance("i-1", "stopped")]), 6).size).toBe(0);
  });

  it("are not counted while an instance cannot be read", () => {
    const once = countAbsences(new Map(), [machine], facts([]), 5);

    expect(countAbsences(once, [machine], facts([], ["i-7"]), 6)).toBe(once);
  });
});
