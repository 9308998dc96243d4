import { connect, type Socket } from "node:net";

import { NetworkError } from "../../core/errors.ts";
import type { Ipv4 } from "../../core/net/ipv4.ts";
import type { Prober, ProbeOutcome } from "../../ports/prober.ts";
import { afterQuietTurns } from "./settle.ts";

/** How long an answer is listened for, in milliseconds (`ports/prober`). */
const LISTEN_MS = 1_000;

export interface TcpProberOptions {
  /** The port that is connected to, 1 to 65535. It need not be open: a refused connection is an answer. */
  readonly port: number;
  /** Connections being opened at once, 1 to 60000; more probes than that cannot be sent. Default 1024. A silent target holds one for a second. */
  readonly maxSockets?: number;
}

/**
 * A prober that opens TCP connections. Whoever completes or refuses one is alive; a completed one is reset at once, so that nothing waits in TIME_WAIT.
 * Needs no privileges. Throws `NetworkError` `PROBER_OPTIONS_INVALID`.
 */
export function createTcpProber({ port, maxSockets = 1_024 }: TcpProberOptions): Prober {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new NetworkError(
      "invalid",
      "PROBER_OPTIONS_INVALID",
      `the port of TCP probes is ${port}, must be from 1 to 65535`,
      { port },
    );
  }
  if (!Number.isInteger(maxSockets) || maxSockets < 1 || maxSockets > 60_000) {
    throw new NetworkError(
      "invalid",
      "PROBER_OPTIONS_INVALID",
      `TCP probes were given ${maxSockets} sockets, must be from 1 to 60000`,
      { maxSockets },
    );
  }
  return new TcpProber(port, maxSockets);
}

class TcpProber implements Prober {
  readonly #port: number;
  readonly #maxSockets: number;
  readonly #sockets = new Set<Socket>();
  /** Outcomes heard. */
  #events = 0;
  #closed = false;

  constructor(port: number, maxSockets: number) {
    this.#port = port;
    this.#maxSockets = maxSockets;
  }

  probe(address: Ipv4, listener: (outcome: ProbeOutcome) => void): void {
    if (this.#closed || this.#sockets.size >= this.#maxSockets) {
      const reason = this.#closed
        ? "the prober is closed"
        : `${this.#maxSockets} connections are being opened already`;
      listener({ kind: "send-failed", reason });
      return;
    }
    const socket = connect({ host: address, port: this.#port, autoSelectFamily: false });
    let atOnce = true;
    afterTicks(CONNECT_TICKS, () => {
      atOnce = false;
    });
    const timer = setTimeout(() => this.#end(socket), LISTEN_MS);
    const hear = (outcome: ProbeOutcome): void => {
      clearTimeout(timer);
      this.#events += 1;
      if (this.#end(socket) && !this.#closed) {
        listener(outcome);
      }
    };
    this.#sockets.add(socket);
    socket.once("close", () => clearTimeout(timer));
    socket.once("connect", () => hear({ kind: "answer" }));
    socket.on("error", (error: NodeJS.ErrnoException) => hear(outcomeOf(error, atOnce)));
  }

  settle(callback: () => void | Promise<void>): void {
    afterQuietTurns(
      () => this.#events,
      () => false,
      () => void callback(),
    );
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) {
      this.#end(socket);
    }
  }

  /** Returns whether the socket was still in use. */
  #end(socket: Socket): boolean {
    // Before the handshake ended there is nothing to reset: closing is silent then.
    if (socket.connecting) {
      socket.destroy();
    } else {
      socket.resetAndDestroy();
    }
    return this.#sockets.delete(socket);
  }
}

/**
 * `connect` calls the kernel in the next tick, and an error of that call is emitted in the tick after it: all before the event loop reads any socket. What
 * comes later has come from the network.
 */
const CONNECT_TICKS = 4;

function afterTicks(ticks: number, callback: () => void): void {
  process.nextTick(ticks === 1 ? callback : () => afterTicks(ticks - 1, callback));
}

/** Errors that tell of our own shortage or rules, whenever they come. */
const OURS = new Set([
  "EADDRNOTAVAIL",
  "EADDRINUSE",
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EACCES",
  "EPERM",
  "EINVAL",
  "EAGAIN",
]);

/**
 *     error                                   of the call itself          later
 *     --------------------------------------  --------------------------  ------------------------------------
 *     ECONNREFUSED                            answer                      answer: the target's kernel reset it
 *     EMFILE, EADDRNOTAVAIL, EPERM …          send-failed                 send-failed
 *     EHOSTUNREACH, ENETUNREACH, any other    send-failed: no packet      error: an ICMP error came back
 *                                             left this machine
 */
function outcomeOf(error: NodeJS.ErrnoException, atOnce: boolean): ProbeOutcome {
  const code = error.code ?? "";
  if (code === "ECONNREFUSED") {
    return { kind: "answer" };
  }
  return { kind: atOnce || OURS.has(code) ? "send-failed" : "error", reason: error.message };
}
