import type { PodReference } from "../ipam/pod-reference.ts";
import type { Ipv4 } from "../net/ipv4.ts";

// What `romana ipam` tells: the documents of `GET /ipam/check` and `POST /ipam/leaks/release`.

/**
 * What is not as it should be with an address.
 *
 * - `leaked`: recorded, no Pod holds it, and its agent has no such interface: it is released after the grace time.
 * - `suspected`: recorded and no Pod holds it, but its agent has the interface, or says nothing: it is kept.
 * - `unclaimed`: recorded under a name that tells no Pod, and no Pod has it: it is kept, nobody can tell.
 * - `unrecorded`: a Pod has it, it lies in a network, and it is not recorded.
 * - `contested`: a Pod's status has it, and it is recorded for another Pod.
 * - `doubled`: one of several addresses that are recorded for one Pod.
 * - `orphaned`: recorded on a host that is not registered, or whose Node is gone.
 * - `misfiled`: of another tenant than the namespace of its Pod.
 */
export type IpamFindingKind =
  | "leaked"
  | "suspected"
  | "unclaimed"
  | "unrecorded"
  | "contested"
  | "doubled"
  | "orphaned"
  | "misfiled";

/** One address that is not as it should be. */
export interface IpamFinding {
  readonly kind: IpamFindingKind;
  readonly address: Ipv4;
  /** The name that holds it; "" where it is not recorded. */
  readonly name: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  /** The Pod that it is recorded for, or of an unrecorded one the Pod that has it. */
  readonly pod: PodReference | null;
  /** Since when no Pod holds it, as far as this leader has seen; ISO 8601. */
  readonly since: string | null;
  /** When it is released if nothing changes. */
  readonly releaseAt: string | null;
  /** What is wrong, in a sentence without a full stop. */
  readonly message: string;
}

/** What both sources say of all addresses. */
export interface IpamCheck {
  readonly checkedAt: string;
  /** Nothing was found, and Pods are known. */
  readonly clean: boolean;
  /** Addresses in use, and Pods of the pod network that have not ended. */
  readonly addresses: number;
  readonly pods: number;
  /** Why what is known of Pods cannot be relied on; "" while it can. Without it leaks are not looked for. */
  readonly podsProblem: string;
  /** Hosts with addresses whose agent says nothing: their addresses are kept, whatever Pods there are. Up to 100, by name; and how many there are. */
  readonly silentHosts: readonly string[];
  readonly silentHostCount: number;
  /** By address. */
  readonly findings: readonly IpamFinding[];
}

/** What was released of what leaked, or would be. */
export interface LeakRelease {
  readonly dryRun: boolean;
  readonly released: readonly IpamFinding[];
  /** Suspected ones, each with why it was kept. */
  readonly kept: readonly IpamFinding[];
  /** Those whose release failed, each with why. */
  readonly failed: readonly IpamFinding[];
}
