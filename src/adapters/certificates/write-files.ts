import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { NetworkError } from "../../core/errors.ts";
import type { PemFile } from "./trial-certificates.ts";

/**
 * Writes the files into a folder, which is made when it is not there: files of mode 0600 in a folder of mode 0700. Nothing is ever overwritten: when any of them is
 * there already, none is written. Throws `CERTIFICATE_EXISTS` (conflict) and `CERTIFICATE_UNWRITABLE`.
 */
export async function writeNewFiles(folder: string, files: readonly PemFile[]): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const present = new Set(await readdir(folder));
    const taken = files.map(({ name }) => name).filter((name) => present.has(name));
    if (taken.length > 0) {
      throw exists(folder, taken);
    }
    for (const { name, text } of files) {
      await writeFile(join(folder, name), text, { flag: "wx", mode: 0o600 });
    }
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    const { code } = error as NodeJS.ErrnoException;
    throw new NetworkError(
      "invalid",
      "CERTIFICATE_UNWRITABLE",
      `cannot write certificates into ${folder} (${code ?? String(error)}): name another folder with --dir`,
      { folder },
      error,
    );
  }
}

function exists(folder: string, names: readonly string[]): NetworkError {
  return new NetworkError(
    "conflict",
    "CERTIFICATE_EXISTS",
    `${folder} already holds ${names.join(", ")}, and nothing is overwritten: name another folder with --dir, or move these away`,
    { folder, names },
  );
}
