import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { buildState } from "../../../src/core/ipam/commit.ts";
import { exportState, importedRecords, type ImportedState } from "../../../src/core/ipam/imported-state.ts";
import { readStateDocument } from "../../../src/core/migration/read-state-document.ts";
import { formatStateDocument, writeStateDocument } from "../../../src/core/migration/state-document.ts";
import { readTopology } from "../../../src/core/topology/read-topology.ts";
import { Cluster, outlineOf } from "../ipam/support.ts";

const document = {
  networks: [
    { name: "pods", cidr: "10.0.0.0/26", block_mask: 30 },
    { name: "vip", cidr: "10.1.0.0/28", block_mask: 32, tenants: ["t0"] },
  ],
  topologies: [
    { networks: ["pods"], map: ["a", "b", "c"].map((zone) => ({ name: zone, assignment: { zone } })) },
    { networks: ["vip"], map: [{ name: "all" }] },
  ],
};
const topology = readTopology(document, { reserved: [] });

function textOf(state: ImportedState, exportedAt = "2026-01-01T00:00:00.000Z"): string {
  const routes = [{ routeTableId: "rtb-1", destination: "10.0.0.0/28", target: "eni-1" }];
  return [
    ...writeStateDocument({ exportedAt, state, tenants: [{ name: "t0" }], policies: [{ id: "p" }], routes }),
  ].join("");
}

/** A cluster after random work: hosts come and go, addresses are taken and released, some ranges are blacked out. */
const clusters = fc
  .array(
    fc.tuple(
      fc.constantFrom("allocate", "release", "add-host", "remove-host", "labels", "blackout"),
      fc.nat(20),
      fc.nat(5),
    ),
    { maxLength: 80 },
  )
  .map((operations) => {
    const cluster = new Cluster(document);
    for (const [kind, name, host] of operations) {
      const hostName = `n${host}`;
      const tags = { zone: "abc"[name % 3] ?? "a", z: "1", a: "2" };
      attempt(() => {
        switch (kind) {
          case "allocate":
            cluster.request({
              name: `pod "${name}"/é`,
              host: hostName,
              tenant: `t${name % 2}`,
              segment: "s",
              ...(name % 3 === 0 ? { pod: { namespace: "t0", name: `p${name}`, uid: `u${name}` } } : {}),
            });
            break;
          case "release":
            cluster.release(`pod "${name}"/é`);
            break;
          case "add-host":
            cluster.addHost(hostName, tags);
            break;
          case "remove-host":
            cluster.removeHost(hostName);
            break;
          case "labels":
            cluster.setLabels(hostName, tags);
            break;
          case "blackout":
            cluster.blackout("pods", `10.0.0.${name * 2}/31`);
        }
      });
    }
    return cluster;
  });

/** Random work asks for much that cannot be had. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof NetworkError)) {
      throw error;
    }
  }
}

describe("the state document", () => {
  it("is the same, byte for byte, after an export, an import into an empty system and another export", () => {
    fc.assert(
      fc.property(clusters, ({ state }) => {
        const first = textOf(exportState(state, topology, 7));
        const { state: read } = readStateDocument(JSON.parse(first));
        const { topology: again, records } = importedRecords(read);
        const rebuilt = buildState(records);

        expect(textOf(exportState(rebuilt, again, read.topologyRevision))).toBe(first);
        expect(outlineOf(rebuilt)).toEqual(outlineOf(state));
      }),
      { numRuns: 60 },
    );
  });

  it("comes out of a parsed document as it was written", () => {
    fc.assert(
      fc.property(clusters, ({ state }) => {
        const text = textOf(exportState(state, topology, 0));

        expect([...formatStateDocument(JSON.parse(text) as object)].join("")).toBe(text);
      }),
      { numRuns: 20 },
    );
  });

  it("does not depend on the order in which labels were set", () => {
    const [one, other] = [
      { x: "1", y: "2" },
      { y: "2", x: "1" },
    ].map((tags) => {
      const cluster = new Cluster(document);
      cluster.addHost("n1", { zone: "a", ...tags });
      return textOf(exportState(cluster.state, topology, 0));
    });

    expect(one).toBe(other);
  });

  it("is an empty one for an empty system", () => {
    const empty = new Cluster();
    const text = textOf(exportState(empty.state, readTopology(null, { reserved: [] }), 0));

    expect(readStateDocument(JSON.parse(text)).state).toEqual(
      exportState(empty.state, readTopology(null, { reserved: [] }), 0),
    );
  });

  it("refuses a version that it does not know, and says which it knows", () => {
    expect(() => readStateDocument({ kind: "romana-state", version: 2 })).toThrow(
      /version 2.*reads version 1/,
    );
  });
});

describe("a state document that contradicts itself", () => {
  interface Shown {
    hosts: Record<string, unknown>[];
    blocks: Record<string, unknown>[];
    addresses: Record<string, unknown>[];
    blackouts: Record<string, unknown>[];
    topologyRevision: unknown;
  }

  function sound(): Shown {
    const cluster = new Cluster(document);
    cluster.addHost("n1", { zone: "a" });
    cluster.addHost("n2", { zone: "b" });
    cluster.allocate("p1", "n1", "t1:s");
    cluster.allocate("p2", "n2", "t1:s");
    cluster.blackout("pods", "10.0.0.60/31");
    return JSON.parse(textOf(exportState(cluster.state, topology, 0))) as Shown;
  }

  const cases: readonly [string, (shown: Shown) => void, RegExp][] = [
    [
      "two hosts of one name",
      (s) => Object.assign(s.hosts[1] ?? {}, { name: "n1" }),
      /hosts\[1\]: host n1 stands already at hosts\[0\]/,
    ],
    [
      "a host in no group",
      (s) =>
        Object.assign(s.hosts[0] ?? {}, { groups: [{ network: "pods", cidr: "10.0.0.48/28", subnet: "" }] }),
      /hosts\[0\]\.groups\[0\]: 10\.0\.0\.48\/28 is no group/,
    ],
    [
      "an unknown origin",
      (s) => Object.assign(s.hosts[0] ?? {}, { origin: "moon" }),
      /hosts\[0\]\.origin: expected one of/,
    ],
    [
      "a block on a host of another group",
      (s) => Object.assign(s.blocks[0] ?? {}, { owner: { host: "n2", tenant: "t1", segment: "s" } }),
      /blocks\[0\]\.owner: host n2 is not in group/,
    ],
    [
      "a block of another size",
      (s) => Object.assign(s.blocks[0] ?? {}, { cidr: "10.0.0.0/31" }),
      /blocks\[0\]: 10\.0\.0\.0\/31 is no block of network "pods", whose blocks are \/30/,
    ],
    [
      "a block twice",
      (s) => s.blocks.push({ ...s.blocks[0], sequence: 99 }),
      /blocks\[2\]: block 10\.0\.0\.0\/30 stands already at blocks\[0\]/,
    ],
    [
      "an owned block without an address",
      (s) => s.addresses.shift(),
      /blocks\[\d\]\.owner: the block has an owner and no address/,
    ],
    [
      "an address of another owner",
      (s) => Object.assign(s.addresses[0] ?? {}, { tenant: "t9" }),
      /addresses\[0\]: "p1" is of host n1, tenant "t9"/,
    ],
    [
      "an address twice",
      (s) => s.addresses.push({ ...s.addresses[0], name: "p3" }),
      /addresses\[2\]: address 10\.0\.0\.0 stands already/,
    ],
    [
      "a name twice",
      (s) => s.addresses.push({ ...s.addresses[0], address: "10.0.0.1" }),
      /addresses\[2\]: address name "p1" stands already/,
    ],
    [
      "an address in no block",
      (s) => Object.assign(s.addresses[0] ?? {}, { address: "10.0.0.8" }),
      /addresses\[0\]: 10\.0\.0\.8 of "p1" lies in no block/,
    ],
    [
      "a text for an address",
      (s) => Object.assign(s.addresses[0] ?? {}, { address: "ten" }),
      /addresses\[0\]\.address: "ten" is not an IPv4 address/,
    ],
    [
      "a blackout outside its network",
      (s) => Object.assign(s.blackouts[0] ?? {}, { cidrs: ["10.9.0.0/31"] }),
      /blackouts\[0\]\.cidrs\[0\]: 10\.9\.0\.0\/31 is no part/,
    ],
    [
      "a counter that is no number",
      (s) => Object.assign(s, { topologyRevision: -1 }),
      /topologyRevision: expected a whole number/,
    ],
    [
      "a topology that would be refused",
      (s) => Object.assign(s, { topology: { networks: [{ name: "x" }] } }),
      /topology: networks\[0\]/,
    ],
    ["a record that is no object", (s) => s.hosts.push(7 as never), /hosts\[2\]: expected an object/],
    [
      "revisions that are no table",
      (s) => Object.assign(s, { revisionBase: { total: 0, networks: [] } }),
      /revisionBase\.networks: expected an object/,
    ],
    [
      "a name that is missing",
      (s) => Object.assign(s.hosts[0] ?? {}, { name: "" }),
      /hosts\[0\]\.name: a name/,
    ],
    [
      "a host in two groups of one topology",
      (s) => {
        const group = { network: "pods", cidr: "10.0.0.16/28", subnet: "" };
        s.hosts = s.hosts.map((host, index) =>
          index === 0 ? { ...host, groups: [...(host["groups"] as unknown[]), group] } : host,
        );
      },
      /hosts\[0\]\.groups\[\d\]: host n1 stands in another group of the same topology/,
    ],
    ["a sequence of 0", (s) => Object.assign(s.blocks[0] ?? {}, { sequence: 0 }), /blocks\[0\]\.sequence: /],
    [
      "a block of a network that there is not",
      (s) => Object.assign(s.blocks[0] ?? {}, { network: "none" }),
      /blocks\[0\]: 10\.0\.0\.0\/30 is no block of network "none"/,
    ],
    [
      "a Pod without a UID",
      (s) => Object.assign(s.addresses[0] ?? {}, { pod: { namespace: "t0", name: "p" } }),
      /addresses\[0\]\.pod\.uid: a name is missing/,
    ],
    [
      "a Pod that is none",
      (s) => Object.assign(s.addresses[0] ?? {}, { pod: 5 }),
      /addresses\[0\]\.pod: expected an object/,
    ],
    [
      "an address outside every network",
      (s) => Object.assign(s.addresses[0] ?? {}, { address: "10.9.0.8" }),
      /addresses\[0\]: 10\.9\.0\.8 of "p1" lies in no block/,
    ],
    [
      "blackouts that overlap",
      (s) => Object.assign(s.blackouts[0] ?? {}, { cidrs: ["10.0.0.60/31", "10.0.0.60/30"] }),
      /blackouts\[0\]\.cidrs\[1\]: 10\.0\.0\.60\/31 overlaps another/,
    ],
    [
      "a CIDR with host bits",
      (s) => Object.assign(s.blackouts[0] ?? {}, { cidrs: ["10.0.0.61/31"] }),
      /blackouts\[0\]\.cidrs\[0\]: "10\.0\.0\.61\/31" is not an IPv4 network without host bits/,
    ],
    [
      "a CIDR that is none",
      (s) => Object.assign(s.blocks[0] ?? {}, { cidr: 5 }),
      /blocks\[0\]\.cidr: expected a text/,
    ],
  ];

  it("is not the one that the cases start from", () => {
    expect(() => readStateDocument(sound())).not.toThrow();
  });

  it.for(cases)("is refused at the place of %s", ([, damage, message]) => {
    const shown = sound();
    damage(shown);

    expect(() => readStateDocument(shown)).toThrow(message);
  });
});
