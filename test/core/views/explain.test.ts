import { describe, expect, it } from "vitest";

import type { HostView, NetworkLayout } from "../../../src/core/ipam/view.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { planRoutes } from "../../../src/core/routing/plan-routes.ts";
import { explainIp } from "../../../src/core/views/explain-ip.ts";
import { explainRoute } from "../../../src/core/views/explain-route.ts";
import type { FailedWrite, RouteFacts } from "../../../src/core/views/route-facts.ts";
import { cluster, type ClusterSketch } from "../../support/routing.ts";

const A = "100.96.0.0/16";
const B = "100.97.0.0/16";
const sketch: ClusterSketch = {
  groups: { [A]: ["a1", "a2", "a3"], [B]: ["b1"] },
  nodes: ["a1@subnet-a", "a2@subnet-a", "a3@subnet-a", "b1@subnet-b"],
  tables: { "rtb-1": [`${A} eni-a1`, `${B} eni-b1`] },
  overrides: { tables: { kind: "vpc" } },
};

/** What is known of a sketch, planned; `failure`: of every write. */
function world(changes: Partial<ClusterSketch> = {}, failure?: FailedWrite) {
  const input = cluster({ ...sketch, ...changes });
  const plan = planRoutes(input);
  const routes: RouteFacts = {
    facts: input.facts,
    plan,
    desired: plan.desired,
    health: input.health,
    readAt: "2026-01-01T00:00:00.000Z",
    quotaOf: () => 500,
    recordOf: (routeTableId, destination) =>
      input.owned.find((each) => each.routeTableId === routeTableId && each.destination === destination)
        ?.target,
    failureOf: () => failure,
  };
  const members = input.hosts.filter(({ name }) => name !== "stranger");
  const hosts = members.map(({ name, ip }): HostView => ({
    name,
    ip,
    agentPort: 9604,
    tags: {},
    origin: "api",
    placed: name !== "a3",
    misplaced: name === "a2",
    reason: name === "a2" ? "its labels no longer fit" : "",
    groups: [],
  }));
  const [tree] = input.trees;
  if (tree === undefined) {
    throw new Error("the sketch has a tree");
  }
  const layout: NetworkLayout = {
    network: { name: "pods", cidr: tree.root.cidr, blockMask: 29, tenants: [] },
    root: tree.root,
    hostsOf: (leaf) =>
      tree.hostsOf(leaf).flatMap((name) => {
        const [first] = hosts;
        return hosts.find((host) => host.name === name) ?? (first === undefined ? [] : { ...first, name });
      }),
    blocksOf: () => [],
  };
  const route = (cidr: string) => explainRoute({ cidr: parseCidr(cidr), layout: [layout], routes });
  const ip = (address: string, holder?: string) =>
    explainIp({
      address: parseIpv4(address),
      layout: [layout],
      hosts,
      blocks: [
        {
          cidr: parseCidr("100.96.0.0/29"),
          host: holder ?? "",
          tenant: holder === undefined ? "" : "t",
          segment: "",
          revision: 1,
          allocated_ip_count: 1,
          network: "pods",
        },
      ],
      holder:
        holder === undefined
          ? undefined
          : {
              name: "pod",
              address: parseIpv4(address),
              network: "pods",
              host: holder,
              tenant: "t",
              segment: "",
            },
      blackouts: [],
      routes,
    });
  return { route, ip, routes };
}

const reasons = (route: ReturnType<ReturnType<typeof world>["route"]>): readonly string[] =>
  route.candidates.map(({ host, verdict, reason }) => `${host} ${verdict} ${reason.split(":")[0]}`);

describe("the nodes of a route", () => {
  it("are the gateway, then stand-ins, then those who cannot, each with the reason", () => {
    const { route } = world({
      groups: { [A]: ["a1", "a2", "a3", "a4", "a5", "a6", "a7"], [B]: ["b1"] },
      nodes: [...sketch.nodes, "a4@subnet-a", "a5@subnet-a", "a6@subnet-b"],
      health: { a3: "suspect" },
      standing: { a4: "leaving" },
      states: { a5: "stopped" },
    });

    expect(reasons(route(A))).toEqual([
      "a1 gateway is the gateway",
      "a2 stand-in answers probes and carries 0 of the plan's routes",
      "a3 no is suspect",
      "a4 no leaves",
      "a5 no EC2 says that its instance does not run",
      "a6 no stands in subnet-b, another subnet than the gateway's",
      "a7 no no running instance of the VPC owns its address",
    ]);
  });

  it("have no stand-in among them while nobody answers", () => {
    const { route, ip } = world({ blind: true });

    expect(route(A).candidates.map(({ verdict }) => verdict)).toEqual(["gateway", "no", "no"]);
    expect(route(A).candidates[1]?.reason).toBe("nobody answers our probes, so nobody is known to be able");
    expect(ip("100.96.0.1", "a2").routes[0]?.standIn).toBe("");
    expect(ip("100.96.0.1", "a2").notes.join()).toContain("no route moves until somebody does");
  });

  it("say so when the gateway was chosen anew, and when it is down and stays", () => {
    expect(world({ down: ["a1"] }).route(A)).toMatchObject({ choice: "chosen" });
    expect(world({ down: ["a1"] }).route(A).candidates[0]?.reason).toContain("ranks first by health");
    const stays = world({ down: ["b1"] }).route(B);
    expect([stays.choice, stays.candidates[0]?.reason]).toEqual([
      "stays",
      "is the gateway, is down, and stays: nobody can take over",
    ]);
    expect(stays.notes).toContain(
      "Nobody can take over: should the gateway die, the route stays and leads nowhere",
    );
  });
});

describe("a route in a table", () => {
  it("that leads elsewhere is pending, and goes where it is going should the node die that it leads to", () => {
    const { route, ip } = world({ down: ["a1"] });
    const gateway = route(A).gateway;

    expect(route(A).tables[0]).toMatchObject({ sync: "pending", ownership: "ours", recorded: "eni-a1" });
    expect(ip("100.96.0.1", "a3").routes[0]).toMatchObject({ sync: "pending", standIn: gateway });
  });

  it("that could not be written has failed, with its tries and the next one", () => {
    const refused = { message: "IAM refuses", attempts: 1, retrySeconds: 0 };
    const { route, ip } = world({ tables: { "rtb-1": [] } }, refused);
    const later = world({ tables: { "rtb-1": [] } }, { ...refused, attempts: 3, retrySeconds: 7 });

    expect(route(A).tables[0]).toMatchObject({ state: "missing", sync: "failed", failure: refused });
    expect(route(A).notes[0]).toBe(
      "rtb-1: the last write failed (1 try): IAM refuses; it is tried again in the next pass",
    );
    expect(later.route(A).notes[0]).toContain("(3 tries): IAM refuses; next try in 7 s");
    expect(ip("100.96.0.1", "a2").routes[0]).toMatchObject({ failure: "IAM refuses", ownership: "missing" });
    expect(ip("100.96.0.1", "a2").notes).toContain(
      "No route leads there from rtb-1: the VPC drops its packets",
    );
  });

  it("that somebody else wrote is a conflict, and one that leads right is adopted", () => {
    const conflict = world({ tables: { "rtb-1": [`${A} nat-1`] }, owned: "none" });
    const adopted = world({ owned: "none" });

    expect(conflict.route(A).tables[0]).toMatchObject({
      sync: "conflict",
      ownership: "foreign",
      target: "nat-1",
      gateway: null,
    });
    expect(conflict.route(A).notes[0]).toContain("it is never changed");
    expect(conflict.ip("100.96.0.1", "a2").routes[0]).toMatchObject({ standIn: "", ownership: "foreign" });
    expect(adopted.route(A).notes[0]).toContain("is adopted in the next pass");
  });

  it("that leads to an instance which is no host of ours names the instance", () => {
    const { ip } = world({
      groups: { [A]: ["a1"] },
      tables: { "rtb-1": ["100.99.0.0/16 eni-a2", "100.100.0.0/16 eni-none"] },
      owned: "none",
    });

    expect(ip("100.99.0.1").routes[0]?.gateway).toMatchObject({ interfaceId: "eni-a2", instanceId: "i-a2" });
    expect(ip("100.100.0.1").routes[0]?.gateway).toMatchObject({ host: "", instanceId: "", zone: "" });
  });

  it("local to the VPC is nobody's to write", () => {
    const { route, ip } = world();

    expect(ip("172.31.9.9").routes[0]).toMatchObject({ ownership: "local", target: "local", gateway: null });
    expect(route("172.31.0.0/16")).toMatchObject({ kind: "outside" });
    expect(route("172.31.0.0/16").tables[0]).toMatchObject({ target: "local" });
  });
});

describe("what is wanted and cannot be had", () => {
  it("is refused with the reason where not even the coarsest plan fits", () => {
    const { route } = world({
      tables: { "rtb-1": [] },
      overrides: { tables: { kind: "vpc" }, quotaOf: () => 2 },
    });

    expect(route(A)).toMatchObject({ kind: "refused", candidates: [] });
    expect(route(A).summary).toContain("cannot be had: the coarsest plan needs");
  });

  it("names a host whose address no instance has", () => {
    const { route, ip } = world({ groups: { [A]: ["a1"], [B]: ["x1"] } });

    expect(route(B)).toMatchObject({ kind: "refused" });
    expect(route(B).summary).toContain(
      "cannot be had: no running instance of the VPC owns the address of x1",
    );
    expect(ip("100.97.0.1").notes.join()).toContain("No route is written for 100.97.0.0/16 (no-interface)");
  });

  it("is a whole subtree where the quota has no room for its groups", () => {
    const { route } = world({
      groups: { "100.96.0.0/17": ["a1"], "100.96.128.0/17": ["a2"] },
      nodes: ["a1@subnet-a", "a2@subnet-a"],
      tables: { "rtb-1": [] },
      overrides: { tables: { kind: "vpc" }, quotaOf: () => 3 },
    });

    expect(route("100.96.0.0/16")).toMatchObject({ kind: "wanted", level: "parent" });
    expect(route("100.96.0.0/16").summary).toContain("all groups below");
    expect(route("100.96.0.0/17")).toMatchObject({ kind: "covered", related: ["100.96.0.0/16"] });
    expect(route("100.96.0.0/16").granularity).toContain("became one route each");
  });

  it("is a block where its host stands in another subnet than the group's gateway", () => {
    const { route } = world({
      groups: { [A]: ["a1", "a2", "b1"] },
      blocks: { b1: ["100.96.0.8/29"] },
      tables: { "rtb-1": [] },
    });

    expect(route("100.96.0.8/29")).toMatchObject({ kind: "wanted", level: "block", gateway: "b1" });
    expect(route("100.96.0.8/29").summary).toContain("a block in");
  });
});

describe("an address", () => {
  it("shows how its host stands", () => {
    const { ip } = world();

    expect(ip("100.96.0.1", "a1").host).toMatchObject({ state: "placed" });
    expect(ip("100.96.0.1", "a2").host).toMatchObject({
      state: "misplaced",
      reason: "its labels no longer fit",
    });
    expect(ip("100.96.0.1", "a3").host).toMatchObject({ state: "unplaced" });
  });

  it("that is free in an empty block is for any owner of its group", () => {
    expect(world().ip("100.96.0.1").summary).toContain("which is empty, for any owner of its group");
    expect(world().ip("100.96.0.1").block).toMatchObject({ state: "returned" });
  });

  it("of the VPC names the instance that has it, if one has", () => {
    const { ip } = world({ nodes: [...sketch.nodes, "stranger@subnet-a"] });

    expect(ip("172.31.9.9")).toMatchObject({ kind: "vpc", notes: [] });
    expect(ip("172.31.0.5")).toMatchObject({
      kind: "vpc",
      notes: ["Instance i-stranger (running, zone-a) has it"],
    });
    expect(ip("172.31.0.1")).toMatchObject({ kind: "node", host: { name: "a1" } });
  });
});
