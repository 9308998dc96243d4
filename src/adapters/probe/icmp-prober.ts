import { randomInt } from "node:crypto";

import type { createSession, PingError, Session } from "net-ping";

import { NetworkError } from "../../core/errors.ts";
import type { Ipv4 } from "../../core/net/ipv4.ts";
import type { Prober, ProbeOutcome } from "../../ports/prober.ts";
import { concernsUs, type Requests } from "./icmp-packet.ts";
import { isOwnAddress } from "./own-addresses.ts";
import { afterQuietTurns } from "./settle.ts";

interface NetPing {
  readonly createSession: typeof createSession;
}

/** How long an answer is listened for, in milliseconds; deadlines are the caller's (`ports/prober`). */
const LISTEN_MS = 1_000;

export interface IcmpProberOptions {
  /** The identifier of our echo requests, 1 to 65534; random by default. Two probers of one network namespace need two. */
  readonly sessionId?: number;
  /** Loads net-ping; it opens its native part at once, so it is loaded only here. */
  readonly load?: () => Promise<NetPing>;
}

/**
 * A prober that sends ICMP echo requests over one raw socket. Needs CAP_NET_RAW. Throws `NetworkError` `PROBER_UNAVAILABLE` when net-ping's native part is
 * not built for this Node, and `PROBER_FORBIDDEN` when the kernel refuses the socket.
 */
export async function createIcmpProber(options: IcmpProberOptions = {}): Promise<Prober> {
  const { sessionId = randomInt(1, 65_535), load = () => import("net-ping") } = options;
  let library: NetPing;
  try {
    library = await load();
  } catch (error) {
    throw new NetworkError(
      "invalid",
      "PROBER_UNAVAILABLE",
      "ICMP probes were asked for, but the native part of net-ping (raw-socket) is not built for this Node: install python3, make and g++ and run " +
        '"make deps" in the checkout, or use TCP probes (--probe tcp)',
      { node: process.version },
      error,
    );
  }
  return new IcmpProber(library, sessionId);
}

class IcmpProber implements Prober {
  readonly #library: NetPing;
  readonly #sessionId: number;
  #session: Session | undefined;
  #closed = false;
  /** Packets read. */
  #packets = 0;

  constructor(library: NetPing, sessionId: number) {
    this.#library = library;
    this.#sessionId = sessionId;
    this.#session = this.#open();
  }

  probe(address: Ipv4, listener: (outcome: ProbeOutcome) => void): void {
    if (this.#closed) {
      listener({ kind: "send-failed", reason: "the prober is closed" });
      return;
    }
    try {
      this.#session ??= this.#open();
      this.#session.pingHost(address, (error) => {
        const outcome = outcomeOf(error);
        if (outcome !== undefined && !this.#closed) {
          listener(outcome);
        }
      });
    } catch (error) {
      listener({ kind: "send-failed", reason: error instanceof Error ? error.message : String(error) });
    }
  }

  /** The socket is read one packet per turn of the event loop; after a stall that takes as many turns as packets came. */
  settle(callback: () => void | Promise<void>): void {
    afterQuietTurns(
      () => this.#packets,
      () => (this.#session?.getSocket().requests.length ?? 0) > 0,
      () => void callback(),
    );
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#session = undefined;
  }

  #open(): Session {
    let session: Session;
    try {
      session = this.#library.createSession({ retries: 0, timeout: LISTEN_MS, sessionId: this.#sessionId });
    } catch (error) {
      throw new NetworkError(
        "invalid",
        "PROBER_FORBIDDEN",
        `ICMP probes were asked for, but the raw socket could not be opened (${error instanceof Error ? error.message : String(error)}): ` +
          "run as root or give the process the capability NET_RAW, or use TCP probes (--probe tcp)",
        {},
        error,
      );
    }
    // net-ping stops reading while nothing is asked. Other programs' ICMP then fills the buffer, and the next answer may find no room. One request
    // more than there are keeps it reading.
    session.reqsPending += 1;
    const requests: Requests = {
      id: session.sessionId,
      targetOf: (sequence) => session.reqs[sequence]?.target,
      isOwn: isOwnAddress,
    };
    session.getSocket().prependListener("message", (packet: Buffer, source: string) => {
      this.#packets += 1;
      if (!concernsUs(packet, source, requests)) {
        // No IPv4 packet begins so: net-ping, which matches by identifier and sequence alone, passes it over.
        packet.writeUInt8(0, 0);
      }
    });
    // A packet that cannot be read is one answer less. A socket that fails for good closes itself: net-ping ends what is open with a plain error, and
    // the next probe opens another.
    session.on("error", () => {
      this.#packets += 1;
    });
    session.on("close", () => {
      if (this.#session === session) {
        this.#session = undefined;
      }
    });
    return session;
  }
}

/** `undefined`: nobody answered within `LISTEN_MS`. Only an ICMP error names its source; anything else is our own socket's trouble. */
function outcomeOf(error: PingError | null): ProbeOutcome | undefined {
  if (error === null) {
    return { kind: "answer" };
  }
  if (error.name === "RequestTimedOutError") {
    return undefined;
  }
  return { kind: error.source === undefined ? "send-failed" : "error", reason: error.message };
}
