import type { ClusterNetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule } from "../cluster/objects.ts";
import { canonicalModel } from "./canonical-model.ts";
import {
  networkPolicyId,
  type Allowance,
  type NamespaceSet,
  type PolicyModel,
  type PolicyPeer,
  type PolicyProblem,
  type Translation,
} from "./model.ts";
import type { Direction } from "./policy.ts";
import { readIpBlock } from "./read-ip-block.ts";
import { readTraffic } from "./read-ports.ts";
import { readSelector } from "./read-selector.ts";

/**
 * The model of a NetworkPolicy (networking.k8s.io/v1). It never throws and never allows more than the policy says; each part that it cannot express is a problem, and then:
 *
 *     what cannot be expressed         what holds instead
 *     a requirement of podSelector     selected are all whom the rest of podSelector selects; they are closed, and this policy allows them nothing
 *     a peer, or any part of one       that peer allows nothing, the others of its rule do
 *     a port, or any part of one       that port allows nothing, the others of its rule do
 *     all peers or all ports of a rule the rule allows nothing (and not everything, as a rule without any would)
 *     a word in policyTypes            both directions are closed; rules count only in those that are named
 *     what could not even be read      both directions are closed, and the policy allows nothing
 *
 * Defaults: without policyTypes ingress is closed, and egress when there is a section for it. Rules of a direction that policyTypes does not name mean nothing.
 */
export function translateNetworkPolicy(policy: ClusterNetworkPolicy): Translation {
  const problems: PolicyProblem[] = [];
  const { named, isolates } =
    policy.unreadable === "" ? readTypes(policy, problems) : unread(policy, problems);
  const targets = readSelector(
    policy.podSelector,
    "spec.podSelector",
    "the Pods that the rest selects are closed, and this policy allows them nothing",
    problems,
  );
  const allowances = (direction: Direction): readonly Allowance[] => {
    if (!named.includes(direction)) {
      return [];
    }
    const rules = policy[direction].map((rule, index) =>
      readRule(rule, policy.namespace, direction, `spec.${direction}[${index}]`, problems),
    );
    return targets.complete ? rules : [];
  };
  const model = canonicalModel({
    id: networkPolicyId(policy),
    source: { kind: "network-policy", namespace: policy.namespace, name: policy.name, uid: policy.uid },
    targets: [
      {
        kind: "pods",
        namespaces: { kind: "named", name: policy.namespace },
        pods: targets.selector,
      },
    ],
    isolates,
    ingress: allowances("ingress"),
    egress: allowances("egress"),
  });
  return { model, problems };
}

/** What holds of a NetworkPolicy that cannot be kept, for its size: all Pods of its namespace are closed in the directions that it closes. */
export function closedInstead(model: PolicyModel, namespace: string): PolicyModel {
  return canonicalModel({
    ...model,
    targets: [{ kind: "pods", namespaces: { kind: "named", name: namespace }, pods: [] }],
    ingress: [],
    egress: [],
  });
}

const TYPES: ReadonlyMap<string, Direction> = new Map([
  ["Ingress", "ingress"],
  ["Egress", "egress"],
]);

/** Directions that the policy names, and those that it closes. */
function readTypes(
  { policyTypes, hasEgress }: ClusterNetworkPolicy,
  problems: PolicyProblem[],
): { readonly named: readonly Direction[]; readonly isolates: readonly Direction[] } {
  if (policyTypes.length === 0) {
    const isolates: readonly Direction[] = hasEgress ? ["ingress", "egress"] : ["ingress"];
    return { named: isolates, isolates };
  }
  const named: Direction[] = [];
  let unknown = false;
  for (const [index, type] of policyTypes.entries()) {
    const direction = TYPES.get(type);
    if (direction === undefined) {
      unknown = true;
      problems.push({
        place: `spec.policyTypes[${index}]`,
        message: `${JSON.stringify(type)} is not known: write Ingress or Egress; until then both directions are closed but for what the rules of a named one allow`,
      });
    } else {
      named.push(direction);
    }
  }
  return { named, isolates: unknown ? ["ingress", "egress"] : named };
}

function unread(
  { unreadable }: ClusterNetworkPolicy,
  problems: PolicyProblem[],
): { readonly named: readonly Direction[]; readonly isolates: readonly Direction[] } {
  problems.push({
    place: "spec",
    message: `it cannot be read (${unreadable}): leave out what this release does not know, or upgrade the controller; until then all whom it selects are closed in both directions, and it allows nothing`,
  });
  return { named: [], isolates: ["ingress", "egress"] };
}

function readRule(
  { peers, ports }: NetworkPolicyRule,
  namespace: string,
  direction: Direction,
  place: string,
  problems: PolicyProblem[],
): Allowance {
  const key = direction === "ingress" ? "from" : "to";
  return {
    peers:
      peers.length === 0
        ? [{ kind: "any" }]
        : peers.flatMap(
            (peer, index) => readPeer(peer, namespace, `${place}.${key}[${index}]`, problems) ?? [],
          ),
    traffic: readTraffic(ports, `${place}.ports`, problems),
  };
}

/**
 *     namespaceSelector  podSelector  ipBlock   who
 *     -                  P            -         Pods P of the policy's own namespace
 *     N                  -            -         all Pods of namespaces N
 *     N                  P            -         Pods P of namespaces N
 *     -                  -            B         addresses of B, whoever has them
 *     anything else                             a problem
 */
function readPeer(
  { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer,
  namespace: string,
  place: string,
  problems: PolicyProblem[],
): PolicyPeer | undefined {
  const selects = podSelector !== undefined || namespaceSelector !== undefined;
  if (selects === (ipBlock !== undefined)) {
    problems.push({
      place,
      message: selects
        ? "ipBlock cannot stand beside a selector: make a peer of each; until then this peer allows nothing"
        : "it names nobody: write podSelector, namespaceSelector or ipBlock; until then this peer allows nothing",
    });
    return undefined;
  }
  if (ipBlock !== undefined) {
    return readIpBlock(ipBlock, `${place}.ipBlock`, problems);
  }
  const consequence = "this peer allows nothing";
  const namespaces =
    namespaceSelector && readSelector(namespaceSelector, `${place}.namespaceSelector`, consequence, problems);
  const pods = podSelector && readSelector(podSelector, `${place}.podSelector`, consequence, problems);
  if (namespaces?.complete === false || pods?.complete === false) {
    return undefined;
  }
  const where: NamespaceSet =
    namespaces === undefined
      ? { kind: "named", name: namespace }
      : { kind: "labelled", selector: namespaces.selector };
  return { kind: "pods", namespaces: where, pods: pods?.selector ?? [] };
}
