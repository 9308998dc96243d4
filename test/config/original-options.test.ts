import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { controllerOptions } from "../../src/config/controller-options.ts";
import { loadControllerConfig } from "../../src/config/load.ts";
import type { Option } from "../../src/config/option.ts";
import { originalOptions } from "../../src/config/original-options.ts";
import { camelCase } from "../../src/config/resolve-options.ts";
import { romanaHere } from "../cli/in-process.ts";

const ours = new Map(
  Object.values<Option<unknown>>(controllerOptions).flatMap(({ name, aliases }) =>
    [name, ...aliases].map((each) => [each, name] as const),
  ),
);
const read = originalOptions.filter(({ here }) => here !== undefined);
const replaced = originalOptions.filter(({ name, here }) => here === undefined && !ours.has(name));

describe("options of the original", () => {
  it.for(read)("are read under their old name: $component --$name", ({ name, here }) => {
    expect(ours.get(name)).toBe(here);
  });

  it.for(replaced)("are answered with what replaces them: $component --$name", ({ name, answer }) => {
    const first = replaced.find((each) => each.name === name);
    const message = `"${name}" was an option of the original's ${first?.component ?? ""}: ${first?.answer ?? ""}`;

    expect(answer).not.toBe("");
    expect(() => loadControllerConfig({ flags: { [camelCase(name)]: "x" }, environment: {} })).toThrow(
      message,
    );
    expect(() =>
      loadControllerConfig({ flags: { config: "f" }, environment: {}, readFile: () => `${name}: x` }),
    ).toThrow(message);
  });

  it("are replaced by options that there are", () => {
    const named = replaced.flatMap(({ answer }) => /^give ([a-z-]+)/.exec(answer)?.[1] ?? []);

    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !ours.has(name))).toEqual([]);
  });

  it.for([["--mtu=1400"], ["--debug", "true"], ["--policies"], ["--etcd_addr", "10.96.0.88"]])(
    "are answered on the command line, with the exit code of wrong use: %s",
    async (args) => {
      const { code, stderr } = await romanaHere(["controller", ...args]);

      expect(code).toBe(2);
      expect(stderr).toContain("was an option of the original's");
    },
  );

  it("do not stand in the help text", async () => {
    const { stdout } = await romanaHere(["controller", "--help"]);

    expect(stdout).toContain("--etcd-endpoints");
    expect(stdout).not.toMatch(/--(mtu|debug|policies|etcd_addr)\b/);
  });
});

describe("docs/migration.md", () => {
  const page = readFileSync("docs/migration.md", "utf8");

  // Chapters 5 and 8 of the manual, and the start scripts and manifests that it links to.
  it.for([
    "romana-daemon",
    "romana-listener",
    "romana-agent",
    "romana-aws",
    "romana-vpcrouter",
    "romana-etcd",
    "romana-route-publisher",
    "romana-dns",
    "route-publisher-config",
    "romana-network-conf",

    "/etc/romana/network",
    "/var/lib/romana/initial-network",
    "/var/lib/romana/etcd-db",
    "/etc/romana/cli.yaml",
    "~/.romana.yaml",
    "/opt/cni/bin/romana",
    "10-romana.conf",
    "/var/run/romana/kubeconfig",
    "/etc/bird/bird.conf",
    "10.96.0.99",
    "100.64.0.99",
    "10.96.0.88",
    "100.64.0.88",
    "9600",
    "12379",
    "9602",
    "9604",
    "9607",
    "33289",
    "4001",
    "romana.io/segment",
    "net.beta.kubernetes.io/networkpolicy",
    "romanavip",
    "romanaip",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node-role.kubernetes.io/master",
    "romana-app: daemon",
    "romana-app: listener",
    "romana-app: agent",
    "romana-app: aws",
    "romana-app: vpcrouter",
    "romana-app: route-publisher",
    "romana-app: etcd",
    "/romana/ipam/data",
    "/romana/lock/ipam",
    "/romana/policies",
    "/romana/romanavip",
    "segmentLabelName",
    "tenantLabelName",
    "syncInterval",
    "nodeAttributes",
    "NODENAME",
    "NODEIP",
    "ROMANA_SERVICE_HOST",
    "ROMANA_SERVICE_PORT_DAEMON",
    "ROMANA_ETCD_SERVICE_HOST",
    "ROMANA_ETCD_SERVICE_PORT_ETCD",
    "KUBERNETES_SERVICE_HOST",
    "RLOG_LOG_LEVEL",
  ])("says what became of %s", (part) => {
    const rows = page
      .split("\n")
      .filter((line) => line.startsWith("|") && line.split("|")[1]?.includes(part) === true);

    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter((row) => (row.split("|")[2] ?? "").trim() === "")).toEqual([]);
  });
});
