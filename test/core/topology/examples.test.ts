import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { stripComments } from "../../../src/config/strip-comments.ts";
import { builtinTopology } from "../../../src/core/topology/builtin.ts";
import { placeHost } from "../../../src/core/topology/place-host.ts";
import type { Topology } from "../../../src/core/topology/read-topology.ts";
import type { CarvedNetwork, Group } from "../../../src/core/topology/topology.ts";
import { read } from "./support.ts";

const FOLDER = "docs/examples/topologies";
const files = readdirSync(FOLDER);

/** Every example of the manual's sections 4.3.2 (two), 7.2.1 (two) and 8.1.2 (seven). */
const EXAMPLES = [
  "all-hosts.json",
  "four-racks-by-tag.json",
  "host-prefixes.json",
  "kops-us-west-1.json",
  "kubeadm.json",
  "multi-rack.json",
  "multi-zone-multi-rack.json",
  "multiple-networks.json",
  "multiple-topologies.json",
  "single-flat-network.json",
  "tenant-networks.json",
];

const textOf = (file: string) => readFileSync(`${FOLDER}/${file}`, "utf8");
const parse = (text: string): Topology => read(JSON.parse(stripComments(text)));
const topologyOf = (file: string): Topology => parse(textOf(file));

/** The documents of the user's guide. */
const inGuide = [...readFileSync("docs/topology.md", "utf8").matchAll(/^```json\n([^`]+)^```$/gm)].map(
  (match) => match[1] ?? "",
);

/** What a text states: comments `# expect: GROUP CIDR`. GROUP: the names from the top, with slashes; `[index]` where there is no name. */
function statedBy(text: string): readonly string[] {
  return [...text.matchAll(/# expect: (.+)$/gm)].map((match) => match[1] ?? "");
}

interface Line {
  readonly text: string;
  readonly isLeaf: boolean;
}

/** One line `GROUP CIDR` for each group of a network that the document names, and for each reserve. */
function linesOf({ root }: CarvedNetwork): readonly Line[] {
  return root.name === "/" ? below(root, "") : group(root, 0, "");
}

function below({ children }: Group, prefix: string): readonly Line[] {
  return children.flatMap((child, index) => group(child, index, prefix));
}

function group(item: Group, index: number, prefix: string): readonly Line[] {
  const name = item.kind === "reserve" ? "reserve" : item.name || `[${index}]`;
  const isLeaf = item.children.length === 0;
  return [{ text: `${prefix}${name} ${item.cidr}`, isLeaf }, ...below(item, `${prefix}${name}/`)];
}

describe("the examples of the manual", () => {
  it("are all there", () => {
    expect(files.toSorted()).toEqual(EXAMPLES);
  });

  it.for(EXAMPLES)("%s gives the ranges that it states, and no leaf that it does not", (file) => {
    expect(differences(textOf(file))).toEqual([]);
  });

  it.for(EXAMPLES)("%s is read without a warning", (file) => {
    expect(topologyOf(file).warnings).toEqual([]);
  });

  it("of kubeadm and kops are the built-in documents", () => {
    expect(topologyOf("kubeadm.json")).toEqual(read(builtinTopology("kubeadm")));
    expect(topologyOf("kops-us-west-1.json")).toEqual(read(builtinTopology("aws-us-west-1")));
  });

  it("take a host by the labels that they explain", () => {
    const places = (file: string, tags: Record<string, string>) =>
      topologyOf(file).networks.map(({ root }) => placeHost(root, tags, { load: () => 0 })?.leaf.cidr);

    expect(places("four-racks-by-tag.json", { "my-location-tag": "rack-3" })).toEqual(["10.1.128.0/18"]);
    expect(places("multi-rack.json", { rack: "rack-2" })).toEqual(["10.111.64.0/18"]);
    expect(places("multi-zone-multi-rack.json", { zone: "zone-b", rack: "rack-2" })).toEqual([
      "10.111.192.0/18",
    ]);
    expect(places("multi-zone-multi-rack.json", { zone: "zone-b", rack: "rack-3" })).toEqual([undefined]);
    expect(places("multiple-topologies.json", {})).toEqual([
      "10.111.0.0/16",
      "10.222.0.0/16",
      "172.16.0.0/18",
    ]);
  });

  it("keep block masks and tenants as the manual has them", () => {
    const masks = (file: string) => topologyOf(file).networks.map(({ network }) => network.blockMask);

    expect(masks("multiple-networks.json")).toEqual([29, 31]);
    expect(masks("multiple-topologies.json")).toEqual([29, 28, 30]);
    expect(masks("tenant-networks.json")).toEqual([29, 32]);
    expect(topologyOf("tenant-networks.json").networks.map(({ network }) => network.tenants)).toEqual([
      ["web", "app", "db"],
      ["qa", "integration"],
    ]);
  });
});

describe("the documents of the user's guide", () => {
  it("give the ranges that they state, and no leaf that they do not", () => {
    expect(inGuide.length).toBeGreaterThan(1);
    expect(inGuide.flatMap(differences)).toEqual([]);
  });
});

/** Where a document and what it states differ; empty when each stated range is given and each leaf is stated. */
function differences(text: string): readonly string[] {
  const lines = parse(text).networks.flatMap(linesOf);
  const stated = statedBy(text);
  const wrong = stated.filter((line) => !lines.some((actual) => actual.text === line));
  const missing = lines.filter((line) => line.isLeaf && !stated.includes(line.text));
  return [
    ...wrong.map((line) => `states ${line}`),
    ...missing.map((line) => `does not state ${line.text}`),
    ...(stated.length === 0 ? ["states nothing"] : []),
  ];
}
