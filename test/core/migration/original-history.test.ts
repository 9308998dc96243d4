import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { buildState } from "../../../src/core/ipam/commit.ts";
import { importedRecords } from "../../../src/core/ipam/imported-state.ts";
import { viewBlocks, viewHosts } from "../../../src/core/ipam/view.ts";
import { readOriginalBlob } from "../../../src/core/migration/read-original.ts";
import { readStateDocument } from "../../../src/core/migration/read-state-document.ts";
import { writeStateDocument } from "../../../src/core/migration/state-document.ts";
import { formatIpv4 } from "../../../src/core/net/ipv4.ts";
import { OriginalIpam, type MapElement, type NetworkPlan } from "../../support/original-ipam.ts";

const ZONES = ["a", "b"];

const leaf: fc.Arbitrary<MapElement> = fc.record({
  name: fc.constantFrom("g", "rack", ""),
  assignment: fc.option(
    fc.constantFrom(...ZONES).map((zone) => ({ zone })),
    { nil: undefined },
  ) as fc.Arbitrary<Record<string, string>>,
});
const element: fc.Arbitrary<MapElement> = fc.oneof(
  { weight: 3, arbitrary: leaf },
  {
    weight: 1,
    arbitrary: fc.record({
      name: fc.constantFrom("top", "zone"),
      groups: fc.array(leaf, { minLength: 1, maxLength: 3 }),
    }),
  },
);

/** Networks that do not overlap: 10.N.0.0, small enough to fill up. */
const plans: fc.Arbitrary<readonly NetworkPlan[]> = fc
  .array(
    fc.record({
      length: fc.constantFrom(22, 24, 26),
      blockBits: fc.constantFrom(0, 1, 3, 4),
      tenants: fc.subarray(["t", "u"]),
      map: fc.array(element, { minLength: 1, maxLength: 5 }),
      blackout: fc.constantFrom([], [2], [2, 9]),
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map((list) =>
    list.map(({ length, blockBits, tenants, map, blackout }, index) => ({
      name: `net${index}`,
      cidr: `10.${index}.0.0/${length}`,
      // Not larger than the smallest group: the original would share such a block between two.
      blockMask: 32 - Math.min(blockBits, 32 - length - 5),
      tenants,
      map,
      blackouts: blackout.map((last) => `10.${index}.0.${last}/32`),
    })),
  );

type Step =
  | { readonly kind: "add"; readonly host: number; readonly zone: string | undefined }
  | {
      readonly kind: "allocate";
      readonly host: number;
      readonly tenant: string;
      readonly segment: string;
      readonly count: number;
    }
  | { readonly kind: "release"; readonly pick: number }
  | { readonly kind: "remove"; readonly host: number };

const allocate: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("allocate" as const),
  host: fc.nat(2),
  tenant: fc.constantFrom("t", "t", "t", "u", ""),
  segment: fc.constantFrom("s", "s", "", "a:b"),
  count: fc.integer({ min: 1, max: 10 }),
});
const release: fc.Arbitrary<Step> = fc.record({ kind: fc.constant("release" as const), pick: fc.nat(1000) });
const add: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("add" as const),
  host: fc.nat(2),
  zone: fc.constantFrom(...ZONES, undefined),
});
const remove: fc.Arbitrary<Step> = fc.record({ kind: fc.constant("remove" as const), host: fc.nat(2) });

function play(
  networks: readonly NetworkPlan[],
  steps: readonly Step[],
): { ipam: OriginalIpam; removed: Set<string> } {
  const ipam = new OriginalIpam(networks);
  const present = new Set<number>();
  const removed = new Set<string>();
  let next = 0;
  for (const step of steps) {
    if (step.kind === "add") {
      if (
        !present.has(step.host) &&
        ipam.addHost(
          `h${step.host}`,
          `192.168.0.${step.host + 1}`,
          step.zone === undefined ? null : { zone: step.zone },
        )
      ) {
        present.add(step.host);
      }
    } else if (step.kind === "remove") {
      if (present.delete(step.host)) {
        ipam.removeHost(`h${step.host}`);
        for (const [name, { host }] of ipam.held) {
          if (host === `h${step.host}`) {
            removed.add(name);
          }
        }
      }
    } else if (step.kind === "release") {
      const names = [...ipam.held.keys()];
      const name = names[step.pick % Math.max(1, names.length)];
      if (name !== undefined) {
        ipam.release(name);
      }
    } else {
      for (let count = 0; count < step.count; count += 1) {
        ipam.allocate(`p${next}`, `h${step.host}`, step.tenant, step.segment);
        next += 1;
      }
    }
  }
  return { ipam, removed };
}

function imported(text: string) {
  const { state, findings } = readOriginalBlob(JSON.parse(text));
  const built = buildState(importedRecords(state).records);
  const addresses = state.addresses.map(({ name, address, host, tenant, segment }) => [
    name,
    { ip: formatIpv4(address), host, tenant, segment },
  ]) as [string, { ip: string; host: string; tenant: string; segment: string }][];
  return { state, findings, built, addresses: new Map(addresses) };
}

describe("a history of the original without removed hosts", () => {
  it("comes out address by address, block by block, host by host; only what it lost is found", () => {
    fc.assert(
      fc.property(
        plans,
        fc.array(add, { minLength: 1, maxLength: 4 }),
        fc.array(fc.oneof(allocate, release, release), { minLength: 20, maxLength: 80, size: "max" }),
        (networks, hosts, steps) => {
          const { ipam } = play(networks, [...hosts, ...steps]);

          const { findings, built, addresses, state } = imported(ipam.text());

          const codes = new Set(
            findings.filter(({ severity }) => severity === "unsound").map(({ code }) => code),
          );
          expect(
            [...codes].filter((code) => code !== "lost-free-range" && code !== "hosts-in-padding"),
          ).toEqual([]);
          expect(codes.has("lost-free-range")).toBe(ipam.lost.size > 0);
          expect(addresses).toEqual(ipam.held);
          const blocks = viewBlocks(built.networks);
          expect(blocks.map(({ cidr, revision }) => `${cidr} ${revision}`).toSorted()).toEqual(
            ipam.blocks().toSorted(),
          );
          expect(blocks.reduce((sum, block) => sum + block.allocated_ip_count, 0)).toBe(ipam.held.size);
          const stood = viewHosts(built).flatMap(({ name, groups }) =>
            groups.map(({ network, cidr }) => `${network} ${name} ${cidr}`),
          );
          expect(stood.toSorted()).toEqual(ipam.places().toSorted());
          expect(built.revision).toBeGreaterThanOrEqual(ipam.revision);
          const text = [
            ...writeStateDocument({ exportedAt: "", state, tenants: [], policies: [], routes: [] }),
          ].join("");
          expect(readStateDocument(JSON.parse(text)).state).toEqual(state);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("a history of the original with removed hosts", () => {
  it("keeps every address of a living host or names it, gives none to two, and invents none", () => {
    fc.assert(
      fc.property(
        plans,
        fc.array(add, { minLength: 2, maxLength: 4 }),
        fc.array(fc.oneof(allocate, allocate, release, add, remove), {
          minLength: 20,
          maxLength: 80,
          size: "max",
        }),
        (networks, hosts, steps) => {
          const { ipam, removed } = play(networks, [...hosts, ...steps]);

          const { findings, addresses, built } = imported(ipam.text());

          const named = findings.map(({ message }) => message).join("\n");
          const wrong = [...ipam.held].filter(([name, held]) => {
            const now = addresses.get(name);
            const isNamed = named.includes(`"${name}"`);
            // One that shares its address is named with the other, and which of them has the host is not to be known.
            return now === undefined
              ? !isNamed
              : now.ip !== held.ip || (now.host !== held.host && !removed.has(name) && !isNamed);
          });
          expect(wrong).toEqual([]);
          expect([...addresses.keys()].filter((name) => !ipam.held.has(name))).toEqual([]);
          expect(new Set([...addresses.values()].map(({ ip }) => ip)).size).toBe(addresses.size);
          expect(built.names.size).toBe(addresses.size);
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** Every place of a JSON value below its root: its holder and its key. */
function places(value: unknown): { readonly holder: Record<string, unknown>; readonly key: string }[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...places(holder[key])]);
}

/** `undefined` for what is refused with its code; every other error goes on. */
function unlessMalformed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof NetworkError && error.code === "IMPORT_MALFORMED") {
      return undefined;
    }
    throw error;
  }
}

describe("a state of the original that was damaged anywhere, several times", () => {
  it("is refused with a code, or what a repair takes fits together and goes out and in again", () => {
    const values = [
      null,
      0,
      7,
      -1,
      1.5,
      4_294_967_296,
      "",
      "10.0.0.1",
      "10.0.0.0/29",
      "t:s",
      "h0",
      [],
      {},
      [0],
      { "0": "t:s" },
      true,
    ];
    const damage = fc.record({
      place: fc.nat(10_000),
      change: fc.oneof(
        fc.constantFrom(...values).map((value) => ({ kind: "set", value }) as const),
        fc.constant({ kind: "delete" } as const),
        fc.nat(10_000).map((from) => ({ kind: "copy", from }) as const),
      ),
    });
    let taken = 0;
    fc.assert(
      fc.property(
        plans,
        fc.array(add, { minLength: 2, maxLength: 4 }),
        fc.array(fc.oneof(allocate, allocate, release, remove), {
          minLength: 10,
          maxLength: 30,
          size: "max",
        }),
        fc.array(damage, { minLength: 1, maxLength: 4 }),
        (networks, hosts, steps, damages) => {
          const blob: unknown = JSON.parse(play(networks, [...hosts, ...steps]).ipam.text());
          for (const { place, change } of damages) {
            const all = places(blob);
            const { holder, key } = all[place % all.length] as (typeof all)[number];
            if (change.kind === "delete") {
              delete holder[key];
            } else if (change.kind === "set") {
              holder[key] = change.value;
            } else {
              const from = all[change.from % all.length] as (typeof all)[number];
              holder[key] = JSON.parse(JSON.stringify(from.holder[from.key])) as unknown;
            }
            if (all.length < 10) {
              break;
            }
          }

          const result = unlessMalformed(() => imported(JSON.stringify(blob)));
          if (result === undefined) {
            return;
          }

          taken += 1;
          const { state } = result;
          const pieces = writeStateDocument({ exportedAt: "", state, tenants: [], policies: [], routes: [] });
          expect(readStateDocument(JSON.parse([...pieces].join(""))).state).toEqual(state);
        },
      ),
      { numRuns: 400 },
    );
    expect(taken).toBeGreaterThan(40);
  });
});
