import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";

import { describe, expect, it } from "vitest";

import { drawFailover } from "../scripts/draw-failover.ts";
import { controllerOptions } from "../src/config/controller-options.ts";
import { originalOptions } from "../src/config/original-options.ts";
import { routerOptions } from "../src/config/router-options.ts";

/** Whose pages the reader can get to: everything that is written for people. */
const pages = ["README.md", "CHANGELOG.md", ...globSync("docs/**/*.md").toSorted()];
const sources = globSync("src/**/*.ts").toSorted();
const records = globSync("docs/adr/[0-9]*.md").toSorted();

/** Literals in the sources that look like an error code and are a variable of the environment or another program's code. */
const notOurCode = /^(AWS|EAI|ERR|FST|HPE|KUBERNETES|NO|ROMANA|SQLITE)_/;

/** Hosts that a page may send its reader to. */
const knownHosts = new Set([
  "127.0.0.1",
  "docs.aws.amazon.com",
  "github.com",
  "keepachangelog.com",
  "localhost",
  "nodejs.org",
  "semver.org",
  "www.apache.org",
  "www.rfc-editor.org",
]);

describe("every page", () => {
  it.for(pages)("has links that lead somewhere: %s", (page) => {
    const broken = linksOf(page).filter((link) => !leadsSomewhere(page, link));

    expect(broken).toEqual([]);
  });

  it.for(pages)("names only files that exist: %s", (page) => {
    const missing = pathsOf(page).filter((path) => !existsSync(path));

    expect(missing).toEqual([]);
  });

  it.for(pages)("gives only options that romana has: %s", (page) => {
    // One page speaks of the original's, and says what became of them.
    const known = page === "docs/migration.md" ? new Set([...options, ...originals]) : options;
    const unknown = optionsOf(page).filter((option) => !known.has(option));

    expect(unknown).toEqual([]);
  });

  it.for(pages)("speaks of no machine and of nothing unfinished: %s", (page) => {
    const text = read(page);
    const hosts = [...text.matchAll(/https?:\/\/([^/:\s)`"'>]+)/g)].map(([, host]) => host ?? "");

    expect(hosts.filter((host) => !knownHosts.has(host) && !/[A-Z$<]/.test(host))).toEqual([]);
    expect(text.match(/(?<![\w.~/-])\/(work|root|home|Users|mnt)\/\S*/g) ?? []).toEqual([]);
    expect(text.match(/\b(TODO|FIXME|TBD|WIP|XXX)\b|@[A-Z]+@/g) ?? []).toEqual([]);
  });

  it("is listed in the index of the documentation", () => {
    const listed = linksOf("docs/README.md").map((link) => normalize(join("docs", link.split("#")[0] ?? "")));
    const decisions = linksOf("docs/adr/README.md").map((link) => normalize(join("docs/adr", link)));
    const all = new Set(["docs/README.md", ...listed, ...decisions]);

    expect(pages.filter((page) => page.startsWith("docs/") && !all.has(page))).toEqual([]);
  });
});

describe("docs/architecture.md", () => {
  it("names functions beside the files that hold them", () => {
    const wrong = namesBesidePaths("docs/architecture.md").filter(
      ({ path, name }) => existsSync(path) && !new RegExp(`\\b${name}\\b`).test(textAt(path)),
    );

    expect(wrong.map(({ path, name }) => `${name} is not in ${path}`)).toEqual([]);
    expect(namesBesidePaths("docs/architecture.md").length).toBeGreaterThan(40);
  });
});

describe("docs/errors.md", () => {
  it("has a row for every code in the sources, and no other", () => {
    const rows = new Set(errorRows().map(({ code }) => code));
    const codes = codesInSources();
    const missing = [...codes].filter(([code]) => !rows.has(code)).map(([code, file]) => `${code} (${file})`);

    expect(missing, "rows that docs/errors.md lacks (or a literal for notOurCode)").toEqual([]);
    expect(
      [...rows].filter((code) => !codes.has(code)),
      "rows of docs/errors.md that no source has",
    ).toEqual([]);
    expect(codes.size).toBeGreaterThan(50);
  });

  it("has each code once", () => {
    const codes = errorRows().map(({ code }) => code);

    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
  });

  it("states the kinds that the sources give", () => {
    const stated = new Map(errorRows().map(({ code, kinds }) => [code, kinds]));
    const wrong = kindsInSources().filter(({ code, kind }) => stated.get(code)?.includes(kind) === false);

    expect(wrong.map(({ code, kind, file }) => `${code} is ${kind} in ${file}`)).toEqual([]);
  });

  it("gives every code a cause and a remedy", () => {
    expect(errorRows().filter(({ cause, remedy }) => cause === "" || remedy === "")).toEqual([]);
  });
});

describe("docs/routes.md", () => {
  it("explains every reason why a route is skipped", () => {
    expect(firstColumn("docs/routes.md", "What is left alone")).toEqual(unionOf("SkippedRoute", "reason"));
  });

  it("explains every alarm", () => {
    expect(firstColumn("docs/routes.md", "Alarms")).toEqual(unionOf("RouteAlarm", "kind"));
  });

  it("explains every answer of EC2 that the port knows", () => {
    const [, table = ""] = /code +kind +when([\s\S]*?)\*\//.exec(read("src/ports/cloud.ts")) ?? [];
    const codes = [...table.matchAll(/^ \* {5}([A-Z_]+) {2,}/gm)].map(([, code = ""]) => code);

    expect(firstColumn("docs/routes.md", "When EC2 says no")).toEqual(codes.toSorted());
    expect(codes.length).toBeGreaterThan(10);
  });
});

describe("docs/kubernetes.md", () => {
  it("has a row for every event, and no other", () => {
    const rows = firstColumn("docs/kubernetes.md", "Events");

    expect([...new Set(rows)]).toEqual(eventsInSources());
    expect(rows.length).toBeGreaterThan(10);
  });

  it("names every reason of a condition", () => {
    const reasons = reasonsIn(["src/controllers/node-readiness.ts"]);

    expect(reasons.filter((reason) => !read("docs/kubernetes.md").includes(`\`${reason}\``))).toEqual([]);
    expect(reasons).toHaveLength(2);
  });
});

describe("decision records", () => {
  it("are numbered without a gap", () => {
    const numbers = records.map((record) => basename(record).slice(0, 4));

    expect(numbers).toEqual(numbers.map((_, index) => String(index + 1).padStart(4, "0")));
    expect(numbers.length).toBeGreaterThan(0);
  });

  it.for(records)("have number, date, context, decision, consequences and an example: %s", (record) => {
    const text = read(record);

    expect(text).toMatch(new RegExp(`^# ${basename(record).slice(0, 4)} \\S`));
    expect(text).toMatch(/^Date: \d{4}-\d{2}-\d{2}$/m);
    expect([...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title)).toEqual([
      "Context",
      "Decision",
      "Consequences",
      "Example",
    ]);
  });
});

it("shows the picture that its script draws (node scripts/draw-failover.ts)", () => {
  expect(read("docs/images/failover.svg")).toBe(drawFailover());
});

it("keeps a changelog with a place for what comes next", () => {
  expect(read("CHANGELOG.md")).toMatch(/^## \[Unreleased\]$/m);
});

function read(path: string): string {
  return readFileSync(path, "utf8");
}

/** A file's text, or of a folder the texts of all files in it. */
function textAt(path: string): string {
  return statSync(path).isDirectory() ? globSync(`${path}/**/*.ts`).map(read).join("\n") : read(path);
}

/** Text without fenced blocks, in which brackets are no links. */
function prose(page: string): string {
  return read(page).replaceAll(/^ *```[\s\S]*?^ *```$/gm, "");
}

/** Targets of links and images, apart from those of the web. */
function linksOf(page: string): readonly string[] {
  return [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? "")
    .filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const file = path === "" ? page : join(dirname(page), path);
  if (!existsSync(file)) {
    return false;
  }
  return anchor === undefined || (file.endsWith(".md") && anchorsOf(file).has(anchor));
}

/** The anchors of a page's headings, made as GitHub makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  return new Set(
    [...prose(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      (heading ?? "")
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

/** Paths of this repository in a page's code spans and fenced blocks; patterns and placeholders are none. */
function pathsOf(page: string): readonly string[] {
  const code = read(page).match(/`[^`\n]+`|^ *```[\s\S]*?^ *```$/gm) ?? [];
  const paths = code
    .join("\n")
    .match(/(?<![\w./:${-])(src|test|bench|scripts|iam|deploy|scenarios|bin|docs)\/[^\s`'",;:()|]+/g);
  return (paths ?? [])
    .map((path) => path.replace(/[.]$/, ""))
    .filter((path) => !/[*<>{}…$]|results\.json/.test(path));
}

/** Every option of the command line, from the table of the controller's options and from the sources of the other commands. */
const options = new Set([
  "--help",
  "--version",
  // Node's, as bin/romana gives them to it.
  ...(read("bin/romana").match(/(?<=\s)--[a-z][\w-]*(?==)/g) ?? []),
  ...[...Object.values(controllerOptions), ...Object.values(routerOptions)].flatMap(({ name, aliases }) =>
    [name, ...aliases].map((each) => `--${each}`),
  ),
  ...globSync("src/cli/**/*.ts").flatMap((file) => read(file).match(/(?<=["\s`,])--[a-zA-Z][\w-]*/g) ?? []),
]);

/** Options of the original that are answered and not read. */
const originals = new Set(originalOptions.map(({ name }) => `--${name}`));

/** Options on the lines of a page's code that run romana, and options in code spans of their own. */
function optionsOf(page: string): readonly string[] {
  const text = read(page);
  const runs = (text.match(/\bromana [a-z][^`\n|#]*/g) ?? []).filter(
    (line) => !/^romana (is|was|as)\b/.test(line),
  );
  const spans = page.startsWith("docs/adr/") ? [] : (text.match(/(?<=`)--[a-z][\w-]*(?=[ =`])/g) ?? []);
  const found = [...runs.flatMap((line) => line.match(/(?<= )--[a-zA-Z][\w-]*/g) ?? []), ...spans];
  return [...new Set(found)].toSorted();
}

/** Names in code spans that follow a code span with a path under `src`, in the same paragraph or table row. */
function namesBesidePaths(page: string): readonly { readonly path: string; readonly name: string }[] {
  return prose(page)
    .split(/\n(?=\||\n|\d+\. |- )/)
    .flatMap((block) => {
      let path: string | undefined;
      return [...block.matchAll(/`([^`]+)`/g)].flatMap(([, span = ""]) => {
        if (span.startsWith("src/")) {
          path = span;
          return [];
        }
        const [, name] = /^([A-Za-z]\w+)(?:\(\))?$/.exec(span) ?? [];
        return path === undefined || name === undefined ? [] : [{ path, name }];
      });
    });
}

/** Codes with the first file that has them. Indirect ones count too: whatever is a literal of that form. */
function codesInSources(): ReadonlyMap<string, string> {
  const codes = new Map<string, string>();
  for (const file of sources) {
    for (const [, code = ""] of withoutComments(read(file)).matchAll(/"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"/g)) {
      if (!notOurCode.test(code) && !codes.has(code)) {
        codes.set(code, file);
      }
    }
  }
  return codes;
}

/** Kinds that stand right before a code, as arguments or as fields. */
function kindsInSources(): readonly {
  readonly code: string;
  readonly kind: string;
  readonly file: string;
}[] {
  const pair = /"(invalid|not-found|conflict|exhausted|transient)",\s*(?:code: )?"([A-Z][A-Z0-9_]+)"/g;
  return sources.flatMap((file) =>
    [...read(file).matchAll(pair)].map(([, kind = "", code = ""]) => ({ code, kind, file })),
  );
}

/** Reasons of events, sorted. */
function eventsInSources(): readonly string[] {
  const writers = sources.filter(
    (file) => /^src\/(core\/cluster|controllers)\//.test(file) && !file.endsWith("/node-readiness.ts"),
  );
  return reasonsIn(writers);
}

/** What stands behind `reason:`, one or several, behind the type of an event, or in a constant. */
function reasonsIn(files: readonly string[]): readonly string[] {
  const word = '"([A-Z][a-z]+(?:[A-Z][a-z]+)+)"';
  const found = files.flatMap((file) => {
    const text = withoutComments(read(file));
    const behind = [...text.matchAll(/\breason:\s*((?:\|?\s*"[A-Z][A-Za-z]+"\s*)+)/g)].map(
      ([, all = ""]) => all,
    );
    const others = text.match(new RegExp(`(?:"(?:Normal|Warning)", |^const [A-Z_]+ = )${word}`, "gm")) ?? [];
    return [...behind, ...others].flatMap((each) =>
      [...each.matchAll(new RegExp(word, "g"))].map(([, name = ""]) => name),
    );
  });
  return [...new Set(found)].toSorted();
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
}

function errorRows() {
  const rows = read("docs/errors.md").matchAll(/^\| `([A-Z0-9_]+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$/gm);
  return [...rows].map(([, code = "", kinds = "", cause = "", remedy = ""]) => ({
    code,
    kinds: kinds.split(",").map((kind) => kind.trim()),
    cause: cause.trim(),
    remedy: remedy.trim(),
  }));
}

/** The code spans of a table's first column, sorted; the table is the first one under the heading. */
function firstColumn(page: string, heading: string): readonly string[] {
  const [, section = ""] = read(page).split(new RegExp(`^## ${heading}$`, "m"));
  const [own = ""] = section.split(/^## /m);
  return [...own.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = ""]) => name).toSorted();
}

/** The texts of a union that is a field of an interface in route-plan.ts, sorted. */
function unionOf(name: string, field: string): readonly string[] {
  const source = read("src/core/routing/route-plan.ts");
  const [, body = ""] = new RegExp(`interface ${name} \\{([\\s\\S]*?)^\\}`, "m").exec(source) ?? [];
  const [, union = ""] = new RegExp(`readonly ${field}:([^;]*);`).exec(body) ?? [];
  const members = [...union.matchAll(/"([^"]+)"/g)].map(([, member = ""]) => member).toSorted();
  expect(members).not.toEqual([]);
  return members;
}
