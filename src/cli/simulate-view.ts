import pc from "picocolors";

import type {
  GroupCell,
  ReachView,
  SimulationEvent,
  SimulationSummary,
} from "../core/views/simulation-views.ts";

export interface SimulationViewOptions {
  /** Takes a line without its end. */
  readonly writeLine: (line: string) => void;
  readonly coloured: boolean;
}

type Colours = ReturnType<typeof pc.createColors>;

const CELLS_PER_LINE = 4;

/** Shows a simulation as a timeline: one line per event, virtual time in front. */
export function createSimulationView({
  writeLine,
  coloured,
}: SimulationViewOptions): (event: SimulationEvent) => void {
  const colours = pc.createColors(coloured);
  return (event) => {
    for (const line of renderEvent(event, colours)) {
      writeLine(line);
    }
  };
}

function renderEvent(event: SimulationEvent, colours: Colours): readonly string[] {
  switch (event.kind) {
    case "built":
      return [
        "",
        colours.bold(`${event.scenario} on ${event.nodes} nodes in ${event.region}`),
        event.description,
        colours.dim(`zones ${event.zones.join(", ")} · seed ${event.seed} · all times are virtual`),
        "",
      ];
    case "placed":
      return [timed(event.atMs, `${event.pods} pods got addresses in ${event.blocks} blocks`, colours)];
    case "converged":
      return [
        timed(event.atMs, `routes stand: ${renderTables(event.tables)}`, colours),
        timed(event.atMs, `source/dest check is off on ${event.checksOff} interfaces`, colours),
      ];
    case "picture":
      return ["", ...renderPicture(event.cells, colours), ""];
    case "step":
      return [timed(event.atMs, colours.yellow(`▶ ${event.text}`), colours)];
    case "verdict":
      return [
        timed(
          event.atMs,
          `${event.node} is found ${colours.red("down")}, ${Math.round(event.afterMs)} ms after its last sign of life`,
          colours,
        ),
      ];
    case "routes":
      return renderRoutes(event, colours);
    case "reach":
      return renderReach(event.atMs, event.phase, event.reach, colours);
    case "end":
      return [...renderSummary(event.summary, colours), ""];
  }
}

function renderTables(tables: Readonly<Record<string, number>>): string {
  return Object.entries(tables)
    .map(([id, routes]) => `${id} ${routes}`)
    .join(", ");
}

/** Zones with their groups: which node each group's route leads to. */
function renderPicture(cells: readonly GroupCell[], colours: Colours): readonly string[] {
  const zones = new Map<string, GroupCell[]>();
  for (const cell of cells) {
    const zone = zones.get(cell.zone);
    if (zone === undefined) {
      zones.set(cell.zone, [cell]);
    } else {
      zone.push(cell);
    }
  }
  const names = [...zones.keys()].toSorted();
  const width = Math.max(0, ...names.map(({ length }) => length));
  return names.flatMap((zone) => {
    const texts = (zones.get(zone) ?? []).map((cell) => renderCell(cell, colours));
    const lines: string[] = [];
    for (let from = 0; from < texts.length; from += CELLS_PER_LINE) {
      const label = (from === 0 ? zone : "").padEnd(width);
      const line = `  ${colours.cyan(label)}  ${texts.slice(from, from + CELLS_PER_LINE).join("   ")}`;
      lines.push(line.trimEnd());
    }
    return lines;
  });
}

function renderCell({ destination, gateway, alive }: GroupCell, colours: Colours): string {
  const text = `→ ${gateway === "" ? "nobody" : gateway}${gateway === "" || alive ? "" : " ✗"}`.padEnd(16);
  return `${destination.padEnd(15)} ${alive ? colours.green(text) : colours.red(text)}`;
}

function renderRoutes(
  event: Extract<SimulationEvent, { readonly kind: "routes" }>,
  colours: Colours,
): readonly string[] {
  const shown = event.changes.slice(0, 6).map(({ destination, from, to, tables }) => {
    const where = `in ${tables} ${tables === 1 ? "table" : "tables"}`;
    if (to === "") {
      return colours.yellow(`  − ${destination} → ${from}, ${where}`);
    }
    return from === ""
      ? colours.green(`  + ${destination} → ${to}, ${where}`)
      : colours.green(`  ~ ${destination}: ${from} → ${to}, ${where}`);
  });
  const rest = event.changes.length - shown.length;
  const title = timed(event.atMs, `routes change:`, colours);
  return [title, ...shown.map(indented), ...(rest > 0 ? [indented(`  and ${rest} more`)] : [])];
}

function renderReach(atMs: number, phase: string, reach: ReachView, colours: Colours): readonly string[] {
  const { checked, unreachable, example } = reach;
  const share = checked === 0 ? 0 : ((checked - unreachable) / checked) * 100;
  // Rounded down: 100 % means all of them.
  const percent = `${Math.floor(share * 10) / 10} %`;
  const text = `${phase.padEnd(6)} ${checked - unreachable} of ${checked} pairs of pods reach each other (${percent})`;
  const line = timed(atMs, unreachable === 0 ? colours.green(text) : colours.red(text), colours);
  return unreachable === 0 ? [line] : [line, indented(colours.dim(`  ${example}`))];
}

function renderSummary(summary: SimulationSummary, colours: Colours): readonly string[] {
  const calls = Object.entries(summary.ec2Calls).map(([action, count]) => `${action} ${count}`);
  const rows: (readonly [string, string])[] = [
    ["pairs of pods", `${summary.pairsChecked} checked, ${summary.pairsUnreachable} out of reach`],
    ["pairs of groups", `${summary.groupPairsChecked} ordered pairs of ${summary.groups} groups checked`],
    [
      "to nobody",
      `${summary.strayPacketsChecked} packets for addresses that nobody holds, ${summary.strayPacketsLooping} in a circle`,
    ],
    ["routes", renderTables(summary.routesPerTable)],
    ["route moves", String(summary.routeMoves)],
    ...summary.failovers.map(({ node, routes, detectedMs, routesMovedMs }): readonly [string, string] => [
      "failover",
      `${node}: ${routes} ${routes === 1 ? "route" : "routes"}, found down after ${ms(detectedMs)}, ${routesMovedMs === null ? "its routes did not move (no stand-in)" : `moved after ${ms(routesMovedMs)}`}`,
    ]),
    ["EC2 calls", calls.join(", ")],
    ["probes", `${summary.probes.sent} sent, ${summary.probes.answered} answered`],
    ["virtual time", `${summary.virtualSeconds} s`],
  ];
  const verdict = summary.ok
    ? colours.green("✓ it ended as it must")
    : colours.red(`✗ it did not end as it must: ${summary.problems.join("; ")}`);
  return [...rows.map(([name, text]) => `  ${colours.dim(name.padEnd(16))} ${text}`), "", verdict];
}

function ms(value: number | null): string {
  return value === null ? "never" : `${Math.round(value)} ms`;
}

function timed(atMs: number, text: string, colours: Colours): string {
  return `${colours.dim(formatTime(atMs).padStart(12))}  ${text}`;
}

function indented(text: string): string {
  return `${" ".repeat(12)}  ${text}`;
}

/** `1:02:03.456`, without leading zeros of what is not needed. */
function formatTime(atMs: number): string {
  const total = Math.round(atMs);
  const pad = (value: number, width: number) => String(value).padStart(width, "0");
  const rest = `${pad(Math.floor(total / 1_000) % 60, 2)}.${pad(total % 1_000, 3)}`;
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor(total / 60_000) % 60;
  return hours > 0 ? `${hours}:${pad(minutes, 2)}:${rest}` : `${minutes}:${rest}`;
}
