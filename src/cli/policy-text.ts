import type { PolicyDocument, PolicyEndpoint, PolicyRule } from "../client/wire.ts";

/** What a policy lets through: peers with what each may use. Both document forms, as one list. */
export interface PolicyEntryText {
  readonly peers: readonly PolicyEndpoint[];
  readonly rules: readonly PolicyRule[];
}

/** The entries of a policy: those below `ingress`, and the peers and rules at the top, as the manual has them. */
export function entriesOf({ ingress, peers, rules }: PolicyDocument): readonly PolicyEntryText[] {
  const below = (ingress ?? []).map((entry) => ({ peers: entry.peers ?? [], rules: entry.rules ?? [] }));
  const top =
    (peers ?? []).length + (rules ?? []).length > 0 ? [{ peers: peers ?? [], rules: rules ?? [] }] : [];
  return [...below, ...top];
}

/** Peers and rules of all entries. */
export function countsOf(policy: PolicyDocument): { readonly peers: number; readonly rules: number } {
  const entries = entriesOf(policy);
  return {
    peers: entries.reduce((total, { peers }) => total + peers.length, 0),
    rules: entries.reduce((total, { rules }) => total + rules.length, 0),
  };
}

/** An end as a person says it: `tenant shop, segment web`, `10.0.0.0/8`, `any`. */
export function endpointText(endpoint: PolicyEndpoint): string {
  const tenant = endpoint.tenant_id ?? endpoint.tenant;
  const segment = endpoint.segment_id ?? endpoint.segment;
  const parts = [
    endpoint.peer,
    endpoint.cidr,
    endpoint.dest,
    tenant === undefined ? undefined : `tenant ${tenant}`,
    segment === undefined ? undefined : `segment ${segment}`,
  ];
  return parts.filter((part) => part !== undefined && part !== "").join(", ") || "nothing";
}

/** Traffic as a person says it: `tcp 22,80,1000-2000`, `icmp type 8 code 0`, `any`. */
export function ruleText({
  protocol,
  ports,
  port_ranges: ranges,
  icmp_type: type,
  icmp_code: code,
}: PolicyRule): string {
  const numbers = [...(ports ?? []).map(String), ...(ranges ?? []).map((range) => range.join("-"))];
  const parts = [
    protocol ?? "any",
    numbers.join(","),
    type === undefined ? "" : `type ${type}`,
    code === undefined ? "" : `code ${code}`,
  ];
  return parts.filter((part) => part !== "").join(" ");
}

/** A policy on a few lines. */
export function policyText(policy: PolicyDocument): string {
  const { id, name, description, direction = "ingress", applied_to: targets } = policy;
  const side = direction === "egress" ? "To" : "From";
  const entries = entriesOf(policy).flatMap(({ peers, rules }) => [
    `${side} ${peers.map(endpointText).join("; ") || "nobody"}:`,
    ...(rules.length === 0 ? ["  nothing"] : rules.map((rule) => `  ${ruleText(rule)}`)),
  ]);
  return [
    `Id:           ${id}`,
    ...(name === undefined ? [] : [`Name:         ${name}`]),
    ...(description === undefined || description === "" ? [] : [`Description:  ${description}`]),
    `Direction:    ${direction}`,
    `Applied to:   ${(targets ?? []).map(endpointText).join("; ") || "nothing"}`,
    ...entries,
  ].join("\n");
}
