import type { CloudFacts, CloudRouteTable } from "../cloud/facts.ts";

/** Which route tables are ours to keep (decision 23, `--route-tables`). */
export type TableSelector =
  | { readonly kind: "cluster" }
  | { readonly kind: "vpc" }
  | { readonly kind: "tag"; readonly key: string; readonly value: string }
  | { readonly kind: "ids"; readonly ids: readonly string[] };

/**
 * The tables that get routes, sorted by id:
 *
 *     selector   tables
 *     --------   ---------------------------------------------------------------------------
 *     cluster    of the subnets that hold nodes; the main table where a subnet names none
 *     vpc        all of the VPC
 *     tag        those that carry the tag with that value
 *     ids        the named ones that exist
 */
export function selectTables(
  facts: CloudFacts,
  selector: TableSelector,
  nodeSubnets: ReadonlySet<string>,
): readonly CloudRouteTable[] {
  const chosen = facts.routeTables.filter((table) => {
    switch (selector.kind) {
      case "cluster":
        return false;
      case "vpc":
        return true;
      case "tag":
        return table.tags[selector.key] === selector.value;
      case "ids":
        return selector.ids.includes(table.id);
    }
  });
  if (selector.kind !== "cluster") {
    return chosen.toSorted(byId);
  }
  const explicit = new Map(
    facts.routeTables.flatMap((table) => table.subnetIds.map((subnetId) => [subnetId, table] as const)),
  );
  const main = facts.routeTables.find((table) => table.main);
  const tables = new Set<CloudRouteTable>();
  for (const subnetId of nodeSubnets) {
    const table = explicit.get(subnetId) ?? main;
    if (table !== undefined) {
      tables.add(table);
    }
  }
  return [...tables].toSorted(byId);
}

function byId(a: CloudRouteTable, b: CloudRouteTable): number {
  return a.id < b.id ? -1 : 1;
}
