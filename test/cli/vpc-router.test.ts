import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { romana } from "./romana.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "romana-check-"));
  path = join(folder, "routes.json");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("romana vpc-router --check", () => {
  it("says of a good list how long it is, and ends with 0", async () => {
    writeFileSync(path, '# two\n{"10.1.0.0/16": ["1.2.3.4", "1.2.3.5"], "10.2.0.0/16": ["1.2.3.4"]}');

    expect(await romana(["vpc-router", "--check", path])).toEqual({
      code: 0,
      stdout: `${path} is good: 2 routes to 2 addresses\n`,
      stderr: "",
    });
  });

  it("says of a bad one everything that is wrong, and ends with 2", async () => {
    writeFileSync(path, '{"10.1.2.3/16": ["1.2.3.4"],\n "10.2.0.0/16": ["x"]}');
    const { code, stdout, stderr } = await romana(["vpc-router", "--check", path]);

    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/line 1, column 2: not an IPv4 network[^]*line 2, column 18: not an IPv4 address/);
  });

  it("takes an empty list with --allow-empty alone", async () => {
    writeFileSync(path, "{}");

    expect((await romana(["vpc-router", "--check", path])).code).toBe(2);
    expect((await romana(["vpc-router", "--check", path, "--allow-empty"])).code).toBe(0);
  });
});

it("ends with 2 and opens nothing when nothing says where the list comes from", async () => {
  const store = join(folder, "router.db");
  const { code, stderr } = await romana(["vpc-router", "--store", `sqlite:${store}`]);

  expect(code).toBe(2);
  expect(stderr).toMatch(/give --route-spec FILE, or --listen/);
});
