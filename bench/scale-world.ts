import { spawn, type ChildProcessByStdio } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { SeededRandom } from "../src/adapters/simulation/seeded-random.ts";
import { AWS_SETTINGS, SimulatedEc2, type Bucket } from "../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedRegion } from "../src/adapters/simulation/simulated-region.ts";
import { SystemClock } from "../src/adapters/system/system-clock.ts";
import { RomanaClient } from "../src/client/client.ts";
import { parseCidr } from "../src/core/net/cidr.ts";
import { awsTopology } from "../src/core/topology/aws-topology.ts";
import { startSimulatedEndpoint, type SimulatedEndpoint } from "../test/support/simulated-endpoint.ts";

const PROGRAM = fileURLToPath(new URL("../bin/romana", import.meta.url));
const REGION = "us-west-2";
const ZONES = ["a", "b", "c"];
const CLUSTER_TAG = "kubernetes.io/cluster/bench";
const READY_MS = 60_000;
const QUIET_MS = 2_000;
const NO_LIMIT: Bucket = { capacity: 1_000_000, perSecond: 1_000_000 };

export interface ScaleOptions {
  readonly nodes: number;
  readonly groupsPerZone: number;
  readonly store: "memory" | "sqlite";
  /** Flags of the controller beside those that every world gives. */
  readonly flags: readonly string[];
}

/**
 * A simulated region behind an HTTP endpoint of this process, and a real `romana controller`, started by `bin/romana`, that looks at it:
 *
 *     bin/romana controller ──HTTP, EC2's XML──► endpoint ── SimulatedEc2 ── SimulatedRegion
 *          ▲ REST over a unix socket
 *     this process
 *
 * The VPC lies in 127/8, so that nodes answer ICMP. Three zones with a subnet for nodes and two route tables each, one of them for a subnet to come; these six
 * carry the cluster's tag, and the main table does not. Latencies and the lag of Describe are those of `AWS_SETTINGS`; nothing is throttled.
 */
export class ScaleWorld {
  readonly region: SimulatedRegion;
  readonly endpoint: SimulatedEndpoint;
  readonly client: RomanaClient;
  readonly folder: string;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<number | null>;
  #output = "";

  private constructor(
    region: SimulatedRegion,
    endpoint: SimulatedEndpoint,
    folder: string,
    flags: readonly string[],
  ) {
    this.region = region;
    this.endpoint = endpoint;
    this.folder = folder;
    const socket = join(folder, "api.sock");
    this.client = new RomanaClient({
      endpoint: { kind: "unix", path: socket },
      signal: new AbortController().signal,
    });
    this.#child = spawn(
      PROGRAM,
      [
        "controller",
        `--listen=unix:${socket}`,
        "--cloud=aws",
        `--region=${REGION}`,
        `--vpc=${region.vpcId}`,
        "--cluster=bench",
        "--host-tag=role=node",
        `--route-tables=tag:${CLUSTER_TAG}=owned`,
        `--topology=${join(folder, "topology.json")}`,
        // The client's own token bucket, so that a run is short; how many calls are made does not depend on it.
        "--ec2-rate=1000",
        "--ec2-burst=10000",
        ...flags,
      ],
      {
        env: {
          ...process.env,
          AWS_ENDPOINT_URL: endpoint.endpoint,
          AWS_ACCESS_KEY_ID: "test",
          AWS_SECRET_ACCESS_KEY: "test",
          AWS_EC2_METADATA_DISABLED: "true",
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-4_000);
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", (code) => resolve(code));
    });
  }

  /** Builds the region and starts the controller; resolves when its first pass has ended. */
  static async start({ nodes, groupsPerZone, store, flags }: ScaleOptions): Promise<ScaleWorld> {
    const clock = new SystemClock();
    const region = buildRegion(clock, nodes);
    const buckets = Object.fromEntries(Object.keys(AWS_SETTINGS.buckets).map((action) => [action, NO_LIMIT]));
    const ec2 = new SimulatedEc2({
      region,
      clock,
      random: new SeededRandom("scale"),
      settings: { ...AWS_SETTINGS, buckets: buckets as typeof AWS_SETTINGS.buckets },
    });
    const endpoint = await startSimulatedEndpoint({ region, ec2, clock });
    const folder = mkdtempSync(join(tmpdir(), "romana-scale-"));
    const topology = awsTopology({ region: REGION, zones: ZONES, groupsPerZone });
    writeFileSync(join(folder, "topology.json"), JSON.stringify(topology));
    const storeFlag = `--store=${store === "memory" ? "memory" : `sqlite:${join(folder, "romana.db")}`}`;
    const world = new ScaleWorld(region, endpoint, folder, [storeFlag, ...flags]);
    try {
      await world.#until("its first pass has ended", READY_MS, async () => {
        const { lastPass } = await world.client.status();
        return lastPass?.outcome === "ok";
      });
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  /** Process id of the controller; `bin/romana` becomes the program itself. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What `/proc/PID/status` says of the controller's memory, in bytes: `VmRSS` now, `VmHWM` the highest so far. */
  memory(field: "VmRSS" | "VmHWM"): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    if (kibibytes === undefined) {
      throw new Error(`/proc/${this.pid}/status has no ${field}:\n${status}`);
    }
    return Number(kibibytes) * 1024;
  }

  /** Waits until a full pass finds nothing to do and nobody calls EC2 any more. */
  async settled(): Promise<void> {
    let calls = "";
    let quietSince = performance.now();
    await this.#until("a pass plans nothing and no call is made", READY_MS, async () => {
      const now = JSON.stringify(this.endpoint.calls());
      if (now !== calls) {
        calls = now;
        quietSince = performance.now();
      }
      if (performance.now() - quietSince < QUIET_MS) {
        return false;
      }
      const { operations, sourceDestCheck } = await this.client.reconcile();
      return operations.length + sourceDestCheck.length === 0;
    });
  }

  /** Ends the controller and the endpoint, and removes what they wrote. */
  async close(): Promise<void> {
    this.#child.kill("SIGTERM");
    const killer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(killer);
    await this.endpoint.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #until(what: string, withinMs: number, condition: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + withinMs;
    let reason = "";
    while (performance.now() < deadline && this.#child.exitCode === null) {
      try {
        if (await condition()) {
          return;
        }
        reason = "not yet";
      } catch (error) {
        reason = String(error);
      }
      await sleep(50);
    }
    throw new Error(`not within ${withinMs} ms: ${what} (${reason})\n${this.#output}`);
  }
}

function buildRegion(clock: SystemClock, nodes: number): SimulatedRegion {
  const region = new SimulatedRegion({
    clock,
    region: REGION,
    // --vpc takes hexadecimal digits, as AWS gives them.
    vpcId: "vpc-0a1b2c3d4e5f60718",
    vpcCidrs: [parseCidr("127.16.0.0/16")],
  });
  region.addRouteTable({ main: true });
  const tags = { [CLUSTER_TAG]: "owned" };
  const nodeSubnets = ZONES.map((zone, index) => {
    const nodesIn = region.addSubnet(`${REGION}${zone}`, parseCidr(`127.16.${index * 16}.0/20`)).id;
    region.addRouteTable({ subnetIds: [nodesIn], tags });
    region.addRouteTable({ tags });
    return nodesIn;
  });
  for (let index = 0; index < nodes; index += 1) {
    const zone = ZONES[index % ZONES.length] ?? "";
    region.launch({ subnetId: nodeSubnets[index % ZONES.length] ?? "", tags: nodeTags(zone) });
  }
  return region;
}

/** What kOps and an Auto Scaling group put on a node. */
function nodeTags(zone: string): Readonly<Record<string, string>> {
  const group = `nodes-${REGION}${zone}.bench.example.com`;
  return {
    Name: group,
    role: "node",
    KubernetesCluster: "bench",
    [CLUSTER_TAG]: "owned",
    "aws:autoscaling:groupName": group,
    "aws:ec2launchtemplate:id": "lt-0a1b2c3d4e5f60718",
    "aws:ec2launchtemplate:version": "7",
    "k8s.io/cluster-autoscaler/node-template/label/kops.k8s.io/instancegroup": `nodes-${REGION}${zone}`,
    "k8s.io/cluster-autoscaler/node-template/label/node-role.kubernetes.io/node": "",
    "k8s.io/role/node": "1",
    "kops.k8s.io/instancegroup": `nodes-${REGION}${zone}`,
  };
}
