/**
 * `make bench [ID…]`: measures, prints a table and writes `bench/results.json`. Without ids everything is measured. Exit code 2 for an id that does not
 * exist; a missed bar is a figure, not a failure.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

import { renderTable } from "../src/cli/table.ts";
import type { BenchRow } from "./bench-row.ts";

interface Suite {
  readonly ids: readonly string[];
  readonly load: () => Promise<{ readonly bench: (ids: readonly string[]) => Promise<readonly BenchRow[]> }>;
}

const SUITES: readonly Suite[] = [
  { ids: ["alloc-10k", "alloc-250k"], load: () => import("./alloc.ts") },
  { ids: ["plan-full", "plan-idle", "plan-change"], load: () => import("./plan.ts") },
  {
    ids: ["failover-median", "failover-p99", "failover-latency", "failover-bulk"],
    load: () => import("./failover.ts"),
  },
  { ids: ["leader-kill"], load: () => import("./leader-kill.ts") },
  { ids: ["calls-idle", "writes-500", "writes-500-coarse", "rss-1000"], load: () => import("./scale.ts") },
  {
    ids: ["rest-alloc-1", "rest-alloc-3", "rest-alloc-idle", "rest-alloc-250k", "start-250k", "rss-250k"],
    load: () => import("./rest-alloc.ts"),
  },
  { ids: ["sync-5000", "rss-5000", "policy-offered", "api-restart"], load: () => import("./kubernetes.ts") },
  { ids: ["node-placed"], load: () => import("./node-placed.ts") },
];

const RESULTS = new URL("results.json", import.meta.url);

function machine(): string {
  const list = cpus();
  return `${list.length} × ${list[0]?.model.trim() ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}

/** Rows of earlier runs that this one did not measure again. */
function kept(measured: ReadonlySet<string>): readonly (BenchRow & { readonly machine: string })[] {
  let text: string;
  try {
    text = readFileSync(RESULTS, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return [];
    }
    throw error;
  }
  return (JSON.parse(text) as (BenchRow & { readonly machine: string })[]).filter(
    ({ id }) => !measured.has(id),
  );
}

function render(rows: readonly BenchRow[]): string {
  return renderTable<BenchRow>(
    [
      { header: "ID", cell: ({ id }) => id },
      { header: "FIGURE", cell: ({ figure, unit }) => `${figure.toLocaleString("en")} ${unit}` },
      { header: "BAR", cell: (row) => row.bar.toLocaleString("en") },
      { header: "MET", cell: ({ met }) => (met ? "yes" : "NO") },
      { header: "WHAT", cell: ({ name }) => name },
      {
        header: "PEER",
        cell: ({ peer, peerFigure }) => (peerFigure === "" ? peer : `${peer}: ${peerFigure}`),
      },
    ],
    rows,
    false,
  );
}

const known = SUITES.flatMap(({ ids }) => ids);
const wanted = process.argv.slice(2);
const unknown = wanted.filter((id) => !known.includes(id));
if (unknown.length > 0) {
  console.error(`no such measurement: ${unknown.join(", ")}; there are ${known.join(", ")}`);
  process.exit(2);
}
const chosen = wanted.length === 0 ? known : wanted;
const rows: BenchRow[] = [];
for (const { ids, load } of SUITES) {
  const mine = ids.filter((id) => chosen.includes(id));
  if (mine.length > 0) {
    console.error(`measuring ${mine.join(", ")} …`);
    const { bench } = await load();
    rows.push(...(await bench(mine)).filter(({ id }) => mine.includes(id)));
  }
}
const measured = new Set(rows.map(({ id }) => id));
const results = [...kept(measured), ...rows.map((row) => ({ ...row, machine: machine() }))].toSorted(
  (a, b) => known.indexOf(a.id) - known.indexOf(b.id),
);
writeFileSync(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
process.stdout.write(render(rows));
