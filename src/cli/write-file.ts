import { open, rename, rm } from "node:fs/promises";

import { NetworkError } from "../core/errors.ts";

/**
 * Writes a file whole or not at all, readable by its owner alone (0600): beside it first, and in its place once it is on the disk. What stood there before stays until then.
 * Answers its bytes. Throws `FILE_UNWRITABLE` (invalid).
 */
export async function writePrivateFile(file: string, pieces: Iterable<string>): Promise<number> {
  const draft = `${file}.${process.pid}.tmp`;
  let bytes = 0;
  try {
    const handle = await open(draft, "wx", 0o600);
    try {
      for (const piece of pieces) {
        bytes += (await handle.write(piece)).bytesWritten;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    return bytes;
  } catch (error) {
    await rm(draft, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    throw new NetworkError(
      "invalid",
      "FILE_UNWRITABLE",
      `cannot write ${file} (${code ?? String(error)}): name a file in a folder that exists and may be written, with room for it`,
      { file },
      error,
    );
  }
}
