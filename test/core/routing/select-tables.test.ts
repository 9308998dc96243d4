import { describe, expect, it } from "vitest";

import type { CloudFacts, CloudRouteTable } from "../../../src/core/cloud/facts.ts";
import { selectTables, type TableSelector } from "../../../src/core/routing/select-tables.ts";

function table(id: string, overrides: Partial<CloudRouteTable> = {}): CloudRouteTable {
  return { id, main: false, subnetIds: [], tags: {}, routes: [], routeCount: 0, ...overrides };
}

const facts: CloudFacts = {
  vpcId: "vpc-1",
  region: "us-west-2",
  vpcCidrs: [],
  instances: [],
  subnets: [],
  routeTables: [
    table("rtb-main", { main: true }),
    table("rtb-b", { subnetIds: ["subnet-b"], tags: { team: "pods" } }),
    table("rtb-a", { subnetIds: ["subnet-a", "subnet-a2"] }),
    table("rtb-db", { subnetIds: ["subnet-db"], tags: { team: "db" } }),
  ],
};

function select(selector: TableSelector, subnets: readonly string[] = []): readonly string[] {
  return selectTables(facts, selector, new Set(subnets)).map(({ id }) => id);
}

describe("which route tables get routes", () => {
  it("takes the tables of subnets that hold nodes, each once, sorted", () => {
    expect(select({ kind: "cluster" }, ["subnet-b", "subnet-a", "subnet-a2"])).toEqual(["rtb-a", "rtb-b"]);
  });

  it("takes the main table for a subnet that is associated with none", () => {
    expect(select({ kind: "cluster" }, ["subnet-a", "subnet-new"])).toEqual(["rtb-a", "rtb-main"]);
  });

  it("takes none before there is a node", () => {
    expect(select({ kind: "cluster" })).toEqual([]);
  });

  it("takes all of the VPC, those with a tag, or those that are named and exist", () => {
    expect(select({ kind: "vpc" })).toEqual(["rtb-a", "rtb-b", "rtb-db", "rtb-main"]);
    expect(select({ kind: "tag", key: "team", value: "pods" })).toEqual(["rtb-b"]);
    expect(select({ kind: "ids", ids: ["rtb-db", "rtb-gone", "rtb-a"] })).toEqual(["rtb-a", "rtb-db"]);
  });
});
