import { stripVTControlCharacters } from "node:util";

/** One column: `wide` ones show with `-o wide` only. */
export interface Column<Row> {
  readonly header: string;
  readonly cell: (row: Row) => string | number;
  readonly wide?: boolean;
}

const gap = 3;

/**
 * Rows under their headers, without lines, three blanks between columns. Each row is one line, whatever is in its cells. Linear in the
 * rows: a large cluster has 250,000 addresses.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  wide: boolean,
): string {
  return new GrowingTable(columns, wide).add(rows);
}

/** A table whose rows come little by little: headers first, columns as wide as what was seen so far. */
export class GrowingTable<Row> {
  readonly #columns: readonly Column<Row>[];
  #widths: readonly number[] = [];

  constructor(columns: readonly Column<Row>[], wide: boolean) {
    this.#columns = columns.filter((column) => wide || column.wide !== true);
  }

  /** The lines of more rows; before the first ones, the headers. */
  add(rows: readonly Row[]): string {
    const headers = this.#widths.length === 0 ? [this.#columns.map(({ header }) => header)] : [];
    const lines = [
      ...headers,
      ...rows.map((row) => this.#columns.map(({ cell }) => oneLine(String(cell(row))))),
    ];
    this.#widths = this.#columns.map((_, column) =>
      lines.reduce(
        (widest, line) => Math.max(widest, widthOf(line[column] ?? "")),
        this.#widths[column] ?? 0,
      ),
    );
    return lines
      .map((line) => {
        const cells = line.map(
          (text, column) => text + " ".repeat((this.#widths[column] ?? 0) + gap - widthOf(text)),
        );
        return `${cells.join("").trimEnd()}\n`;
      })
      .join("");
  }
}

/** Characters without the colours. */
function widthOf(text: string): number {
  return Array.from(text.includes("\u001B") ? stripVTControlCharacters(text) : text).length;
}

/** Control characters in names must neither break the table nor reach the terminal; colours (ESC [ … m) are ours. */
function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replaceAll(/\u001B(?!\[\d+m)|[\u0000-\u001A\u001C-\u001F\u007F-\u009F]/g, "\uFFFD");
}
