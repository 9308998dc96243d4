import { Option, type Command } from "commander";

import type { WatchEvent, WatchKind } from "../client/watch.ts";
import type { Session } from "./session.ts";
import { GrowingTable, type Column } from "./table.ts";

/** A list that is watched. */
export interface WatchedList<Row> {
  readonly kind: WatchKind;
  /** Only what belongs to this host. */
  readonly host?: string | undefined;
  readonly columns: readonly Column<Row>[];
  /** What tells one object from another; read from a row, and from the fields that say what is gone. */
  readonly key: (row: Row) => string;
  readonly name: (row: Row) => string;
  /** Whether it is asked for. */
  readonly matches: (row: Row) => boolean;
}

interface Line<Row> {
  readonly event: "list" | "put" | "delete";
  readonly row: Row;
}

/** `--watch` of a list. */
export function watchOption(): Option {
  return new Option("-w, --watch", "go on and print what changes, until interrupted");
}

/** Adds `--watch` to a command that lists. */
export function addWatch(command: Command): Command {
  return command.addOption(watchOption());
}

/**
 * Prints what is there, then every change as it comes: rows of a table whose first column says `list`, `put` or `delete`, or a document
 * `{"event", "object"}` a line. An object that is put as it was is not printed again, also when all had to be listed anew. Ends with the session.
 */
export async function watchList<Row>(
  { client, out, terminal }: Session,
  list: WatchedList<Row>,
): Promise<never> {
  const printer = printerOf(out, list);
  const known = new Map<string, { readonly row: Row; readonly text: string }>();
  // What was known before a new list and has not come again yet.
  let missing = new Set<string>();
  let first: Row[] | undefined = [];
  const notice = (message: string): void => terminal.note(`Warning: ${message}`);
  const remove = async (key: string): Promise<void> => {
    const gone = known.get(key);
    known.delete(key);
    if (gone !== undefined) {
      await printer([{ event: "delete", row: gone.row }]);
    }
  };
  const take = async (event: WatchEvent): Promise<void> => {
    if (event.kind === "reset" && first !== undefined) {
      // Nothing was printed yet.
      known.clear();
      first = [];
    } else if (event.kind === "reset") {
      missing = new Set(known.keys());
    } else if (event.kind === "delete") {
      await remove(list.key(event.identity as Row));
    } else if (event.kind === "put") {
      const row = event.object as Row;
      const key = list.key(row);
      const text = JSON.stringify(row);
      const isNew = known.get(key)?.text !== text;
      missing.delete(key);
      if (!list.matches(row)) {
        await remove(key);
      } else if (isNew) {
        known.set(key, { row, text });
        await (first === undefined ? printer([{ event: "put", row }]) : first.push(row));
      }
    } else {
      for (const key of missing) {
        await remove(key);
      }
      missing.clear();
      const rows = first ?? [];
      first = undefined;
      await printer(rows.map((row) => ({ event: "list", row })));
    }
  };
  const { kind, host } = list;
  for await (const event of client.watch(kind, { host, notice })) {
    await take(event);
  }
  throw new TypeError("a watch has no end");
}

function printerOf<Row>(
  out: Session["out"],
  { columns, name }: WatchedList<Row>,
): (lines: readonly Line<Row>[]) => Promise<void> {
  if (out.forPeople) {
    const table = new GrowingTable<Line<Row>>(
      [
        { header: "EVENT", cell: ({ event }) => event },
        ...columns.map(({ cell, ...column }) => ({ ...column, cell: ({ row }: Line<Row>) => cell(row) })),
      ],
      out.limits,
    );
    return (lines) => Promise.resolve(out.raw(table.add(lines)));
  }
  return async (lines) => {
    for (const { event, row } of lines) {
      if (out.format === "name") {
        out.text(name(row));
      } else {
        await out.line({ event, object: row });
      }
    }
  };
}
