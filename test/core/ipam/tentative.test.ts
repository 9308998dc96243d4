import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { planAllocation } from "../../../src/core/ipam/allocate.ts";
import type { Change } from "../../../src/core/ipam/change.ts";
import { commit } from "../../../src/core/ipam/commit.ts";
import { planRelease } from "../../../src/core/ipam/release.ts";
import type { IpamState } from "../../../src/core/ipam/state.ts";
import { applyTentatively } from "../../../src/core/ipam/tentative.ts";
import { Cluster, outlineOf } from "./support.ts";

const document = {
  networks: [
    { name: "pods", cidr: "10.0.0.0/26", block_mask: 30 },
    { name: "single", cidr: "10.1.0.0/28", block_mask: 32, tenants: ["u"] },
  ],
  topologies: [
    { networks: ["pods"], map: [{ name: "a" }] },
    { networks: ["single"], map: [{ name: "all" }] },
  ],
};

const stepWith = (...skips: readonly number[]) =>
  fc.record({
    release: fc.boolean(),
    name: fc.nat(25),
    host: fc.constantFrom("h1", "h2"),
    tenant: fc.constantFrom("t", "u"),
    skip: fc.constantFrom(...skips),
  });
type Step = ReturnType<typeof stepWith> extends fc.Arbitrary<infer T> ? T : never;
const step = stepWith(0, 0, 0, 2, 30);

/** What the step comes to on the state as it is; nothing when it is refused. */
function planned(state: IpamState, { release, name, host, tenant, skip }: Step): readonly Change[] {
  const pod = name % 2 === 0 ? undefined : { namespace: tenant, name: `p${name}`, uid: `uid-${skip}` };
  try {
    return release
      ? planRelease(state, `p${name}`).changes
      : planAllocation(state, { name: `p${name}`, host, tenant, segment: "s", pod }, skip).changes;
  } catch (error) {
    if (error instanceof NetworkError) {
      return [];
    }
    throw error;
  }
}

/** Takes the steps for a while, and returns what takes each back, with the outline before it. */
function takeFor(state: IpamState, steps: readonly Step[]) {
  return steps.flatMap((item) =>
    planned(state, item).flatMap((change) => {
      if (change.kind !== "allocate" && change.kind !== "release") {
        return [];
      }
      const before = outlineOf(state);
      return [{ before, takeBack: applyTentatively(state, change) }];
    }),
  );
}

describe("applyTentatively", () => {
  it("is taken back without a trace, step by step, whatever the steps", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 40 }), (first, then) => {
        const cluster = new Cluster(document);
        cluster.addHost("h1");
        cluster.addHost("h2");
        const { state } = cluster;
        takeFor(state, first);
        const sequence = state.sequence;
        for (const { before, takeBack } of takeFor(state, then).toReversed()) {
          takeBack();
          expect(outlineOf(state)).toEqual(before);
        }
        expect(state.sequence).toBe(sequence);
      }),
      { numRuns: 150 },
    );
  });

  it("leaves the state for the next plan as the commit of the step would", () => {
    fc.assert(
      fc.property(fc.array(stepWith(0), { maxLength: 40 }), (steps) => {
        const [tried, committed] = [new Cluster(document), new Cluster(document)];
        for (const cluster of [tried, committed]) {
          cluster.addHost("h1");
          cluster.addHost("h2");
        }
        takeFor(tried.state, steps);
        for (const item of steps) {
          commit(committed.state, planned(committed.state, item));
        }
        expect(outlineOf(tried.state)).toEqual(outlineOf(committed.state));
      }),
      { numRuns: 60 },
    );
  });
});
