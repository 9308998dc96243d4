import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { CreateRouteCommand } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { awsTopology } from "../../../src/core/topology/aws-topology.ts";
import { LAB_REGION, MotoLab, until } from "../../support/moto-lab.ts";
import { requireMoto } from "../../support/moto.ts";
import { canMakeNamespaces } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";

const PROGRAM = fileURLToPath(new URL("../../../src/main/cli.ts", import.meta.url));
const withoutLab = requireMoto() || skipUnless(canMakeNamespaces(), "network namespaces and nftables (root)");
/** 12 groups in 3 zones, 3 tables. */
const ROUTES = 36;
/** Inside our network, written by somebody else. */
const FOREIGN = "100.127.0.0/24";

interface Document {
  readonly remove: readonly unknown[];
  readonly removed: readonly unknown[];
  readonly forgotten: readonly unknown[];
  readonly left: readonly { readonly destination: string; readonly reason: string }[];
}

describe.skipIf(withoutLab)("romana uninstall --routes on an EC2 API", { timeout: 60_000 }, () => {
  let lab: MotoLab;
  let store: string;

  beforeAll(async () => {
    lab = await MotoLab.start({ zones: 3, instancesPerZone: 4 });
    store = join(lab.folder, "romana.db");
  }, 120_000);
  afterAll(async () => {
    await lab?.close();
  });

  function start(...args: readonly string[]) {
    const child = spawn(
      process.execPath,
      [
        "--disable-warning=ExperimentalWarning",
        PROGRAM,
        "uninstall",
        "--routes",
        "--yes",
        "--cloud=aws",
        "--cluster=lab",
        `--region=${LAB_REGION}`,
        `--vpc=${lab.vpcId}`,
        `--store=sqlite:${store}`,
        "--leader-ttl=2s",
        ...args,
      ],
      {
        env: {
          ...process.env,
          AWS_ENDPOINT_URL: lab.proxy.endpoint,
          AWS_ACCESS_KEY_ID: "test",
          AWS_SECRET_ACCESS_KEY: "test",
          AWS_EC2_METADATA_DISABLED: "true",
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const ended = new Promise<number | null>((resolve) => {
      child.once("close", (code) => resolve(code));
    });
    const output = Promise.all([ended, text(child.stdout), text(child.stderr)]).then(
      ([code, stdout, stderr]) => ({ code, stdout, stderr }),
    );
    return { kill: () => child.kill("SIGKILL"), output };
  }

  const uninstall = (...args: readonly string[]) => start(...args).output;

  async function standing(): Promise<number> {
    const tables = [...(await lab.allRoutes()).values()];
    return tables.reduce(
      (sum, routes) => sum + [...routes.keys()].filter((cidr) => cidr !== FOREIGN).length,
      0,
    );
  }

  const deletes = (): number => lab.proxy.counts()["DeleteRoute"] ?? 0;

  it("makes no store where there is none", async () => {
    const { code, stderr } = await uninstall();

    expect(code).toBe(3);
    expect(stderr).toContain("nothing is on record");
    expect(existsSync(store)).toBe(false);
  });

  it("refuses while the controller has the store, and changes nothing", async () => {
    const topology = join(lab.folder, "topology.json");
    const document = awsTopology({ region: LAB_REGION, zones: ["a", "b", "c"], groupsPerZone: 4 });
    writeFileSync(topology, JSON.stringify(document));
    const controller = await lab.controller(
      `--store=sqlite:${store}`,
      `--topology=${topology}`,
      "--host-tag=role=node",
      "--cluster=lab",
    );
    await until("every table serves every group", async () => (await standing()) === ROUTES);

    const { code, stderr } = await uninstall();

    expect(code).toBe(4);
    expect(stderr).toContain("another process has it open");
    expect([await standing(), deletes()]).toEqual([ROUTES, 0]);
    expect(await controller.stop()).toBe(0);
  });

  it("shows in a dry run what would go and what stays, and changes nothing", async () => {
    await lab.hand.send(
      new CreateRouteCommand({
        RouteTableId: lab.tables[0],
        DestinationCidrBlock: FOREIGN,
        NetworkInterfaceId: lab.instances[0]?.interfaceId,
      }),
    );

    const { code, stdout } = await uninstall("--dry-run", "-o", "json");

    const document = JSON.parse(stdout) as Document;
    expect([code, document.remove.length, document.removed.length]).toEqual([0, ROUTES, 0]);
    expect(document.left).toMatchObject([{ destination: FOREIGN, reason: "foreign" }]);
    expect([await standing(), deletes()]).toEqual([ROUTES, 0]);
  });

  it("refuses another VPC than that of the records, and forgets nothing", async () => {
    const { code, stderr } = await uninstall("--vpc=vpc-0123456789abcdef0");

    expect(code).not.toBe(0);
    expect(stderr).toMatch(/none of the 3 route tables on record|there is no such VPC/);
    expect((JSON.parse((await uninstall("--dry-run", "-o", "json")).stdout) as Document).remove).toHaveLength(
      ROUTES,
    );
  });

  it("finishes what one that was killed had begun: every route goes, the foreign one and the checks stay", async () => {
    // One at a time, so that the kill meets it in the middle.
    const first = start("--ec2-concurrency=1");
    await until("some are gone", () => deletes() >= 5, 20_000, 5);
    first.kill();
    await first.output;
    const between = await standing();

    const { code, stdout } = await uninstall();

    expect(between).toBeGreaterThan(0);
    expect(between).toBeLessThan(ROUTES);
    expect(code).toBe(0);
    expect(stdout).toContain(FOREIGN);
    expect(await standing()).toBe(0);
    expect([...(await lab.routes()).keys()]).toEqual([FOREIGN]);
    expect(await lab.checksOn()).toEqual([]);
  });

  it("has nothing to do the second time", async () => {
    const before = deletes();

    const { code, stdout } = await uninstall();

    expect(code).toBe(0);
    expect(stdout).toContain("nothing to remove");
    expect(deletes()).toBe(before);
  });
});
