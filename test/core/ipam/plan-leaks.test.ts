import { describe, expect, it } from "vitest";

import type { ClusterPod } from "../../../src/core/cluster/objects.ts";
import {
  claimOf,
  dueAt,
  stageOf,
  suspect,
  type InterfaceReport,
  type PodFacts,
  type Suspicion,
} from "../../../src/core/ipam/plan-leaks.ts";
import type { AddressView } from "../../../src/core/ipam/view.ts";
import { parseIpv4, type Ipv4 } from "../../../src/core/net/ipv4.ts";
import { podNamed } from "../../support/pods.ts";

const pod = { namespace: "shop", name: "web", uid: "u1" };
const address: AddressView = {
  name: "web.shop.0f3a9b21",
  address: parseIpv4("10.0.0.7"),
  network: "pods",
  host: "h1",
  tenant: "shop",
  segment: "default",
};

function factsOf(...pods: readonly ClusterPod[]): PodFacts {
  return {
    byUid: (uid) => pods.find((each) => each.uid === uid),
    named: (key) => pods.find(({ namespace, name }) => `${namespace}/${name}` === key),
    hasAddress: (ip) => pods.some(({ ips }) => ips.includes(ip)),
  };
}

describe("whose an address is", () => {
  it.for<[string, Partial<AddressView>, readonly ClusterPod[], string]>([
    ["names a Pod that is there", { pod }, [podNamed("shop/web", { uid: "u1", phase: "" })], "held"],
    [
      "names a Pod that has ended",
      { pod },
      [podNamed("shop/web", { uid: "u1", phase: "Failed" })],
      "podless",
    ],
    ["names a Pod that is gone", { pod }, [], "podless"],
    ["names a Pod whose name another has", { pod }, [podNamed("shop/web", { uid: "u2" })], "podless"],
    [
      "names a Pod that is gone, and another says that it has it",
      { pod },
      [podNamed("shop/x", { ips: ["10.0.0.7"] })],
      "held",
    ],
    ["names none, and a Pod has its name", {}, [podNamed("shop/web", { phase: "Failed" })], "held"],
    ["names none, and no Pod has its name", {}, [podNamed("web/shop")], "podless"],
    ["has a Pod's name with dots", { name: "a.b.shop.0f3a9b21" }, [podNamed("shop/a.b")], "held"],
    ["has a Pod's name and no container's", { name: "web.shop" }, [podNamed("shop/web")], "held"],
    ["has a name that is nearly a CNI plugin's", { name: "web.shop.0F3A9B21" }, [], "unclaimed"],
    ["has a CNI plugin's name of another tenant", { tenant: "t" }, [], "unclaimed"],
    ["has two parts, the second like a container", { name: "web.0f3a9b21" }, [], "unclaimed"],
    ["has a name of one part", { name: "vm-1" }, [], "unclaimed"],
    [
      "has an empty tenant and a name with an empty namespace",
      { name: "web..0f3a9b21", tenant: "t" },
      [],
      "unclaimed",
    ],
  ])("that %s", ([, change, pods, claim]) => {
    expect(claimOf({ ...address, ...change }, factsOf(...pods))).toBe(claim);
  });
});

const report = (
  at: number,
  endpoints: Readonly<Record<string, string>> = {},
  ready = true,
): InterfaceReport => ({
  at,
  ready,
  endpoints: new Map(Object.entries(endpoints) as [Ipv4, string][]),
});

/** What becomes of a suspicion with one report after the other, each seen at once; the first look is at 0. */
function after(...reports: readonly InterfaceReport[]): Suspicion {
  return reports.reduce(
    (before, each) => suspect(before, { ...address, pod }, each, each.at),
    suspect(undefined, { ...address, pod }, undefined, 0),
  );
}

const every30s = (untilMs: number): readonly InterfaceReport[] =>
  Array.from({ length: untilMs / 30_000 }, (_, index) => report((index + 1) * 30_000));

describe("how far a suspicion has come", () => {
  it.for<[string, readonly InterfaceReport[], number, number, string]>([
    ["settles for 90 s, whatever its agent says", every30s(60_000), 89_999, 0, "settling"],
    ["waits for its agent's word after those 90 s", every30s(60_000), 90_000, 0, "waiting"],
    ["has leaked with that word", every30s(90_000), 90_000, 0, "leaked"],
    [
      "waits for the grace time from the first report without it",
      every30s(600_000),
      629_999,
      600_000,
      "waiting",
    ],
    ["has leaked when that is over", every30s(600_000), 630_000, 600_000, "leaked"],
    ["is silent without a report", [], 200_000, 0, "silent"],
    ["is silent 90 s after the last report", every30s(90_000), 180_001, 0, "silent"],
    [
      "is silent while its agent is not ready",
      [...every30s(90_000), report(120_000, {}, false)],
      120_000,
      0,
      "silent",
    ],
    [
      "is present with its address",
      [...every30s(90_000), report(120_000, { "10.0.0.7": "" })],
      120_000,
      0,
      "present",
    ],
    [
      "is present with its Pod",
      [...every30s(90_000), report(120_000, { "10.0.0.9": "u1" })],
      120_000,
      0,
      "present",
    ],
    [
      "is not present with what is another's",
      [...every30s(90_000), report(120_000, { "10.0.0.9": "u2" })],
      120_000,
      0,
      "leaked",
    ],
  ])("%s", ([, reports, now, graceMs, stage]) => {
    expect(stageOf(after(...reports), { ...address, pod }, reports.at(-1), { now, graceMs })).toBe(stage);
  });

  it("is not confirmed by a report from before it began", () => {
    const known = report(10);
    const suspicion = suspect(undefined, address, known, 20);

    expect(suspicion.absentSince).toBeUndefined();
    expect(
      stageOf({ ...suspicion, podlessSince: -100_000 }, address, report(-200_000), { now: 0, graceMs: 0 }),
    ).toBe("silent");
    expect(stageOf({ ...suspicion, podlessSince: 20 }, address, known, { now: 90_010, graceMs: 0 })).toBe(
      "settling",
    );
    expect(stageOf({ ...suspicion, podlessSince: 0 }, address, report(0), { now: 90_000, graceMs: 0 })).toBe(
      "unconfirmed",
    );
  });

  it("counts its grace time anew after an interface, and after more than 90 s without a report", () => {
    expect(after(report(30_000), report(60_000)).absentSince).toBe(30_000);
    expect(after(report(30_000), report(120_000)).absentSince).toBe(30_000);
    expect(after(report(30_000), report(120_001)).absentSince).toBe(120_001);
    expect(after(report(30_000), report(60_000, { "10.0.0.7": "u1" }), report(90_000)).absentSince).toBe(
      90_000,
    );
    expect(after(report(30_000), report(60_000, {}, false), report(90_000)).absentSince).toBe(90_000);
  });

  it("is due when both the 90 s and the grace time are over, and never while its agent has not agreed", () => {
    expect(dueAt(after(report(30_000)), 600_000)).toBe(630_000);
    expect(dueAt(after(report(30_000)), 0)).toBe(90_000);
    expect(dueAt(after(), 0)).toBeUndefined();
  });
});
