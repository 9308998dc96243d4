import { expect, it } from "vitest";

import { readVipAnnotation } from "../../../src/core/cluster/vip-annotation.ts";

function read(romanaip: string | undefined, romanavip?: string) {
  return readVipAnnotation({ vipAnnotations: { romanaip, romanavip } });
}

const vip = (ip: string, auto?: unknown) => JSON.stringify({ auto, ip });

it("reads nothing where there is no annotation", () => {
  expect(read(undefined)).toEqual({ kind: "none" });
});

it.for([
  ["romanaip", vip("192.0.2.10"), undefined],
  ["romanavip", undefined, vip("192.0.2.10", false)],
  ["both, with the same address", vip("192.0.2.10"), vip("192.0.2.10", false)],
] as const)("reads the address of %s", ([, romanaip, romanavip]) => {
  expect(read(romanaip, romanavip)).toEqual({ kind: "vip", ip: "192.0.2.10" });
});

it.for([
  ["", "romanaip", "not JSON"],
  ["192.0.2.10", "romanaip", "not JSON"],
  ['"192.0.2.10"', "romanaip", "expected an object"],
  ["null", "romanaip", "expected an object"],
  ["{}", "romanaip.ip", "expected an IPv4 address"],
  ['{"ip":null}', "romanaip.ip", "expected an IPv4 address"],
  ['{"ip":""}', "romanaip.ip", "expected an IPv4 address"],
  [vip("192.0.2.010"), "romanaip.ip", "expected an IPv4 address"],
  [vip("2001:db8::1"), "romanaip.ip", "expected an IPv4 address"],
  [vip("192.0.2.10/32"), "romanaip.ip", "expected an IPv4 address"],
  [vip("192.0.2.10", true), "romanaip.auto", "not chosen by itself"],
  ['{"auto":true}', "romanaip.auto", "not chosen by itself"],
  [vip("192.0.2.10", "no"), "romanaip.auto", "expected true or false"],
] as const)("refuses %s and says what to write", ([text, place, words]) => {
  const annotation = read(text);

  expect(annotation).toMatchObject({ kind: "invalid", place });
  expect(annotation.kind === "invalid" && annotation.message).toContain(words);
  expect(annotation.kind === "invalid" && annotation.message).toContain('write {"ip":"192.0.2.10"}');
});

it("refuses two annotations that name different addresses", () => {
  const annotation = read(vip("192.0.2.10"), vip("192.0.2.11"));

  expect(annotation).toEqual({
    kind: "invalid",
    place: "romanaip",
    message: "it says 192.0.2.10, and romanavip says 192.0.2.11: leave one of the two annotations out",
  });
});

it("refuses a bad annotation also beside a good one", () => {
  expect(read(vip("192.0.2.10"), "{")).toMatchObject({ kind: "invalid", place: "romanavip" });
});
