import { NetworkError } from "../errors.ts";
import { readRole, type Caller } from "./access.ts";

/** A token and whom it stands for. */
export interface TokenEntry {
  readonly token: string;
  readonly caller: Caller;
}

/** Characters of the shortest token that is taken; `openssl rand -hex 16` gives twice as many. */
const MIN_TOKEN_LENGTH = 16;

/** What may stand behind `Bearer` (RFC 6750, section 2.1). */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/**
 * Reads a file of tokens: a line each, `token,user,role`, the role `admin`, `reader` or `agent:HOST`; blanks around the parts, empty lines and
 * lines that begin with `#` are skipped. A line that cannot be read refuses the file as a whole (`TOKEN_FILE_INVALID`, invalid) with the
 * numbers of all such lines. The message quotes nothing of the file: in a line that went wrong, the token may stand anywhere.
 */
export function parseTokenFile(text: string): readonly TokenEntry[] {
  const entries: TokenEntry[] = [];
  const problems: string[] = [];
  const lineOfToken = new Map<string, number>();
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) {
      continue;
    }
    const number = index + 1;
    const entry = readLine(line);
    if (typeof entry === "string") {
      problems.push(`line ${number}: ${entry}`);
      continue;
    }
    const before = lineOfToken.get(entry.token);
    if (before !== undefined) {
      problems.push(`line ${number}: the token of line ${before} again`);
      continue;
    }
    lineOfToken.set(entry.token, number);
    entries.push(entry);
  }
  if (problems.length > 0) {
    throw new NetworkError(
      "invalid",
      "TOKEN_FILE_INVALID",
      `the token file cannot be used: ${problems.join("; ")}; a line is TOKEN,USER,ROLE with the role admin, reader or agent:HOST`,
      { problems },
    );
  }
  return entries;
}

/** The entry of a line, or what is wrong with it. */
function readLine(line: string): TokenEntry | string {
  const parts = line.split(",").map((part) => part.trim());
  const [token = "", user = "", role = ""] = parts;
  if (parts.length !== 3) {
    return `${parts.length} parts between commas where three are wanted`;
  }
  if (token.length < MIN_TOKEN_LENGTH) {
    return `the token has fewer than ${MIN_TOKEN_LENGTH} characters: make one with "openssl rand -hex 32"`;
  }
  if (!TOKEN.test(token)) {
    return "the token has characters that no header can carry: letters, digits and -._~+/ may be used";
  }
  if (user === "") {
    return "no user";
  }
  const caller = readRole(user, role);
  return caller === undefined ? "the role is none of admin, reader and agent:HOST" : { token, caller };
}
