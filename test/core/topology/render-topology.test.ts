import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { Cidr } from "../../../src/core/net/cidr.ts";
import { formatIpv4, parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { builtinNames, builtinTopology } from "../../../src/core/topology/builtin.ts";
import type { DocumentHost, Topology } from "../../../src/core/topology/read-topology.ts";
import { renderTopology, type HostsOfLeaf } from "../../../src/core/topology/render-topology.ts";
import type { Host } from "../../../src/core/topology/topology.ts";
import { groupAt, leafPlacesOf } from "../../../src/core/topology/walk-groups.ts";
import { documents, mapOf, read } from "./support.ts";

const noHosts: HostsOfLeaf = () => [];

function hostNamed(name: string, ip: string, tags: Readonly<Record<string, string>> = {}): Host {
  return { name, ip: parseIpv4(ip), agentPort: 9604, tags, origin: "kubernetes" };
}

/** The hosts of the document at their leaves. */
function hostsOfDocument(topology: Topology): HostsOfLeaf {
  const leaves = new Map<string, DocumentHost[]>();
  for (const host of topology.hosts) {
    for (const { network, root } of topology.entries[host.entry]?.networks ?? []) {
      const key = `${network.name} ${groupAt(root, host.path)?.cidr ?? ""}`;
      leaves.set(key, [...(leaves.get(key) ?? []), host]);
    }
  }
  return (network: string, cidr: Cidr) =>
    (leaves.get(`${network} ${cidr}`) ?? []).map(({ name, ip, tags }) => hostNamed(name, ip, tags));
}

const withoutPlaces = ({ hosts }: Topology) => hosts.map((host) => ({ ...host, place: "" }));

describe("renderTopology", () => {
  it("writes an empty topology as the original does", () => {
    expect(renderTopology(read(null), noHosts)).toEqual({ networks: null, topologies: null });
    expect(renderTopology(read({ topologies: [{}] }), noHosts)).toEqual({ networks: null, topologies: null });
  });

  it("fills in ranges, masks, tenants and hosts, and keeps names and the grouping of networks", () => {
    const topology = read({
      networks: [
        { name: "a", cidr: "10.0.0.0/8" },
        { name: "b", cidr: "11.0.0.0/16", block_mask: 28, tenants: ["x"] },
        { name: "c", cidr: "12.0.0.0/30" },
      ],
      topologies: [
        {
          networks: ["b", "a"],
          map: [
            {
              name: "east",
              assignment: { zone: "e" },
              groups: [{ name: "e1", routing: "r" }, { name: "e2", dummy: true }, {}],
            },
            { name: "west" },
          ],
        },
        { networks: ["c"], map: [] },
      ],
    });
    const hosts: HostsOfLeaf = (network, cidr) =>
      network === "b" && cidr === "11.0.0.0/19"
        ? [hostNamed("h1", "198.18.0.1", { zone: "e" }), hostNamed("h2", "198.18.0.2")]
        : [];

    expect(renderTopology(topology, hosts)).toEqual({
      networks: [
        { name: "a", cidr: "10.0.0.0/8", block_mask: 29, tenants: ["*"] },
        { name: "b", cidr: "11.0.0.0/16", block_mask: 28, tenants: ["x"] },
        { name: "c", cidr: "12.0.0.0/30", block_mask: 30, tenants: ["*"] },
      ],
      topologies: [
        {
          networks: ["b", "a"],
          map: [
            {
              name: "east",
              cidr: "11.0.0.0/17",
              assignment: { zone: "e" },
              groups: [
                {
                  name: "e1",
                  cidr: "11.0.0.0/19",
                  routing: "r",
                  groups: [
                    { name: "h1", ip: "198.18.0.1", assignment: { zone: "e" } },
                    { name: "h2", ip: "198.18.0.2" },
                  ],
                },
                { name: "e2", cidr: "11.0.32.0/19", dummy: true },
                { name: "", cidr: "11.0.64.0/19" },
              ],
            },
            { name: "west", cidr: "11.0.128.0/17" },
          ],
        },
        { networks: ["c"], map: [] },
      ],
    });
  });

  it("writes the only group of a map as a group with its hosts under it", () => {
    const topology = read(mapOf({ name: "all", assignment: { zone: "a" } }));

    expect(renderTopology(topology, () => [hostNamed("h", "198.18.0.1")]).topologies?.[0]?.map).toEqual([
      {
        name: "all",
        cidr: "10.0.0.0/8",
        assignment: { zone: "a" },
        groups: [{ name: "h", ip: "198.18.0.1" }],
      },
    ]);
  });

  it.for([
    [{ name: "/" }],
    [{ name: "/", groups: [{ name: "a" }] }],
    [{ name: "/", groups: [{ name: "a" }, { name: "b" }] }],
    [{ name: "/", assignment: { zone: "a" }, groups: [{ name: "a" }, { name: "b" }] }],
    [{ name: "/", routing: "r", groups: [{ name: "a" }, { name: "b" }] }],
    [{ name: "/", dummy: true, groups: [{ name: "a" }, { name: "b" }] }],
    [{ name: "/" }, { name: "/" }],
  ])("is not misled by a group that is called like the root: %j", (map) => {
    const first = read(mapOf(...map));

    const second = read(renderTopology(first, noHosts));

    expect(second.entries).toEqual(first.entries);
    expect(second.document).toEqual(first.document);
  });

  it("lists a host of several networks once, and one that only the second network has where that has it", () => {
    const topology = read({
      networks: [
        { name: "a", cidr: "10.0.0.0/8" },
        { name: "b", cidr: "11.0.0.0/8" },
      ],
      topologies: [{ networks: ["a", "b"], map: [{ name: "1" }, { name: "2" }] }],
    });
    const both = hostNamed("both", "198.18.0.1");
    const second = hostNamed("second", "198.18.0.2");
    const hosts = new Map([
      ["10.0.0.0/9", [both]],
      ["11.0.0.0/9", [second]],
      ["11.128.0.0/9", [both]],
    ]);

    const [entry] = renderTopology(topology, (_, cidr) => hosts.get(cidr) ?? []).topologies ?? [];

    expect(entry?.map.map(({ groups }) => groups?.map(({ name }) => name))).toEqual([
      ["both", "second"],
      undefined,
    ]);
  });

  it("reads as the same networks again, with the hosts of the document at the same leaves", () => {
    fc.assert(
      fc.property(documents, (document) => {
        const first = read(document);
        const second = read(JSON.parse(JSON.stringify(renderTopology(first, hostsOfDocument(first)))));

        expect(second.entries).toEqual(first.entries);
        expect(second.networks).toEqual(first.networks);
        expect(withoutPlaces(second)).toEqual(withoutPlaces(first));
        expect(second.document).toEqual(first.document);
        expect(second.warnings.filter(({ message }) => !message.startsWith("the map has no groups"))).toEqual(
          [],
        );
      }),
    );
  });

  it("keeps every host that it learned from elsewhere at its leaf", () => {
    fc.assert(
      fc.property(documents, fc.infiniteStream(fc.nat(3)), (document, counts) => {
        const first = read(document);
        const placed = new Map<string, readonly Host[]>();
        let next = 0;
        for (const [entry, { networks }] of first.entries.entries()) {
          for (const { leaf, path } of networks.flatMap(({ root }) => leafPlacesOf(root).slice(0, 5))) {
            const count = leaf.kind === "group" ? (counts.next().value ?? 0) : 0;
            const hosts = Array.from({ length: count }, () => {
              next += 1;
              return hostNamed(`host-${next}`, formatIpv4(198 * 2 ** 24 + next), {
                entry: `${entry}`,
                path: path.join("."),
              });
            });
            placed.set(leaf.cidr, hosts);
          }
        }

        const second = read(renderTopology(first, (_, cidr) => placed.get(cidr) ?? []));

        expect(second.hosts).toHaveLength(next);
        for (const { entry, path, tags } of second.hosts) {
          expect(tags).toEqual({ entry: `${entry}`, path: path.join(".") });
        }
      }),
    );
  });

  it("gives the built-in documents back", () => {
    for (const name of builtinNames) {
      const first = read(builtinTopology(name));

      expect(read(renderTopology(first, noHosts)).document).toEqual(first.document);
    }
  });
});
