import type { Prober } from "../../ports/prober.ts";
import { createCombinedProber } from "./combined-prober.ts";
import { createIcmpProber } from "./icmp-prober.ts";
import { createTcpProber } from "./tcp-prober.ts";

export type ProberKind =
  | { readonly kind: "icmp" }
  | { readonly kind: "tcp"; readonly port: number; readonly maxSockets?: number }
  /** ICMP and TCP: an address must answer both. */
  | { readonly kind: "multi"; readonly port: number };

/** The prober that the settings ask for. Throws what `createIcmpProber` and `createTcpProber` throw. */
export async function createProber(settings: ProberKind): Promise<Prober> {
  switch (settings.kind) {
    case "icmp":
      return createIcmpProber();
    case "tcp":
      return createTcpProber(settings);
    case "multi": {
      // TCP first: it refuses a bad port before a socket is open.
      const tcp = createTcpProber({ port: settings.port });
      return createCombinedProber([await createIcmpProber(), tcp]);
    }
  }
}
