import type { ClusterPod } from "../cluster/objects.ts";
import { isTerminal } from "../cluster/pod-phase.ts";
import type { Ipv4 } from "../net/ipv4.ts";
import type { AddressView } from "./view.ts";

/** Agents repeat their report every 30 s; an older one says nothing any more. */
export const REPORT_VALID_MS = 90_000;
/** How far behind what is known of Pods may be without anybody knowing: a watch that died in silence is cut after 90 s. */
export const SETTLE_MS = 90_000;

/** What the API server says of Pods. */
export interface PodFacts {
  readonly byUid: (uid: string) => ClusterPod | undefined;
  /** By `namespace/name`. */
  readonly named: (key: string) => ClusterPod | undefined;
  /** Whether a Pod of the pod network that has not ended has the address in its status. */
  readonly hasAddress: (address: Ipv4) => boolean;
}

/** What an agent says of the interfaces on its host; `at` by the monotonic clock, in milliseconds. */
export interface InterfaceReport {
  readonly ready: boolean;
  readonly endpoints: ReadonlyMap<Ipv4, string>;
  readonly at: number;
}

/**
 * Whose an address is, by the API server alone:
 *
 *     the address names a Pod    that Pod (by UID) is there and has not ended                       `held`
 *                                it is there and has ended (Succeeded, Failed)                      `podless`: its sandbox may stand, which its agent knows
 *                                it is not there                                                    `podless`
 *     it names none              a Pod with the name that the address has is there                  `held`, whatever its phase
 *                                the name is one of a CNI plugin, `<pod>.<namespace>.<8 hex digits>`,
 *                                and the namespace is its tenant                                    `podless`
 *                                any other name: taken by hand, for a VM, for whatever              `unclaimed`: nobody can tell
 *     either                     the status of a live Pod has the address                           `held`
 */
export type Claim = "held" | "podless" | "unclaimed";

export function claimOf({ address, name, tenant, pod }: AddressView, pods: PodFacts): Claim {
  if (pod !== undefined) {
    const found = pods.byUid(pod.uid);
    return (found !== undefined && !isTerminal(found)) || pods.hasAddress(address) ? "held" : "podless";
  }
  // First what costs least: names are taken apart for those alone that nobody claims.
  if (pods.hasAddress(address)) {
    return "held";
  }
  const parts = name.split(".");
  const isCni = parts.length > 2 && /^[0-9a-f]{8}$/.test(parts.at(-1) ?? "");
  const labels = isCni ? parts.slice(0, -1) : parts;
  const namespace = labels.at(-1) ?? "";
  if (pods.named(`${namespace}/${labels.slice(0, -1).join(".")}`) !== undefined) {
    return "held";
  }
  return isCni && namespace === tenant ? "podless" : "unclaimed";
}

/** That an address is held by no Pod. Times are monotonic, in milliseconds. */
export interface Suspicion {
  /** Since when no Pod holds it, at every look. */
  readonly podlessSince: number;
  /** Since when, besides, every report of its agent is without it; absent while its agent has not said so. */
  readonly absentSince: number | undefined;
  /** Of the last report that counted. */
  readonly reportAt: number | undefined;
}

/**
 * How far a suspicion has come; at the last stage both sources have agreed for long enough.
 *
 *     settling     no Pod since less than 90 s: the Pod may be on its way to us
 *     silent       its agent says nothing: no report, one older than 90 s, or it is not ready
 *     present      its agent has the interface
 *     unconfirmed  the last report is older than the suspicion
 *     waiting      both agree, and the grace time runs
 *     leaked       both agree, the grace time is over, and its agent said so again after the 90 s: what a node had begun for a Pod that was deleted meanwhile is done by then
 */
export type LeakStage = "settling" | "silent" | "present" | "unconfirmed" | "waiting" | "leaked";

/** The suspicion of an address that no Pod holds now, with its agent's last report; `before`: as it was at the look before, absent when a Pod held it then or since. */
export function suspect(
  before: Suspicion | undefined,
  address: Pick<AddressView, "address" | "pod">,
  report: InterfaceReport | undefined,
  now: number,
): Suspicion {
  const podlessSince = before?.podlessSince ?? now;
  if (report === undefined || agentSays(podlessSince, address, report, now) !== "absent") {
    return { podlessSince, absentSince: undefined, reportAt: undefined };
  }
  const isGap = before?.reportAt === undefined || report.at - before.reportAt > REPORT_VALID_MS;
  return {
    podlessSince,
    absentSince: isGap ? report.at : (before.absentSince ?? report.at),
    reportAt: report.at,
  };
}

/** How far it has come, by the report that it was made from. */
export function stageOf(
  { podlessSince, absentSince, reportAt }: Suspicion,
  address: Pick<AddressView, "address" | "pod">,
  report: InterfaceReport | undefined,
  { now, graceMs }: { readonly now: number; readonly graceMs: number },
): LeakStage {
  const says = agentSays(podlessSince, address, report, now);
  if (now - podlessSince < SETTLE_MS) {
    return "settling";
  }
  if (says !== "absent") {
    return says;
  }
  const isConfirmed = reportAt !== undefined && reportAt - podlessSince >= SETTLE_MS;
  return absentSince === undefined || !isConfirmed || now - absentSince < graceMs ? "waiting" : "leaked";
}

/** When it will have leaked if nothing changes, at the earliest; `undefined` while its agent has not agreed. */
export function dueAt({ podlessSince, absentSince }: Suspicion, graceMs: number): number | undefined {
  return absentSince === undefined ? undefined : Math.max(podlessSince + SETTLE_MS, absentSince + graceMs);
}

/** An interface of that Pod with another address counts as one: the Pod lives there. */
function agentSays(
  since: number,
  { address, pod }: Pick<AddressView, "address" | "pod">,
  report: InterfaceReport | undefined,
  now: number,
): "silent" | "present" | "unconfirmed" | "absent" {
  if (report?.ready !== true || now - report.at > REPORT_VALID_MS) {
    return "silent";
  }
  if (
    report.endpoints.has(address) ||
    (pod !== undefined && [...report.endpoints.values()].includes(pod.uid))
  ) {
    return "present";
  }
  return report.at > since ? "absent" : "unconfirmed";
}
