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
  width?: number,
): string {
  return new GrowingTable(columns, { wide, width }).add(rows);
}

/** What a table shows, and into how many columns of a terminal it must fit; undefined: as wide as it gets. */
export interface TableLimits {
  readonly wide: boolean;
  readonly width?: number | undefined;
}

/** A table whose rows come little by little: headers first, columns as wide as what was seen so far. */
export class GrowingTable<Row> {
  readonly #columns: readonly Column<Row>[];
  readonly #width: number | undefined;
  #widths: readonly number[] = [];

  constructor(columns: readonly Column<Row>[], { wide, width }: TableLimits) {
    this.#columns = columns.filter((column) => wide || column.wide !== true);
    this.#width = width;
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
    const widths = fitting(this.#widths, this.#width);
    return lines
      .map((line) => {
        const cells = line.map((text, column) => {
          const width = widths[column] ?? 0;
          const shown = widthOf(text) > width ? cut(text, width) : text;
          return shown + " ".repeat(width + gap - widthOf(shown));
        });
        return `${cells.join("").trimEnd()}\n`;
      })
      .join("");
  }
}

/** No column is cut to less. */
const narrowest = 12;

/** The widths of columns that fit into a line: the widest are cut first, none below twelve characters. */
function fitting(widths: readonly number[], lineWidth: number | undefined): readonly number[] {
  const fitted = [...widths];
  const total = fitted.reduce((sum, width) => sum + width, gap * (fitted.length - 1));
  let excess = lineWidth === undefined ? 0 : total - lineWidth;
  while (excess > 0) {
    const widest = Math.max(...fitted);
    if (widest <= narrowest) {
      break;
    }
    // Down to the next one, or by one when several are equally wide.
    const next = Math.max(narrowest, ...fitted.filter((width) => width < widest));
    const cutBy = Math.min(excess, fitted.filter((width) => width === widest).length > 1 ? 1 : widest - next);
    fitted[fitted.indexOf(widest)] = widest - cutBy;
    excess -= cutBy;
  }
  return fitted;
}

/** The beginning of a text, with a sign that there is more, and without colours. */
function cut(text: string, width: number): string {
  return `${Array.from(stripVTControlCharacters(text))
    .slice(0, width - 1)
    .join("")}…`;
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
