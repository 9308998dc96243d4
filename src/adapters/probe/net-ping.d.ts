/** The part of net-ping 1.2.4 that the ICMP prober uses, its inner fields included; the package brings no types. */
declare module "net-ping" {
  import type { EventEmitter } from "node:events";

  export interface SessionOptions {
    readonly retries: number;
    /** Milliseconds. */
    readonly timeout: number;
    /** 1 to 65534. */
    readonly sessionId: number;
  }

  /** Emits `message` (packet with its IP header, source address), `error` and `close`. Reads one packet and sends one per turn of the event loop. */
  export interface RawSocket extends EventEmitter {
    /** Packets that wait to be sent. */
    readonly requests: readonly unknown[];
  }

  /** Of an ICMP error `source` is the sender; a failed send is a plain `Error` without it. */
  export interface PingError extends Error {
    readonly source?: string;
  }

  /** Emits `error` and `close` of its socket. */
  export interface Session extends EventEmitter {
    readonly sessionId: number;
    /** What is unanswered, by sequence number. */
    readonly reqs: Readonly<Record<number, { readonly target: string } | undefined>>;
    /** The socket is read only while this is above 0. */
    reqsPending: number;
    getSocket(): RawSocket;
    pingHost(target: string, callback: (error: PingError | null) => void): void;
    close(): void;
  }

  export function createSession(options: SessionOptions): Session;
}
