import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";

import type { FastifyInstance } from "fastify";

import { NetworkError } from "../core/errors.ts";

/** Where a server listens: a TCP port (0: any free one) of a host, or a unix socket. `config` reads it from text. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

const socketMode = 0o600;

/**
 * Opens the server and answers where it listens, as `HOST:PORT` or `unix:PATH`, with the port that it got. A unix socket is
 * its owner's alone (mode 0600); one that is left over from a dead process is removed first, after nobody answered on it. Throws
 * `LISTEN_ADDRESS_TAKEN` (conflict) and `LISTEN_FAILED` (invalid).
 */
export async function listen(app: FastifyInstance, address: ListenAddress): Promise<string> {
  const text = formatListenAddress(address);
  try {
    if (address.kind === "tcp") {
      await app.listen({ host: address.host, port: address.port });
      const bound = app.addresses().find((found) => typeof found !== "string");
      return formatListenAddress({ ...address, port: bound?.port ?? address.port });
    }
    await removeStaleSocket(address.path);
    await listenPrivately(app, address.path);
    return text;
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw taken(text, error);
    }
    throw new NetworkError(
      "invalid",
      "LISTEN_FAILED",
      `cannot listen on ${text} (${code ?? String(error)}): choose another --listen address`,
      { address: text },
      error,
    );
  }
}

function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") {
    return `unix:${address.path}`;
  }
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** The socket file gets its mode when it is bound, so that there is no moment at which others may connect. */
async function listenPrivately(app: FastifyInstance, path: string): Promise<void> {
  const before = process.umask(0o777 & ~socketMode);
  try {
    await app.listen({ path });
  } finally {
    process.umask(before);
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  });
  if (found === undefined) {
    return;
  }
  if (!found.isSocket()) {
    throw new NetworkError(
      "invalid",
      "LISTEN_FAILED",
      `cannot listen on unix:${path}: a file that is no socket stands there; remove it or choose another --listen address`,
      { path },
    );
  }
  if (await answers(path)) {
    throw taken(`unix:${path}`);
  }
  await unlink(path);
}

/** Whether a process accepts connections on a socket. Refused, and gone in between, mean no; anything else is thrown. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") {
        resolve(false);
      } else {
        reject(error);
      }
    });
  });
}

function taken(text: string, cause?: unknown): NetworkError {
  return new NetworkError(
    "conflict",
    "LISTEN_ADDRESS_TAKEN",
    `cannot listen on ${text}: another process does; stop it or choose another --listen address`,
    { address: text },
    cause,
  );
}
