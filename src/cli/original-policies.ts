import type { PolicyDocument } from "../client/wire.ts";
import { alignOriginal } from "./original-tables.ts";
import { countsOf, entriesOf } from "./policy-text.ts";

// The original's tables of policies (`-f table`), for scripts that cut them apart.

/** `policy list`. */
export function originalPolicies(policies: readonly PolicyDocument[]): string {
  const header = ["Policy Id", "Direction", "Applied to", "No of Peers", "No of Rules", "Description"];
  const rows = policies.map((policy) => {
    const { peers, rules } = countsOf(policy);
    const { id, direction = "", applied_to: targets, description = "" } = policy;
    return [id, direction, String((targets ?? []).length), String(peers), String(rules), description];
  });
  return `Policy List\n${alignOriginal([header, ...rows])}`;
}

/** `policy add`. */
export function originalAdded(
  results: readonly { readonly id: string; readonly direction: string; readonly ok: boolean }[],
): string {
  const rows = results.map(({ id, direction, ok }) => [id, direction, String(ok)]);
  const cells = [["Id", "Direction", "Successful Applied?"], ...rows].map((row) =>
    row.map((cell) => ` ${cell} `),
  );
  return `New Policies Processed:\n${alignOriginal(cells)}`;
}

/** `policy show`. */
export function originalPolicyDetails(policies: readonly PolicyDocument[]): string {
  const texts = policies.map((policy) => {
    const entries = entriesOf(policy);
    const ends = ["Peer", "Cidr", "Destination", "TenantID", "SegmentID"];
    const endRow = (end: NonNullable<PolicyDocument["peers"]>[number]): readonly string[] => [
      end.peer ?? "",
      end.cidr ?? "",
      end.dest ?? "",
      end.tenant_id ?? end.tenant ?? "",
      end.segment_id ?? end.segment ?? "",
    ];
    const rules = entries.flatMap((entry) =>
      entry.rules.map((rule) => [
        rule.protocol ?? "",
        String(rule.is_stateful ?? false),
        `[${(rule.ports ?? []).join(" ")}]`,
        `[${(rule.port_ranges ?? []).map((range) => range.join("-")).join(" ")}]`,
        String(rule.icmp_type ?? 0),
        String(rule.icmp_code ?? 0),
      ]),
    );
    return [
      alignOriginal([
        ["Policy Id:", policy.id],
        ["Direction:", policy.direction ?? ""],
        ["Description:", policy.description ?? ""],
      ]),
      `Applied To:\n${alignOriginal([ends, ...(policy.applied_to ?? []).map(endRow)])}`,
      `Peers:\n${alignOriginal([ends, ...entries.flatMap(({ peers }) => peers.map(endRow))])}`,
      `Rules:\n${alignOriginal([["Protocol", "IsStateful", "Ports", "PortRanges", "IcmpType", "IcmpCode"], ...rules])}`,
    ].join("");
  });
  return `Policy Details\n${texts.join("\n")}`;
}
