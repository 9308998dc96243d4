import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { servedRomana } from "./romana.ts";

const healthy = "test/fixtures/original/kops-healthy.json";
const damaged = "test/fixtures/original/corrupt-removed-host.json";

let server: Awaited<ReturnType<typeof servedRomana>>;
let folder: string;

beforeEach(async () => {
  server = await servedRomana();
  folder = await mkdtemp(join(tmpdir(), "romana-state-"));
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

describe("romana import and export", () => {
  it("bring a state in and out, to a file of its owner and to standard output", async () => {
    const file = join(folder, "backup.json");

    const imported = await server.run(["import", healthy, "--yes"]);
    const exported = await server.run(["export", file]);
    const printed = await server.run(["export"]);

    expect([imported.code, exported.code, printed.code]).toEqual([0, 0, 0]);
    expect(imported.stdout).toContain("1 networks with 16 groups, 8 hosts, 24 blocks, 37 addresses");
    expect(imported.stdout).toContain(`Imported from ${healthy}.`);
    expect(exported.stdout).toMatch(/^The state was written to .*backup\.json \(\d+ kB\)\.\n$/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toBe(printed.stdout);
    expect(printed.stdout).toBe((await server.app.inject("/export")).body);
    expect(await readdir(folder)).toEqual(["backup.json"]);
  });

  it("show what is odd in a state, and take the rest only when told to", async () => {
    const tried = await server.run(["import", damaged, "--dry-run"]);
    const refused = await server.run(["import", damaged, "--yes"]);
    const before = server.addressing.exportState().addresses.length;
    const taken = await server.run(["import", damaged, "--repair", "--yes"]);

    expect(tried.code).toBe(0);
    expect(tried.stdout).toMatch(/^unsound +address-free +10\.0\.0\.1 of "a1" is free/m);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("4 findings say that the state is damaged; --repair");
    expect(before).toBe(0);
    expect(taken.code).toBe(0);
    expect(server.addressing.exportState().addresses.map(({ name }) => name)).toEqual(["a0", "b0"]);
  });

  it("ask before they replace anything, and give the report to programs", async () => {
    const unanswered = await server.run(["import", healthy]);
    const report = await server.run(["import", healthy, "--dry-run", "-o", "json"]);

    expect(unanswered.code).toBe(2);
    expect(unanswered.stderr).toContain("say --yes to go ahead");
    expect(server.addressing.hosts().hosts.map(({ name }) => name)).toEqual(["node-1"]);
    expect(JSON.parse(report.stdout)).toMatchObject({ applied: false, sound: true, blocks: 24 });
  });

  it("say what is wrong with a file", async () => {
    const broken = join(folder, "broken.json");
    await writeFile(broken, "{");

    const unreadable = await server.run(["import", broken, "--yes"]);
    const missing = await server.run(["import", join(folder, "none.json")]);
    const unwritable = await server.run(["export", join(folder, "none", "backup.json")]);

    expect([unreadable.code, missing.code, unwritable.code]).toEqual([2, 3, 2]);
    expect(unreadable.stderr).toContain("broken.json is not JSON");
    expect(unwritable.stderr).toContain("cannot write");
  });

  it("leave nothing behind when a file cannot be put in its place", async () => {
    const taken = join(folder, "backup.json");
    await mkdir(taken);

    const { code, stderr } = await server.run(["export", taken]);

    expect(code).toBe(2);
    expect(stderr).toContain(`cannot write ${taken}`);
    expect(await readdir(folder)).toEqual(["backup.json"]);
    expect((await stat(taken)).isDirectory()).toBe(true);
  });
});

describe("romana explain", () => {
  it("shows an address in one screen", async () => {
    await server.run(["address", "add", "web.blue", "--host", "node-1", "--tenant", "blue"]);

    const { code, stdout } = await server.run(["explain", "ip", "10.0.0.0"]);

    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        '10.0.0.0 is held by "web.blue" (tenant "blue", segment "") on host node-1.',
        "",
        "Network:   prod 10.0.0.0/24, for any tenant",
        "Groups:    all 10.0.0.0/24",
        "Block:     10.0.0.0/30 owned, 1 of 4 in use, revision 1",
        'Owner:     tenant "blue", segment ""',
        "Name:      web.blue",
        "Host:      node-1 192.168.0.1, placed",
        "Labels:    zone=a",
        "",
      ].join("\n"),
    );
  });

  it("shows a route, gives both to programs, and refuses what is neither", async () => {
    const route = await server.run(["explain", "route", "10.0.0.0/24"]);
    const json = await server.run(["explain", "ip", "10.9.0.1", "-o", "json"]);
    const yaml = await server.run(["explain", "route", "10.0.0.0/24", "-o", "yaml"]);
    const wrong = await server.run(["explain", "ip", "ten"]);

    expect(route.stdout).toContain(
      '10.0.0.0/24 is in network "prod", and no group with hosts wants a route for it.',
    );
    expect(JSON.parse(json.stdout)).toMatchObject({ address: "10.9.0.1", kind: "outside" });
    expect(yaml.stdout).toContain("kind: unwanted");
    expect(wrong.code).toBe(2);
  });
});
