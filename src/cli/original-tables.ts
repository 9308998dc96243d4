import type { BlockDocument, HostDocument, NetworkListEntry, TopologyEntry } from "../client/wire.ts";

// The tables of the original's CLI (`-f table`), for scripts that cut them apart: titles, then cells that tabs pad to stops of eight
// columns. A cell that fills its stop exactly gets no tab at all; that is how the original's writer has it.

/** `host list`. */
export function originalHosts(hosts: readonly HostDocument[]): string {
  return `Host List\n${alignOriginal([["Host IP", "Host Name"], ...hosts.map(({ ip, name }) => [ip, name])])}`;
}

/** `network list`. */
export function originalNetworks(networks: readonly NetworkListEntry[]): string {
  const rows = networks.map(({ id, cidr, revision }) => [id, cidr, String(revision)]);
  return `Network List\n${alignOriginal([["Network Name", "Network CIDR", "Revision"], ...rows])}`;
}

/** `block list`. */
export function originalBlocks(blocks: readonly BlockDocument[]): string {
  const header = [
    "Block CIDR",
    "Block Host",
    "Revision",
    "Block Tenant",
    "Block Segment",
    "Block Allocated IP Count",
  ];
  const rows = blocks.map((block) => [
    block.cidr,
    block.host,
    String(block.revision),
    block.tenant,
    block.segment,
    String(block.allocated_ip_count),
  ]);
  return `Block List\n${alignOriginal([header, ...rows])}`;
}

/** `topology list`. */
export function originalTopology({ networks, topologies }: TopologyEntry): string {
  const networkRows = (networks ?? []).map(({ name, cidr, tenants }) => [
    name,
    cidr,
    `[${(tenants ?? []).join(" ")}]`,
  ]);
  const sections = (topologies ?? []).map((entry) => {
    const rows = (entry.map ?? []).map((group) => [
      group.name ?? "",
      group.cidr ?? "",
      (group.groups ?? group.hosts ?? []).map(({ name, ip }) => `${name ?? ""}(${ip ?? ""}), `).join(""),
    ]);
    const title = `Topology for Network/s: [${(entry.networks ?? []).join(" ")}]`;
    return `${title}\n${alignOriginal([["Name", "CIDR", "Nodes", ""], ...rows.map((row) => [...row, ""])])}\n`;
  });
  return `Networks\n${alignOriginal([["Name", "CIDR", "Tenants"], ...networkRows])}\n${sections.join("")}`;
}

/** Go's tabwriter with cells padded by tabs to stops of 8: a column is as wide as its widest cell, rounded up to the next stop. */
export function alignOriginal(rows: readonly (readonly string[])[]): string {
  const stop = 8;
  const columns = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const widths = Array.from({ length: columns }, (_, column) => {
    const widest = rows.reduce((width, row) => Math.max(width, lengthOf(row[column] ?? "")), 0);
    return Math.ceil(widest / stop) * stop;
  });
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        const isLast = column === row.length - 1;
        const missing = (widths[column] ?? 0) - lengthOf(cell);
        return isLast ? cell : cell + "\t".repeat(Math.ceil(missing / stop));
      });
      return `${cells.join("")}\n`;
    })
    .join("");
}

/** Characters as the original counts them: code points. */
function lengthOf(text: string): number {
  return Array.from(text).length;
}
