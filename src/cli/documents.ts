import { stripComments } from "../config/strip-comments.ts";
import { NetworkError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Reads a JSON document with `#` and `//` comments from a file or, as "-", from standard input. Throws `code` (invalid) with the parser's
 * complaint, which keeps the line and column of the file.
 */
export async function readJson(terminal: Terminal, file: string, code: string): Promise<unknown> {
  const text = await terminal.read(file);
  try {
    return JSON.parse(stripComments(text));
  } catch (error) {
    throw unreadable(file, code, "JSON", error);
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
      throw unreadable(file, code, "YAML", error);
    }
    return document.toJS() as unknown;
  });
}

function unreadable(file: string, code: string, form: string, error: unknown): NetworkError {
  return new NetworkError(
    "invalid",
    code,
    `${file === "-" ? "standard input" : file} is not ${form}: ${error instanceof Error ? error.message : String(error)}`,
    { file },
    error,
  );
}
