import { stripComments } from "../config/strip-comments.ts";
import { NetworkError } from "../core/errors.ts";
import { findJsonProblem } from "./json-problem.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Reads a JSON document with `#` and `//` comments from a file or, as "-", from standard input. Throws `code` (invalid) with line and column of
 * the file.
 */
export async function readJson(terminal: Terminal, file: string, code: string): Promise<unknown> {
  const text = stripComments(await terminal.read(file));
  try {
    return JSON.parse(text);
  } catch (error) {
    const { line, column } = findJsonProblem(text) ?? { line: 1, column: 1 };
    const isOver =
      text
        .split("\n")
        .slice(line - 1)
        .join("\n")
        .slice(column - 1)
        .trim() === "";
    const problem = isOver ? "it ends too early" : "unexpected text";
    throw unreadable(file, code, "JSON", `${problem} at line ${line} column ${column}`, error);
  }
}

/** The same for a file that may hold several documents: YAML when its name ends so, else JSON. */
export async function readDocuments(
  terminal: Terminal,
  file: string,
  code: string,
): Promise<readonly unknown[]> {
  if (!/\.ya?ml$/i.test(file)) {
    return [await readJson(terminal, file, code)];
  }
  const text = await terminal.read(file);
  const { parseAllDocuments } = await import("yaml");
  const documents = parseAllDocuments(text);
  // An empty text is one answer without documents.
  const list = "empty" in documents ? [] : documents;
  return list.map((document) => {
    const [error] = document.errors;
    if (error !== undefined) {
      throw unreadable(file, code, "YAML", error.message, error);
    }
    return document.toJS() as unknown;
  });
}

function unreadable(file: string, code: string, form: string, problem: string, cause: unknown): NetworkError {
  const name = file === "-" ? "standard input" : file;
  return new NetworkError("invalid", code, `${name} is not ${form}: ${problem}`, { file }, cause);
}
