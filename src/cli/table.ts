/** One column: `wide` ones show with `-o wide` only. */
export interface Column<Row> {
  readonly header: string;
  readonly cell: (row: Row) => string | number;
  readonly wide?: boolean;
}

/** Rows under their headers, without lines, three blanks between columns. Each row is one line, whatever is in its cells. */
export async function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  wide: boolean,
): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const shown = columns.filter((column) => wide || column.wide !== true);
  const none = "";
  const table = new Table({
    chars: {
      top: none,
      "top-mid": none,
      "top-left": none,
      "top-right": none,
      bottom: none,
      "bottom-mid": none,
      "bottom-left": none,
      "bottom-right": none,
      left: none,
      "left-mid": none,
      mid: none,
      "mid-mid": none,
      right: none,
      "right-mid": none,
      middle: none,
    },
    style: { "padding-left": 0, "padding-right": 3, head: [], border: [], compact: true },
  });
  table.push(
    shown.map(({ header }) => header),
    ...rows.map((row) => shown.map(({ cell }) => oneLine(String(cell(row))))),
  );
  return table
    .toString()
    .split("\n")
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** Control characters in names must neither break the table nor reach the terminal; colours (ESC [ … m) are ours. */
function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replaceAll(/\u001B(?!\[\d+m)|[\u0000-\u001A\u001C-\u001F\u007F-\u009F]/g, "\uFFFD");
}
