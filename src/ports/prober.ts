import type { Ipv4 } from "../core/net/ipv4.ts";

/**
 * What became of one probe. `error`: an ICMP error (or a reset that proves nothing) answered it, the probe is lost. `send-failed`: we could not
 * send it; that says nothing about the target (decision 22). Silence is no outcome: deadlines are the caller's.
 */
export type ProbeOutcome =
  | { readonly kind: "answer" }
  | { readonly kind: "error"; readonly reason: string }
  | { readonly kind: "send-failed"; readonly reason: string };

/** Sends probes. Implementations: `adapters/probe` (ICMP, TCP), `adapters/simulation`. */
export interface Prober {
  /** Sends one probe to `address`; `listener` is called at most once, also when the answer comes late (up to 1 s). Never throws. */
  probe(address: Ipv4, listener: (outcome: ProbeOutcome) => void): void;
  /**
   * Calls `callback` once everything that has already arrived was delivered to its listeners. To be called when a deadline passed and before
   * it is judged: after a stall of the process the answers still lie in the socket's buffer.
   */
  settle(callback: () => void | Promise<void>): void;
  close(): void;
}
