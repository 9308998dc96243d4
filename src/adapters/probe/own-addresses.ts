import { networkInterfaces } from "node:os";

/** How long the list is believed, in milliseconds. */
const BELIEVED_MS = 1_000;

let own: ReadonlySet<string> = new Set();
let readMs = -Infinity;

/** Whether an address is one of this network namespace's interfaces, as of a second ago at most. */
export function isOwnAddress(address: string): boolean {
  const nowMs = performance.now();
  if (nowMs - readMs > BELIEVED_MS) {
    const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    own = new Set(all.map((each) => each.address));
    readMs = nowMs;
  }
  return own.has(address);
}
