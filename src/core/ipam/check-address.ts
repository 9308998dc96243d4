import type { ClusterPod } from "../cluster/objects.ts";
import { isTerminal } from "../cluster/pod-phase.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { IpamFinding, IpamFindingKind } from "../views/ipam-views.ts";
import type { LeakStage } from "./plan-leaks.ts";
import type { AddressView } from "./view.ts";

/** What is asked about the surroundings of an address. */
export interface AddressSurroundings {
  /** Names of the addresses that are recorded for a Pod, by its UID. */
  readonly namesOf: (uid: string) => readonly string[];
  /** Why its host is none any more; "" for a host that is there. */
  readonly hostProblem: (host: string) => string;
}

/** When a suspicion began and will end, as text for people. */
export interface LeakTimes {
  readonly since: string | null;
  readonly releaseAt: string | null;
}

const NO_TIMES: LeakTimes = { since: null, releaseAt: null };

/** What is wrong with an address in use, beside that no Pod holds it. */
export function checkAddress(
  address: AddressView,
  { namesOf, hostProblem }: AddressSurroundings,
): readonly IpamFinding[] {
  const { pod, host, tenant, name } = address;
  const findings: IpamFinding[] = [];
  const problem = hostProblem(host);
  if (problem !== "") {
    findings.push(findingOf("orphaned", address, `${problem}; remove the host if it does not come back`));
  }
  if (pod !== undefined) {
    const others = namesOf(pod.uid).filter((other) => other !== name);
    if (others.length > 0) {
      const named = others.slice(0, 3).map((other) => `"${other}"`);
      findings.push(
        findingOf(
          "doubled",
          address,
          `its Pod holds other addresses too, under ${named.join(", ")}${others.length > 3 ? " and more" : ""}`,
        ),
      );
    }
    if (tenant !== pod.namespace) {
      findings.push(
        findingOf(
          "misfiled",
          address,
          `it is of tenant "${tenant}", and its Pod's namespace is "${pod.namespace}"`,
        ),
      );
    }
  }
  return findings;
}

/** What is wrong with an address that no Pod holds; `undefined` while the suspicion settles, for then the Pod may be on its way. */
export function findLeak(address: AddressView, stage: LeakStage, times: LeakTimes): IpamFinding | undefined {
  const { host } = address;
  const who = address.pod === undefined ? "no Pod has its name" : "its Pod is gone or has ended";
  switch (stage) {
    case "settling":
      return undefined;
    case "waiting":
    case "leaked":
      return findingOf("leaked", address, `${who}, and host ${host} has no such interface`, times);
    case "silent":
      return findingOf(
        "suspected",
        address,
        `${who}, but the agent of host ${host} says nothing: it is kept`,
        times,
      );
    case "present":
      return findingOf("suspected", address, `${who}, but host ${host} has its interface: it is kept`, times);
    case "unconfirmed":
      return findingOf("suspected", address, `${who}; the next report of host ${host} will tell more`, times);
  }
}

/** For an address whose name tells no Pod. */
export function findUnclaimed(address: AddressView): IpamFinding {
  return findingOf(
    "unclaimed",
    address,
    "it names no Pod, and no Pod has it: it is kept, for a VM perhaps; romana address remove releases it",
  );
}

/**
 * What is wrong with an address in the status of a Pod: nothing where it is recorded for it or for no Pod, where the Pod is on its way out, does not run yet, or has the host's network.
 * `recorded`: that address, if it is in use.
 */
export function checkPodAddress(
  pod: ClusterPod,
  address: Ipv4,
  recorded: AddressView | undefined,
): IpamFinding | undefined {
  const { uid, namespace, name, hostNetwork, deleting, phase, node } = pod;
  if (hostNetwork || deleting || phase !== "Running" || isTerminal(pod)) {
    return undefined;
  }
  const reference = { namespace, name, uid };
  if (recorded === undefined) {
    return {
      ...NO_TIMES,
      kind: "unrecorded",
      address,
      name: "",
      host: node,
      tenant: "",
      segment: "",
      pod: reference,
      message: `Pod ${namespace}/${name} has it, and nobody recorded it: it may be given out a second time; delete the Pod so that it gets another one`,
    };
  }
  return recorded.pod === undefined || recorded.pod.uid === uid
    ? undefined
    : findingOf(
        "contested",
        recorded,
        `Pod ${namespace}/${name} (${uid}) has it in its status, and it is recorded for another Pod; delete the one whose traffic fails`,
      );
}

/** A finding about an address in use. */
export function findingOf(
  kind: IpamFindingKind,
  { address, name, host, tenant, segment, pod }: AddressView,
  message: string,
  { since, releaseAt }: LeakTimes = NO_TIMES,
): IpamFinding {
  return { kind, address, name, host, tenant, segment, pod: pod ?? null, since, releaseAt, message };
}
