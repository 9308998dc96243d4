import { readFileSync } from "node:fs";

import { expect, it } from "vitest";
import { parse } from "yaml";

import type {
  ClusterNetworkPolicy,
  LabelSelector,
  NetworkPolicyRule,
} from "../../../src/core/cluster/objects.ts";
import { readModel } from "../../../src/core/policy/read-model.ts";
import { translateNetworkPolicy } from "../../../src/core/policy/translate-network-policy.ts";
import { networkPolicy } from "../../support/policy-world.ts";

const page = readFileSync("docs/policies.md", "utf8");

interface Manifest {
  readonly metadata: Pick<ClusterNetworkPolicy, "namespace" | "name" | "uid">;
  readonly spec: {
    readonly podSelector: Partial<LabelSelector>;
    readonly policyTypes: readonly string[];
    readonly ingress: readonly WrittenRule[];
    readonly egress: readonly WrittenRule[];
  };
}

interface WrittenRule {
  readonly from?: readonly WrittenPeer[];
  readonly ports?: NetworkPolicyRule["ports"];
}

interface WrittenPeer {
  readonly podSelector?: Partial<LabelSelector>;
  readonly namespaceSelector?: Partial<LabelSelector>;
  readonly ipBlock?: { readonly cidr: string; readonly except: readonly string[] };
}

function full({ matchLabels = {}, matchExpressions = [] }: Partial<LabelSelector>): LabelSelector {
  return { matchLabels, matchExpressions };
}

function rule({ from = [], ports = [] }: WrittenRule): NetworkPolicyRule {
  const peers = from.map(({ podSelector, namespaceSelector, ipBlock }) => ({
    ...(podSelector === undefined ? {} : { podSelector: full(podSelector) }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector: full(namespaceSelector) }),
    ...(ipBlock === undefined ? {} : { ipBlock }),
  }));
  return { peers, ports };
}

it("shows the model of the page's NetworkPolicy as it is", () => {
  const [, yaml = "", json = ""] =
    /```yaml\n([^]*?)```\n\nis this model:\n\n```json\n([^]*?)```/.exec(page) ?? [];
  const { metadata, spec } = parse(yaml) as Manifest;
  const policy = networkPolicy({
    ...metadata,
    podSelector: full(spec.podSelector),
    policyTypes: spec.policyTypes,
    ingress: spec.ingress.map(rule),
    egress: spec.egress.map(rule),
    hasEgress: true,
  });

  const { model, problems } = translateNetworkPolicy(policy);

  expect(problems).toEqual([]);
  expect(JSON.stringify(model)).toBe(JSON.stringify(JSON.parse(json)));
  expect(readModel(JSON.parse(json))).toEqual(model);
});
