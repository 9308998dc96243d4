import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { findTool, toolPath, type Tool } from "./tools.ts";

const script = readFileSync(new URL("../../scripts/install-servers.sh", import.meta.url), "utf8");
/** `build_go NAME PLACE …`: what the script builds, and where it puts it below its cache. */
const built = [...script.matchAll(/^build_go (\S+) (\S+)/gm)].map(
  ([, name = "", place = ""]) => [name as Tool, place] as const,
);

describe("the programs that tests talk to", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "romana-tools-"));
    vi.stubEnv("XDG_CACHE_HOME", folder);
    vi.stubEnv("KUBEBUILDER_ASSETS", "");
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  function program(...path: readonly string[]): string {
    const file = join(folder, ...path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "");
    chmodSync(file, 0o755);
    return file;
  }

  it("are seven", () => {
    expect(built).toHaveLength(7);
  });

  it.for(built)("are looked for where the script puts them: %s", ([name, place]) => {
    const file = program("romana", place);

    expect(findTool(name)).toBe(file);
  });

  it("are taken from KUBEBUILDER_ASSETS first", () => {
    program("romana", "kubernetes-1.34.4", "kubectl");
    const given = program("assets", "kubectl");
    vi.stubEnv("KUBEBUILDER_ASSETS", join(folder, "assets"));

    expect(findTool("kubectl")).toBe(given);
  });

  it("are missed with the way to get them", () => {
    expect(findTool("helm")).toBeUndefined();
    expect(() => toolPath("helm")).toThrow(/there is no helm: run make test/);
  });
});
