import { expect, it } from "vitest";

import { readModel } from "../../../src/core/policy/read-model.ts";

const model = {
  id: "romana.p",
  source: { kind: "romana", id: "p" },
  targets: [{ kind: "cidr", cidr: "10.0.0.0/8" }],
  isolates: ["ingress"],
  ingress: [{ peers: [{ kind: "any" }], traffic: [{ protocol: "any" }] }],
  egress: [],
};

const withPeer = (peer: object) => ({ ...model, ingress: [{ ...model.ingress[0], peers: [peer] }] });
const withTraffic = (traffic: object) => ({
  ...model,
  ingress: [{ ...model.ingress[0], traffic: [traffic] }],
});
const pods = { kind: "pods", namespaces: { kind: "named", name: "n" }, pods: [] };

it("reads a model", () => {
  expect(readModel(model)).toEqual(model);
});

it.for([
  ["no object", []],
  ["no id", { ...model, id: undefined }],
  ["another source", { ...model, source: { kind: "chart" } }],
  ["no targets", { ...model, targets: undefined }],
  ["another target", { ...model, targets: [{ kind: "any" }] }],
  ["a direction that there is not", { ...model, isolates: ["sideways"] }],
  ["another peer", withPeer({ kind: "host" })],
  ["a CIDR with host bits", withPeer({ kind: "cidr", cidr: "10.0.0.1/8", except: [] })],
  ["a CIDR without its exceptions", withPeer({ kind: "cidr", cidr: "10.0.0.0/8" })],
  ["Pods without a selector", withPeer({ ...pods, pods: undefined })],
  ["other namespaces", withPeer({ ...pods, namespaces: { kind: "near" } })],
  ["another operator", withPeer({ ...pods, pods: [{ key: "a", operator: "like", values: ["b"] }] })],
  ["In without values", withPeer({ ...pods, pods: [{ key: "a", operator: "in" }] })],
  ["another protocol", withTraffic({ protocol: "quic" })],
  ["TCP without ports", withTraffic({ protocol: "tcp" })],
  ["a port above the last", withTraffic({ protocol: "tcp", ports: [65_536] })],
  ["a range upside down", withTraffic({ protocol: "tcp", ports: [[5, 4]] })],
  ["a range of three", withTraffic({ protocol: "tcp", ports: [[4, 5, 6]] })],
  ["an ICMP code without its type", withTraffic({ protocol: "icmp", code: 4 })],
] as const)("refuses what it does not understand whole: %s", ([, value]) => {
  expect(() => readModel(JSON.parse(JSON.stringify(value)))).toThrow(
    /not a policy model|not an IPv4 network/,
  );
});
