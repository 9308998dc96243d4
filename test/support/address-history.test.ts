import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { checkAddresses, type AddressRequest, type Answer } from "./address-history.ts";
import { findViolation, type Operation, type RegisterModel } from "./linearizability.ts";

type Call =
  | { readonly kind: "write"; readonly value: number }
  | { readonly kind: "read"; readonly value: number };

const register: RegisterModel<number, Call> = {
  initial: 0,
  step: (state, call) => (call.kind === "write" ? call.value : state === call.value ? state : undefined),
  key: String,
};
const write = (value: number, start: number, end: number): Operation<Call> => ({
  call: { kind: "write", value },
  start,
  end,
});
const read = (value: number, start: number, end: number): Operation<Call> => ({
  call: { kind: "read", value },
  start,
  end,
});

/** Tries every order that keeps what ended before something began in front of it. */
function bruteForce(history: readonly Operation<Call>[], state = 0): boolean {
  return (
    history.every(({ end }) => end === Infinity) ||
    history.some((operation) => {
      const rest = history.filter((other) => other !== operation);
      const next = rest.some(({ end }) => end < operation.start)
        ? undefined
        : register.step(state, operation.call);
      return next !== undefined && bruteForce(rest, next);
    })
  );
}

describe("findViolation", () => {
  it("takes concurrent operations in any order, and others in theirs", () => {
    expect(findViolation(register, [write(1, 0, 10), read(1, 1, 2), read(0, 1, 2)])).toBeUndefined();
    expect(findViolation(register, [write(1, 0, 1), read(0, 2, 3)])).toHaveLength(2);
    expect(findViolation(register, [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)])).toHaveLength(3);
  });

  it("lets an operation without an answer happen late, or never", () => {
    expect(findViolation(register, [write(1, 0, Infinity), read(0, 5, 6), read(1, 7, 8)])).toBeUndefined();
    expect(findViolation(register, [write(1, 0, Infinity), read(0, 5, 6)])).toBeUndefined();
    expect(findViolation(register, [write(1, 4, Infinity), read(1, 1, 2)])).toBeDefined();
  });

  it("agrees with trying every order", () => {
    const operation = fc
      .record({
        kind: fc.constantFrom("read", "write"),
        value: fc.nat(2),
        start: fc.nat(8),
        took: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(Infinity)),
      })
      .map(({ kind, value, start, took }): Operation<Call> => ({
        call: { kind: kind === "read" ? "read" : "write", value },
        start,
        end: start + took,
      }));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
        expect(findViolation(register, history) === undefined).toBe(bruteForce(history));
      }),
      { numRuns: 2000 },
    );
  });
});

const request = (
  kind: AddressRequest["kind"],
  name: string,
  start: number,
  end: number,
  answer: Answer,
): AddressRequest => ({ kind, name, start, end, answer });
const allocated = (address: string): Answer => ({ kind: "allocated", address });
const released: Answer = { kind: "released" };
const unknown: Answer = { kind: "unknown", why: "no answer" };

describe("checkAddresses", () => {
  it("has nothing against a history that went well", () => {
    const history = [
      request("allocate", "a", 0, 1, allocated("10.0.0.0")),
      request("allocate", "b", 0, 2, allocated("10.0.0.1")),
      request("release", "a", 3, 4, released),
      request("allocate", "c", 3, 5, allocated("10.0.0.0")),
      request("allocate", "c", 6, 7, { kind: "exists", address: "10.0.0.0" }),
      request("release", "a", 6, 7, { kind: "not-found" }),
      request("allocate", "d", 6, 9, unknown),
      request("allocate", "e", 6, 9, unknown),
      request("release", "b", 6, 9, unknown),
    ];

    expect(
      checkAddresses(history, [
        { name: "c", address: "10.0.0.0" },
        { name: "d", address: "10.0.0.1" },
      ]),
    ).toEqual([]);
  });

  it.for([
    [
      "an address that was acknowledged and is not there",
      [request("allocate", "a", 0, 1, allocated("10.0.0.0"))],
      [],
    ],
    [
      "an address that two names were given",
      [
        request("allocate", "a", 0, 1, allocated("10.0.0.0")),
        request("allocate", "b", 2, 3, allocated("10.0.0.0")),
      ],
      [{ name: "b", address: "10.0.0.0" }],
    ],
    [
      "a name that holds two addresses",
      [
        request("allocate", "a", 0, 1, allocated("10.0.0.0")),
        request("allocate", "a", 2, 3, allocated("10.0.0.1")),
      ],
      [{ name: "a", address: "10.0.0.1" }],
    ],
    [
      "a release that was acknowledged and not done",
      [request("allocate", "a", 0, 1, allocated("10.0.0.0")), request("release", "a", 2, 3, released)],
      [{ name: "a", address: "10.0.0.0" }],
    ],
    [
      "an address that nobody asked for",
      [],
      [
        { name: "a", address: "10.0.0.0" },
        { name: "b", address: "10.0.0.0" },
      ],
    ],
  ] as const)("finds %s", ([, history, final]) => {
    expect(checkAddresses(history, final).length).toBeGreaterThan(0);
  });
});
