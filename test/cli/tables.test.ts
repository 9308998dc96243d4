import { stripVTControlCharacters } from "node:util";

import { expect, it } from "vitest";

import { originalBlocks, originalTopology } from "../../src/cli/original-tables.ts";
import { GrowingTable, renderTable } from "../../src/cli/table.ts";

const columns = [
  { header: "NAME", cell: (row: readonly string[]) => row[0] ?? "" },
  { header: "STATE", cell: (row: readonly string[]) => row[1] ?? "" },
  { header: "MORE", cell: (row: readonly string[]) => row[2] ?? "", wide: true },
];

it("aligns columns by what one sees of them", () => {
  const rows = [
    ["a", "\u001B[32mup\u001B[39m", "x"],
    ["longer-name", "suspect", "y"],
  ];

  expect(renderTable(columns, rows, true)).toBe(
    "NAME          STATE     MORE\n" +
      "a             \u001B[32mup\u001B[39m        x\n" +
      "longer-name   suspect   y\n",
  );
});

it("leaves wide columns out, and blanks at the end of a line", () => {
  expect(renderTable(columns, [["a", "up", "x"]], false)).toBe("NAME   STATE\na      up\n");
});

it("lets no name break the table or steer the terminal", () => {
  const text = renderTable(columns, [["a\nb\u001B[2Jc\u009Bd", "up", ""]], false);

  expect(text.split("\n")).toHaveLength(3);
  expect(text).toContain("a\uFFFDb\uFFFD[2Jc\uFFFDd");
});

it("fits into the terminal by cutting the widest column, and shows what it cut", () => {
  const rows = [
    ["a", "x".repeat(60), "short"],
    ["b", "\u001B[31myyy\u001B[39m", "z".repeat(20)],
  ];

  const lines = renderTable(columns, rows, true, 50).trimEnd().split("\n");

  expect(lines.map((line) => stripVTControlCharacters(line))).toEqual([
    "NAME   STATE                  MORE",
    `a      ${"x".repeat(19)}…   short`,
    `b      yyy                    ${"z".repeat(20)}`,
  ]);
});

it("is wider than the terminal rather than unreadable", () => {
  const rows = [["x".repeat(30), "y".repeat(30), ""]];

  expect(renderTable(columns, rows, false, 10).split("\n")[1]).toBe(
    `${"x".repeat(11)}…   ${"y".repeat(11)}…`,
  );
});

it("keeps the columns of rows that come later", () => {
  const table = new GrowingTable(columns, { wide: false });

  const text =
    table.add([["name", "up", ""]]) + table.add([["longer-name", "up", ""]]) + table.add([["n", "up", ""]]);

  expect(text).toBe("NAME   STATE\nname   up\nlonger-name   up\nn             up\n");
});

it("pads the original's cells to stops of eight, and not at all when they fill theirs", () => {
  const block = {
    cidr: "10.0.0.0/29",
    host: "h",
    revision: 1,
    tenant: "t",
    segment: "s",
    allocated_ip_count: 2,
  };

  const [title, header, row] = originalBlocks([block]).split("\n");

  expect(title).toBe("Block List");
  expect(header).toBe(
    "Block CIDR\tBlock Host\tRevisionBlock Tenant\tBlock Segment\tBlock Allocated IP Count",
  );
  expect(row).toBe("10.0.0.0/29\th\t\t1\tt\t\ts\t\t2");
});

it("lists networks and one level of groups as the original does", () => {
  const text = originalTopology({
    networks: [{ name: "n", cidr: "10.0.0.0/24", tenants: ["a", "b"] }],
    topologies: [
      {
        networks: ["n"],
        map: [{ name: "g", cidr: "10.0.0.0/25", groups: [{ name: "h", ip: "10.1.1.1" }] }],
      },
    ],
  });

  expect(text).toBe(
    "Networks\nName\tCIDR\t\tTenants\nn\t10.0.0.0/24\t[a b]\n\n" +
      "Topology for Network/s: [n]\nName\tCIDR\t\tNodes\t\t\ng\t10.0.0.0/25\th(10.1.1.1), \t\n\n",
  );
});
