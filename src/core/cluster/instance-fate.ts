import type { CloudFacts, CloudInstance } from "../cloud/facts.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { NodeIdentity } from "../topology/topology.ts";

/** A machine is gone when it was missing from this many looks at the VPC in a row (decision 10) … */
const ABSENT_PASSES = 2;
/** … and for this long: looks follow each other within a second, and EC2 may show the same old state to several of them. */
const ABSENT_MS = 30_000;
/** How long EC2's word counts that an instance lives which no look at the VPC shows: it may have lost the cluster's tag. */
const WORD_MS = 60_000;

/**
 * What is known of the machine of a host whose Node is gone.
 *
 * - `alive`: EC2 shows it, in any state but terminated.
 * - `gone`: EC2 says that it is terminated, or knows nothing of it; its addresses can be released.
 * - `absent`: the looks at the VPC do not show it any more; EC2 has to be asked about it alone.
 * - `unknown`: nobody can say yet.
 */
export type Fate = "alive" | "gone" | "absent" | "unknown";

/** The machine behind a host. */
export interface Machine {
  readonly ip: Ipv4;
  readonly node?: NodeIdentity | undefined;
}

/** Since when looks at the VPC do not show a machine; `since` by the monotonic clock, in milliseconds. */
export interface Absence {
  readonly passes: number;
  readonly since: number;
}

/** What EC2 said about one instance, asked about it alone. */
export interface InstanceWord {
  /** `undefined`: EC2 knows none of that id. */
  readonly instance: CloudInstance | undefined;
  /** When it was asked, by the monotonic clock, in milliseconds. */
  readonly at: number;
}

/** All that EC2 said. */
export interface CloudEvidence {
  /** The last look at the VPC; `undefined` before the first. */
  readonly facts: CloudFacts | undefined;
  readonly absences: ReadonlyMap<string, Absence>;
  /** By instance. */
  readonly words: ReadonlyMap<string, InstanceWord>;
}

/** Under what a machine is remembered: its instance or, where that is not known, its address. */
export function machineKey({ ip, node }: Machine): string {
  return node === undefined || node.instanceId === "" ? ip : node.instanceId;
}

/** The absences after one more look at the VPC. While an instance cannot be read nobody is taken for absent: it may be that one. */
export function countAbsences(
  before: ReadonlyMap<string, Absence>,
  machines: Iterable<Machine>,
  facts: CloudFacts,
  now: number,
): ReadonlyMap<string, Absence> {
  if ((facts.unreadableInstanceIds ?? []).length > 0) {
    return before;
  }
  const ids = new Set(facts.instances.map(({ id }) => id));
  const addresses = new Set(
    facts.instances.flatMap(({ interfaces }) => interfaces.flatMap((each) => each.addresses)),
  );
  const absences = new Map<string, Absence>();
  for (const machine of machines) {
    const key = machineKey(machine);
    if (!(key === machine.ip ? addresses : ids).has(key)) {
      const { passes, since } = before.get(key) ?? { passes: 0, since: now };
      absences.set(key, { passes: passes + 1, since });
    }
  }
  return absences;
}

/**
 * What became of a machine, from the strongest word down:
 *
 *     asked alone: terminated                                         gone
 *     the last look: terminated                                       gone
 *     the last look: any other state                                  alive
 *     absent in two looks and for 30 s, its instance not known        gone
 *     absent so, and asked alone since: EC2 knows none                gone
 *     absent so, and asked alone within a minute: any other state     alive
 *     absent so                                                       absent
 *     anything else                                                   unknown
 */
export function fateOf(machine: Machine, evidence: CloudEvidence, now: number): Fate {
  const { facts, absences, words } = evidence;
  const key = machineKey(machine);
  const byAddress = key === machine.ip;
  const word = words.get(key);
  if (word?.instance?.state === "terminated") {
    return "gone";
  }
  const shown = (facts?.instances ?? []).filter(({ id, interfaces }) =>
    byAddress ? interfaces.some(({ addresses }) => addresses.includes(machine.ip)) : id === key,
  );
  if (shown.length > 0) {
    return shown.every(({ state }) => state === "terminated") ? "gone" : "alive";
  }
  const absence = absences.get(key);
  if (absence === undefined || absence.passes < ABSENT_PASSES || now - absence.since < ABSENT_MS) {
    return "unknown";
  }
  if (byAddress) {
    return "gone";
  }
  if (word === undefined || word.at < absence.since) {
    return "absent";
  }
  if (word.instance === undefined) {
    return "gone";
  }
  return now - word.at < WORD_MS ? "alive" : "absent";
}
