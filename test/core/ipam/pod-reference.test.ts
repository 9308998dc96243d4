import { expect, it } from "vitest";

import { readPodReference } from "../../../src/core/ipam/pod-reference.ts";

const sound = { namespace: "shop", pod: "web-1.a", podUID: "5b6f7f0e-8c1d-4a53-9d0e-1f2a3b4c5d6e" };

it("is none when nothing of it is given, and read when all of it is", () => {
  expect(readPodReference({})).toBeUndefined();
  expect(readPodReference({ namespace: "", pod: "", podUID: "" })).toBeUndefined();
  expect(readPodReference(sound)).toEqual({ namespace: "shop", name: "web-1.a", uid: sound.podUID });
  expect(readPodReference({ ...sound, podUID: "x".repeat(64), pod: "a".repeat(63) })).toBeDefined();
});

it.for([
  ["without a namespace", { namespace: undefined }],
  ["without a name", { pod: "" }],
  ["without a UID", { podUID: undefined }],
  ["with dots in its namespace", { namespace: "a.b" }],
  ["with capitals", { pod: "Web" }],
  ["with a blank", { pod: "web 1" }],
  ["with a hyphen at an end", { pod: "web-" }],
  ["with an empty part", { pod: "web..1" }],
  ["with a part of 64 characters", { pod: "a".repeat(64) }],
  ["with a name of 254 characters", { pod: `${"a".repeat(50)}.`.repeat(5).slice(0, -1) + "abc" }],
  ["with a UID of 65 characters", { podUID: "x".repeat(65) }],
  ["with a UID that cannot be printed", { podUID: "x\u0007" }],
  ["with a UID that has a blank", { podUID: "a b" }],
] as const)("is refused %s", ([, change]) => {
  expect(() => readPodReference({ ...sound, ...change })).toThrow(
    expect.objectContaining({ kind: "invalid", code: "ADDRESS_POD_INVALID" }),
  );
});
