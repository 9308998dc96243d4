import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Socket } from "node:net";

/** An idle connection that is to end may ask once more within this time: its client may have asked already. */
const leaveMs = 1000;

/** The connections of one server, each with the answers that it still owes. */
export class Connections {
  readonly #open = new Map<Socket, Set<ServerResponse>>();
  /** In the middle of a TLS handshake, by the peer's address and port. */
  readonly #handshakes = new Map<string, Socket>();
  readonly #retired = new WeakSet<Socket>();
  /** They may ask once more. */
  readonly #leaving = new WeakSet<Socket>();
  /** Handshakes that were under way when the others were told to leave. */
  readonly #leavingHandshakes = new WeakSet<Socket>();

  /** `event`: after which a connection can carry requests. */
  constructor(server: HttpServer | HttpsServer, event: "connection" | "secureConnection") {
    if (event === "secureConnection") {
      server.on("connection", (socket: Socket) => this.#shakeHands(socket));
    }
    server.on(event, (socket: Socket) => this.#add(socket));
    server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#owe(request.socket, response),
    );
  }

  /**
   * Ends every connection that stands now: the idle ones at once, the others when the answers are out that they owe now. A stream of events, which never is out, is
   * cut, and a connection whose handshake is under way too.
   */
  retire(): void {
    for (const socket of this.#handshakes.values()) {
      socket.destroy();
    }
    this.endStreams("unfinished");
    for (const [socket, owed] of this.#open) {
      this.#retired.add(socket);
      retireAfter(socket, owed);
    }
  }

  /** Ends the connections that owe answers when these are out; what is asked on them until then is heard. */
  finish(): void {
    for (const [socket, owed] of this.#open) {
      if (owed.size > 0) {
        retireAfter(socket, owed);
      }
    }
  }

  /**
   * Ends every connection that stands now, or whose handshake is under way, when it has given its next answer, or none within a second: who asks at this very moment is
   * answered, and told that the connection ends with that. Streams are cut.
   */
  leave(): void {
    for (const socket of this.#handshakes.values()) {
      this.#leavingHandshakes.add(socket);
    }
    this.endStreams("unfinished");
    for (const [socket, owed] of this.#open) {
      if (owed.size > 0) {
        this.#retired.add(socket);
        retireAfter(socket, owed);
      } else {
        this.#leave(socket);
      }
    }
  }

  /** Whether a request on this connection, which has come and is owed its answer, is to be heard: not when it comes after the last that the connection is there for. */
  hears(socket: Socket): boolean {
    if (this.#retired.has(socket)) {
      return false;
    }
    if (this.#leaving.has(socket)) {
      this.#retired.add(socket);
      retireAfter(socket, this.#open.get(socket) ?? new Set());
    }
    return true;
  }

  #leave(socket: Socket): void {
    this.#leaving.add(socket);
    const timer = setTimeout(() => {
      if (!this.#retired.has(socket)) {
        socket.destroySoon();
      }
    }, leaveMs);
    socket.once("close", () => clearTimeout(timer));
  }

  /**
   * Ends the streams without an end: `in order`, so that the reader is told that this is all, and can take it first; `unfinished`, with what was written up to now;
   * `now`, with what its reader has taken.
   */
  endStreams(how: "in order" | "unfinished" | "now"): void {
    for (const [socket, owed] of this.#open) {
      for (const response of owed) {
        if (!streams.has(response)) {
          continue;
        }
        if (how === "in order") {
          response.end();
        } else if (how === "unfinished") {
          socket.destroySoon();
        } else {
          socket.destroy();
        }
      }
    }
  }

  /** Cuts every connection, whatever it owes. */
  cut(): void {
    for (const socket of [...this.#handshakes.values(), ...this.#open.keys()]) {
      socket.destroy();
    }
  }

  #shakeHands(socket: Socket): void {
    const key = peerOf(socket);
    this.#handshakes.set(key, socket);
    socket.once("close", () => {
      if (this.#handshakes.get(key) === socket) {
        this.#handshakes.delete(key);
      }
    });
  }

  #add(socket: Socket): void {
    const shaken = this.#handshakes.get(peerOf(socket));
    this.#handshakes.delete(peerOf(socket));
    this.#open.set(socket, new Set());
    socket.once("close", () => this.#open.delete(socket));
    if (shaken !== undefined && this.#leavingHandshakes.has(shaken)) {
      this.#leave(socket);
    }
  }

  #owe(socket: Socket, response: ServerResponse): void {
    const owed = this.#open.get(socket);
    owed?.add(response);
    response.on("close", () => owed?.delete(response));
  }
}

function retireAfter(socket: Socket, owed: ReadonlySet<ServerResponse>): void {
  const open = new Set(owed);
  if (open.size === 0) {
    socket.destroySoon();
  }
  for (const response of owed) {
    // The client is told, if that is still possible.
    response.shouldKeepAlive = false;
    response.once("close", () => {
      open.delete(response);
      if (open.size === 0) {
        socket.destroySoon();
      }
    });
  }
}

const streams = new WeakSet<ServerResponse>();

/** Says that an answer is a stream without an end, so that nobody waits for it. */
export function markStream(response: ServerResponse): void {
  streams.add(response);
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ""} ${remotePort ?? 0}`;
}
