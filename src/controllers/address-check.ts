import type { ClusterNode, ClusterPod } from "../core/cluster/objects.ts";
import { isTerminal } from "../core/cluster/pod-phase.ts";
import { checkAddress, checkPodAddress, findUnclaimed } from "../core/ipam/check-address.ts";
import { claimOf, REPORT_VALID_MS } from "../core/ipam/plan-leaks.ts";
import { containsAddress } from "../core/net/cidr.ts";
import { ipv4Value, readIpv4, type Ipv4 } from "../core/net/ipv4.ts";
import type { IpamCheck, IpamFinding } from "../core/views/ipam-views.ts";
import type { Clock } from "../ports/clock.ts";
import type { AddressingService } from "../services/addressing-service.ts";
import type { AgentReports } from "../services/cluster/agent-reports.ts";
import type { ObjectReader } from "../services/cluster/object-view.ts";
import { Several } from "../services/cluster/several.ts";
import { nextTurn } from "../services/next-turn.ts";

/** Addresses or Pods that are looked at before others have their turn. */
const STEP = 5_000;
/** Hosts without a word that are named. */
const MAX_SILENT = 100;

export interface AddressCheckOptions {
  readonly addresses: Pick<AddressingService, "eachAddress" | "addressAt" | "host" | "networks">;
  readonly pods: ObjectReader<ClusterPod>;
  readonly agents: AgentReports;
  readonly nodes?: ObjectReader<ClusterNode>;
  readonly clock: Clock;
  /** Why nothing can be said of Pods; "" when something can. */
  readonly problem: string;
  /** What is known of a name as a leak. */
  readonly findLeak: (name: string) => IpamFinding | undefined;
  readonly signal: AbortSignal;
}

/** Looks at every address and every Pod, and tells what does not fit together. Others have their turn meanwhile. Rejects with the signal's reason. */
export async function checkAddresses(options: AddressCheckOptions): Promise<IpamCheck> {
  const { addresses, pods, clock, problem, findLeak, signal } = options;
  const turn = inSteps(signal);
  const names = new Several<string, string>();
  const hosts = new Set<string>();
  for (const { name, host, pod } of addresses.eachAddress()) {
    hosts.add(host);
    if (pod !== undefined) {
      names.add(pod.uid, name);
    }
    await turn();
  }
  const findings: IpamFinding[] = [];
  const live = new Set<string>();
  let podCount = 0;
  if (problem === "") {
    const networks = addresses.networks();
    for (const pod of pods.values()) {
      await turn();
      if (pod.hostNetwork || isTerminal(pod)) {
        continue;
      }
      podCount += 1;
      for (const ip of pod.ips) {
        live.add(ip);
        const value = readIpv4(ip);
        if (value !== undefined && networks.some(({ cidr }) => containsAddress(cidr, value))) {
          findings.push(...listOf(checkPodAddress(pod, ip as Ipv4, addresses.addressAt(value))));
        }
      }
    }
  }
  const surroundings = {
    namesOf: (uid: string) => names.of(uid),
    hostProblem: (host: string) => hostProblem(options, host),
  };
  const facts = {
    byUid: (uid: string) => pods.byUid(uid),
    named: (key: string) => pods.get(key),
    hasAddress: (address: Ipv4) => live.has(address),
  };
  let count = 0;
  for (const address of addresses.eachAddress()) {
    await turn();
    count += 1;
    findings.push(...checkAddress(address, surroundings));
    if (problem === "") {
      const unclaimed = claimOf(address, facts) === "unclaimed" ? findUnclaimed(address) : undefined;
      findings.push(...listOf(unclaimed ?? findLeak(address.name)));
    }
  }
  const silent = [...hosts].filter((host) => isSilent(options, host)).toSorted();
  return {
    checkedAt: new Date(clock.now()).toISOString(),
    clean: findings.length === 0 && problem === "",
    addresses: count,
    pods: podCount,
    podsProblem: problem,
    silentHosts: silent.slice(0, MAX_SILENT),
    silentHostCount: silent.length,
    findings: findings.toSorted((a, b) => ipv4Value(a.address) - ipv4Value(b.address)),
  };
}

function hostProblem({ addresses, nodes }: AddressCheckOptions, name: string): string {
  const host = addresses.host(name);
  if (host === undefined) {
    return `host ${name} is not registered`;
  }
  const isGone = nodes?.synced === true && host.origin === "kubernetes" && nodes.get(name) === undefined;
  return isGone ? `the Node of host ${name} is gone` : "";
}

function isSilent({ agents, clock }: AddressCheckOptions, host: string): boolean {
  const report = agents.of(host);
  return report?.ready !== true || clock.monotonic() - report.at > REPORT_VALID_MS;
}

function listOf<T>(item: T | undefined): readonly T[] {
  return item === undefined ? [] : [item];
}

/** Gives others their turn at every so many calls. */
function inSteps(signal: AbortSignal): () => Promise<void> | undefined {
  let left = STEP;
  return () => {
    left -= 1;
    if (left > 0) {
      return undefined;
    }
    left = STEP;
    return nextTurn().then(() => signal.throwIfAborted());
  };
}
