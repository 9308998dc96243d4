/** A number (0 to 2^32 - 1) that spreads host names evenly (FNV-1a over UTF-16 units, then a final mix). */
export function hostHash(host: string): number {
  let hash = 0x81_1c_9d_c5;
  for (let index = 0; index < host.length; index += 1) {
    hash = Math.imul(hash ^ host.charCodeAt(index), 0x01_00_01_93);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85_eb_ca_6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2_b2_ae_35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * The first moment after `afterMs` that lies in a host's phase, which is where its hash falls within the interval: probes of many hosts
 * spread over the interval by themselves, and keep their places whatever happened in between. Between 0 (exclusive) and `intervalMs` later.
 */
export function nextInPhase(hash: number, intervalMs: number, afterMs: number): number {
  const phase = hash % Math.max(1, Math.floor(intervalMs));
  const due = afterMs - ((((afterMs - phase) % intervalMs) + intervalMs) % intervalMs) + intervalMs;
  return due > afterMs ? due : due + intervalMs;
}
