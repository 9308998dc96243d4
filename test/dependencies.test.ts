import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

interface Locked {
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

const manifest = JSON.parse(read("package.json")) as Manifest;
const { packages } = JSON.parse(read("package-lock.json")) as { packages: Readonly<Record<string, Locked>> };

/** Where the lock file has the package that `name` means to the one installed at `from`: in the nearest node_modules, as Node looks for it. */
function locate(from: string, name: string): string | undefined {
  const folders = from
    .split("/node_modules/")
    .map((_, index, parts) => parts.slice(0, index + 1).join("/node_modules/"));
  const candidates = ["", ...folders].map(
    (folder) => (folder === "" ? "" : `${folder}/`) + `node_modules/${name}`,
  );
  return candidates.findLast((path) => path in packages);
}

/** How many other packages are installed for it. */
function countPulledIn(name: string): number {
  const found = new Set<string>();
  const open = [locate("", name)];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    found.add(path);
    const { dependencies, optionalDependencies } = packages[path] ?? {};
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const next = locate(path, each);
      if (next !== undefined && !found.has(next)) {
        open.push(next);
      }
    }
  }
  return found.size - 1;
}

it("documents every package with its version, its licence and what it pulls in", () => {
  const rows = [
    ...read("docs/dependencies.md").matchAll(
      /^\| `(.+?)` \| (.+?) \| (.+?) \| (\d+) \| (.+?) \| (.+?) \|$/gm,
    ),
  ];
  const documented = rows.map(([, name, version, licence, pulledIn]) => ({
    name,
    version,
    licence,
    pulledIn: Number(pulledIn),
  }));

  const expected = [manifest.dependencies, manifest.optionalDependencies, manifest.devDependencies].flatMap(
    (group) =>
      Object.entries(group).map(([name, version]) => ({
        name,
        version,
        licence: packages[`node_modules/${name}`]?.license,
        pulledIn: countPulledIn(name),
      })),
  );
  expect(documented).toEqual(expected);
});

it("pins every package to one version", () => {
  const versions = Object.values({
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    ...manifest.devDependencies,
  });

  expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});
