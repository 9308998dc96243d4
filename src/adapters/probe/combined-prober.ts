import type { Ipv4 } from "../../core/net/ipv4.ts";
import type { Prober, ProbeOutcome } from "../../ports/prober.ts";

/**
 * A prober that asks in several ways at once. An address answers when it answers each of them, so what any one of them misses counts:
 *
 *     one of them      the others           outcome
 *     ---------------  -------------------  ---------------------------------------
 *     send-failed      anything so far      send-failed, at once: it was not measured
 *     error            anything so far      error, at once
 *     answer           all answer           answer, with the last of them
 *     silence          answer or silence    silence
 *
 * Owns the probers: `close` closes them.
 */
export function createCombinedProber(probers: readonly Prober[]): Prober {
  return {
    probe: (address, listener) => probeAll(probers, address, listener),
    settle: (callback) => settleAll(probers, callback),
    close: () => probers.forEach((prober) => prober.close()),
  };
}

function probeAll(
  probers: readonly Prober[],
  address: Ipv4,
  listener: (outcome: ProbeOutcome) => void,
): void {
  let missing = probers.length;
  let isDone = false;
  const hear = (outcome: ProbeOutcome): void => {
    missing -= 1;
    if (!isDone && (outcome.kind !== "answer" || missing === 0)) {
      isDone = true;
      listener(outcome);
    }
  };
  for (const prober of probers) {
    prober.probe(address, hear);
  }
}

/** One after another: what had arrived for any of them when it began is delivered by its end. */
function settleAll(probers: readonly Prober[], callback: () => void | Promise<void>): void {
  const [first, ...rest] = probers;
  if (first === undefined) {
    void callback();
  } else {
    first.settle(() => settleAll(rest, callback));
  }
}
