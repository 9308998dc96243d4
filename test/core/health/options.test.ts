import { describe, expect, it } from "vitest";

import {
  DEFAULT_HEALTH_OPTIONS,
  detectionBounds,
  type HealthOptions,
  healthOptions,
} from "../../../src/core/health/options.ts";

describe("healthOptions", () => {
  it("gives the defaults where nothing is changed", () => {
    expect(healthOptions()).toEqual(DEFAULT_HEALTH_OPTIONS);
    expect(healthOptions({ rise: 3 })).toEqual({ ...DEFAULT_HEALTH_OPTIONS, rise: 3 });
  });

  it.for<[changes: Partial<HealthOptions>, said: string]>([
    [{ timeoutMs: 201 }, "timeoutMs is 201, must be at most 200"],
    [{ intervalMs: 2_000, timeoutMs: 1_500 }, "timeoutMs is 1500, must be at most 1000"],
    [{ standbyIntervalMs: 100 }, "standbyIntervalMs is 100, must be at least intervalMs (200)"],
    [{ burstIntervalMs: 300 }, "burstIntervalMs is 300, must be at most intervalMs (200)"],
    [{ burstTimeoutMs: 1_001 }, "burstTimeoutMs is 1001, must be at most 1000"],
    [{ holdDownMaxMs: 5_000 }, "holdDownMaxMs is 5000, must be at least holdDownMs (10000)"],
    [{ fall: 0 }, "fall is 0, must be a whole number from 1 to 100"],
    [{ burst: 1 }, "burst is 1, must be a whole number from 2 to 100"],
    [{ rise: 1.5 }, "rise is 1.5, must be a whole number from 1 to 1000"],
    [{ intervalMs: 0 }, "intervalMs is 0, must be a time in ms from 1 to 604800000"],
    [{ holdDownWindowMs: Number.NaN }, "holdDownWindowMs is NaN, must be a time in ms from 0 to 604800000"],
  ])("refuses %j and says why", ([changes, said]) => {
    expect(() => healthOptions(changes)).toThrow(said);
  });

  it("names every problem at once", () => {
    expect(() => healthOptions({ fall: 0, burst: 0 })).toThrow(/fall is 0.*; burst is 0/);
  });

  it("allows to have no hold-down", () => {
    expect(healthOptions({ holdDownMs: 0, holdDownMaxMs: 0 }).holdDownMs).toBe(0);
  });
});

describe("detectionBounds", () => {
  it("grows with each number by what that number adds", () => {
    const slow = healthOptions({
      intervalMs: 1_000,
      timeoutMs: 500,
      fall: 3,
      burst: 3,
      burstIntervalMs: 50,
      burstTimeoutMs: 200,
    });

    // Two intervals and a time-out to the suspicion, two gaps of the burst, its time-out; and up to one interval before the first probe.
    expect(detectionBounds(slow)).toEqual({ harmlessMs: 2_600, fastestMs: 2_800, slowestMs: 3_800 });
  });
});
