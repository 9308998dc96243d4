import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Socket } from "node:net";

/** The connections of one server, each with the answers that it still owes. */
export class Connections {
  readonly #open = new Map<Socket, Set<ServerResponse>>();
  /** In the middle of a TLS handshake, by the peer's address and port. */
  readonly #handshakes = new Map<string, Socket>();
  readonly #retired = new WeakSet<Socket>();

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
    this.endStreams();
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

  /** Whether a connection is being ended: what is asked on it from then on is not heard. */
  isRetired(socket: Socket): boolean {
    return this.#retired.has(socket);
  }

  /** Cuts the connections that carry a stream without an end. */
  endStreams(): void {
    for (const [socket, owed] of this.#open) {
      if ([...owed].some((response) => streams.has(response))) {
        socket.destroySoon();
      }
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
    this.#handshakes.delete(peerOf(socket));
    this.#open.set(socket, new Set());
    socket.once("close", () => this.#open.delete(socket));
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
