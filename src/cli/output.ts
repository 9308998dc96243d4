import type { Column } from "./table.ts";
import { renderTable, type TableLimits } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** How a result is printed. The last two are the original's `-f`. */
export type OutputFormat = "table" | "wide" | "json" | "yaml" | "name" | "original-table" | "original-json";

/** What `-o` takes. */
export const outputFormats = ["table", "wide", "json", "yaml", "name"] as const;

/** What `-f` takes. */
export const originalFormats = ["table", "json"] as const;

/** A list and how to show it. */
export interface Listing<Row> {
  /** What `-o json` and `-o yaml` print: the document of the REST API. */
  readonly value: unknown;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  /** Kind and name of a row, such as `host/node-1`. */
  readonly name: (row: Row) => string;
  /** Said on standard error instead of a table without rows. */
  readonly empty: string;
  /** The original's table, where it had one. */
  readonly original?: () => string;
}

/** The original's word for "done". */
const doneDocument = { status_code: 200, details: "200 OK", see_also: "" };

/** Prints results in the format that was asked for. */
export class Output {
  readonly format: OutputFormat;
  readonly #terminal: Terminal;

  constructor(format: OutputFormat, terminal: Terminal) {
    this.format = format;
    this.#terminal = terminal;
  }

  /** Whether a person reads, and not a program. */
  get forPeople(): boolean {
    return this.format === "table" || this.format === "wide" || this.format === "original-table";
  }

  /** How tables are laid out: with `-o wide` all of them, else what fits into the terminal. */
  get limits(): TableLimits {
    return this.format === "wide" ? { wide: true } : { wide: false, width: this.#terminal.width };
  }

  async list<Row>(listing: Listing<Row>): Promise<void> {
    if (this.format === "name") {
      this.#lines(listing.rows.map(listing.name));
    } else if (this.format === "original-table" && listing.original !== undefined) {
      this.#terminal.write(listing.original());
    } else if (!this.forPeople) {
      await this.document(listing.value);
    } else if (listing.rows.length === 0) {
      this.#terminal.note(listing.empty);
    } else {
      this.table(listing.columns, listing.rows);
    }
  }

  /** A table, whatever the format. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
    this.#terminal.write(renderTable(columns, rows, this.limits.wide, this.limits.width));
  }

  /** A document for programs: YAML if that was asked for, else JSON. */
  async document(value: unknown): Promise<void> {
    if (this.format === "yaml") {
      const { stringify } = await import("yaml");
      this.#terminal.write(stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }));
      return;
    }
    const indent = this.format === "original-json" ? "\t" : 2;
    this.#terminal.write(`${JSON.stringify(value, null, indent)}\n`);
  }

  /** A document on a line of its own, for programs that read one after the other. */
  async line(value: unknown): Promise<void> {
    if (this.format === "yaml") {
      this.text("---");
      await this.document(value);
    } else {
      this.text(JSON.stringify(value));
    }
  }

  /** Text as it is. */
  raw(text: string): void {
    this.#terminal.write(text);
  }

  /** A change that was made: one line for people, and the original's status document for programs. */
  async done(message: string, name: string): Promise<void> {
    if (this.forPeople) {
      this.text(message);
    } else if (this.format === "name") {
      this.text(name);
    } else {
      await this.document(doneDocument);
    }
  }

  /** A line as it is. */
  text(line: string): void {
    this.#lines([line]);
  }

  #lines(lines: readonly string[]): void {
    this.#terminal.write(lines.map((line) => `${line}\n`).join(""));
  }
}
