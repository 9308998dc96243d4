import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import { builtinTopology } from "../../src/core/topology/builtin.ts";
import { chooseInitialTopology, type InitialTopologyParts } from "../../src/services/initial-topology.ts";
import { createLog, type LogLine } from "./support.ts";

function setUp(over: Partial<InitialTopologyParts> & { readonly cloud?: "aws" | "none" } = {}) {
  const asked: string[] = [];
  const lines: LogLine[] = [];
  const parts: InitialTopologyParts = {
    given: undefined,
    config: { cloud: over.cloud ?? "none", kubernetes: { cidrOverrides: [] } },
    inCluster: true,
    serviceIp: () => {
      asked.push("address");
      return Promise.resolve("10.96.0.1");
    },
    zones: () => {
      asked.push("zones");
      return Promise.resolve({ region: "eu-west-1", zones: ["eu-west-1a", "eu-west-1b", "eu-west-1c"] });
    },
    log: createLog(lines),
    ...over,
  };
  return { parts, asked, warnings: () => lines.filter(({ level }) => level === "warn").length };
}

describe("choosing the topology to start with", () => {
  it("takes what is given without asking anybody", async () => {
    const given = { networks: [], topologies: [] };
    const { parts, asked } = setUp({ given, cloud: "aws" });

    expect(await chooseInitialTopology(parts)).toEqual(given);
    expect(asked).toEqual([]);
  });

  it("starts empty outside of a cluster", async () => {
    const { parts, asked } = setUp({ inCluster: false, cloud: "aws" });

    expect(await chooseInitialTopology(parts)).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it("carves for the zones of the region with --cloud=aws", async () => {
    const { parts, asked } = setUp({ cloud: "aws" });

    expect(await chooseInitialTopology(parts)).toMatchObject({
      networks: [{ name: "romana-network", cidr: "100.96.0.0/11" }],
      topologies: [
        {
          map: [
            { name: "failure-domain: eu-west-1a" },
            { name: "failure-domain: eu-west-1b" },
            { name: "failure-domain: eu-west-1c" },
          ],
        },
      ],
    });
    expect(asked).toEqual(["zones"]);
  });

  it("passes on why the zones are not known, and carves nothing", async () => {
    const { parts } = setUp({
      cloud: "aws",
      zones: () => Promise.reject(new NetworkError("invalid", "CLOUD_UNAUTHORIZED", "IAM says no")),
    });

    await expect(chooseInitialTopology(parts)).rejects.toThrow("IAM says no");
  });

  it("takes kubeadm's by the address of the API server, with another range where one is asked for", async () => {
    const cidrOverrides = [{ network: "romana-network", cidr: parseCidr("10.144.0.0/12") }];
    const { parts, asked, warnings } = setUp({ config: { cloud: "none", kubernetes: { cidrOverrides } } });

    expect(await chooseInitialTopology(parts)).toEqual({
      ...builtinTopology("kubeadm"),
      networks: [{ name: "romana-network", cidr: "10.144.0.0/12", block_mask: 29 }],
    });
    expect(asked).toEqual(["address"]);
    expect(warnings()).toBe(0);
  });

  it("warns of another range for a network that the topology does not have", async () => {
    const cidrOverrides = [{ network: "romana", cidr: parseCidr("10.144.0.0/12") }];
    const { parts, warnings } = setUp({ config: { cloud: "none", kubernetes: { cidrOverrides } } });

    expect(await chooseInitialTopology(parts)).toEqual(builtinTopology("kubeadm"));
    expect(warnings()).toBe(1);
  });
});
