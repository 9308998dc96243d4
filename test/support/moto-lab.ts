import { execFileSync, spawn, type ChildProcessByStdio } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import {
  AssignPrivateIpAddressesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeRouteTablesCommand,
  EC2Client,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";

import { RomanaClient } from "../../src/client/client.ts";
import type { Endpoint } from "../../src/client/http.ts";
import { startEc2Proxy, type AwsTraits, type Ec2Proxy } from "./ec2-proxy.ts";
import { LAB_REGION, MotoVpc, type LabInstance } from "./moto-vpc.ts";
import { startMoto, type Moto } from "./moto.ts";
import { ProbeNamespace } from "./probe-namespace.ts";

const PROGRAM = fileURLToPath(new URL("../../src/main/cli.ts", import.meta.url));
const READY_MS = 30_000;

export { LAB_REGION, type LabInstance };

export interface LabOptions {
  readonly zones: number;
  readonly instancesPerZone: number;
  readonly traits?: Partial<AwsTraits>;
}

/** A controller process of ours in the lab's namespace. */
export interface LabController {
  readonly client: RomanaClient;
  /** Where its API listens. */
  readonly socket: string;
  readonly pid: number;
  /** Where it serves its REST API. */
  readonly endpoint: Endpoint;
  /** Lines that it logged so far, parsed. */
  readonly log: () => readonly Readonly<Record<string, unknown>>[];
  /** Resolves when its first pass has ended; rejects, and ends it, when that takes too long. */
  readonly ready: () => Promise<void>;
  /** SIGTERM, and its exit code. */
  readonly stop: () => Promise<number | null>;
  readonly kill: () => Promise<void>;
  /** Its exit code, when it ends by itself. */
  readonly ended: () => Promise<number | null>;
  /** `SIGSTOP` makes it stand still until `SIGCONT`. */
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => void;
  /** Everything that it said outside its log. */
  readonly errors: () => string;
}

/**
 * A VPC in moto behind a proxy, instances whose addresses a network namespace answers for, and real controllers in that namespace:
 *
 *     namespace                      │ this process
 *     controller ── veth ────────────┼──► proxy ──► moto ◄── the lab's own hands and eyes
 *        │ ICMP to 127.16.0.0/16     │
 *        ▼ nftables: dead addresses  │ controller's REST API over a unix socket
 */
export class MotoLab {
  readonly instances: LabInstance[] = [];
  readonly namespace = new ProbeNamespace();
  readonly folder = mkdtempSync(join(tmpdir(), "romana-lab-"));
  /** Where this process is reached from the namespace. */
  readonly address: string;
  readonly #moto: Moto;
  readonly proxy: Ec2Proxy;
  /** Goes to moto past the proxy. */
  readonly hand: EC2Client;
  readonly #controllers = new Set<LabController>();
  readonly #veth: string;
  #losesConnects = false;
  #vpc: MotoVpc | undefined;

  private constructor(moto: Moto, proxy: Ec2Proxy, veth: string, address: string) {
    this.#moto = moto;
    this.address = address;
    this.proxy = proxy;
    this.#veth = veth;
    this.hand = new EC2Client({
      endpoint: moto.endpoint,
      region: LAB_REGION,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    });
  }

  get vpcId(): string {
    return this.#built().id;
  }

  get tables(): string[] {
    return this.#built().tables;
  }

  get subnets(): string[] {
    return this.#built().subnets;
  }

  #built(): MotoVpc {
    if (this.#vpc === undefined) {
      throw new Error("the lab has no VPC yet");
    }
    return this.#vpc;
  }

  static async start(options: LabOptions): Promise<MotoLab> {
    const moto = await startMoto();
    const [address, other] = wireOf(process.pid);
    const veth = `romana${process.pid}`.slice(0, 14);
    execFileSync("ip", ["link", "add", veth, "type", "veth", "peer", "name", `${veth}p`]);
    execFileSync("ip", ["addr", "add", `${address}/30`, "dev", veth]);
    execFileSync("ip", ["link", "set", veth, "up"]);
    const proxy = await startEc2Proxy(moto.endpoint, options.traits ?? {}, address);
    const lab = new MotoLab(moto, proxy, veth, address);
    execFileSync("ip", ["link", "set", `${veth}p`, "netns", lab.namespace.name]);
    lab.namespace.run("ip", "addr", "add", `${other}/30`, "dev", `${veth}p`);
    lab.namespace.run("ip", "link", "set", `${veth}p`, "up");
    await lab.#build(options);
    return lab;
  }

  async #build({ zones, instancesPerZone }: LabOptions): Promise<void> {
    this.#vpc = await MotoVpc.create(this.hand, "127.16", zones);
    for (let zone = 0; zone < zones; zone += 1) {
      for (let index = 0; index < instancesPerZone; index += 1) {
        this.instances.push(await this.run(zone, `127.16.${zone}.${index + 10}`));
      }
    }
  }

  /** A new instance with this address; it carries the tags that make it a host. */
  async run(zone: number, address: string): Promise<LabInstance> {
    return await this.#built().run(zone, address);
  }

  /** A further address of the instance's interface. */
  async assign({ interfaceId }: LabInstance, address: string): Promise<void> {
    await this.hand.send(
      new AssignPrivateIpAddressesCommand({ NetworkInterfaceId: interfaceId, PrivateIpAddresses: [address] }),
    );
  }

  /** A subnet of the next zone without a route table of its own: the VPC's main table serves it. Answers that table. */
  async addSubnetOnMain(): Promise<string> {
    await this.#built().addSubnet();
    const { RouteTables } = await this.hand.send(
      new DescribeRouteTablesCommand({
        Filters: [
          { Name: "vpc-id", Values: [this.vpcId] },
          { Name: "association.main", Values: ["true"] },
        ],
      }),
    );
    return RouteTables?.[0]?.RouteTableId ?? "";
  }

  async terminate(instance: LabInstance): Promise<void> {
    await this.hand.send(new TerminateInstancesCommand({ InstanceIds: [instance.id] }));
    this.instances.splice(this.instances.indexOf(instance), 1);
  }

  /** The node falls silent: what is sent to it arrives and is not answered. */
  silence(...addresses: readonly string[]): void {
    this.namespace.add("dead", ...addresses);
  }

  /** Sending to it fails on our side. */
  refuseSending(...addresses: readonly string[]): void {
    this.namespace.add("unsendable", ...addresses);
  }

  /** No new connection to EC2 comes about: what asks for one is lost. Those that stand are closed, one in use after its answer. */
  loseConnects(): void {
    const { hostname, port } = new URL(this.proxy.endpoint);
    this.namespace.nft(`add chain ip probe calling { type filter hook output priority 1; }
      add rule ip probe calling ip daddr ${hostname} tcp dport ${port} tcp flags & (syn | ack) == syn drop`);
    this.#losesConnects = true;
    this.proxy.keepConnections(false);
  }

  /** Connections to EC2 that are asked for and do not stand yet. */
  connecting(): number {
    const { port } = new URL(this.proxy.endpoint);
    const lines = this.namespace.run("ss", "-Htn", "state", "syn-sent", `( dport = :${port} )`).trim();
    return lines === "" ? 0 : lines.split("\n").length;
  }

  heal(): void {
    this.namespace.heal();
    if (this.#losesConnects) {
      this.namespace.nft("flush chain ip probe calling");
      this.proxy.keepConnections(true);
      this.#losesConnects = false;
    }
  }

  /** Routes of one of our tables, straight from moto: destination to interface. Local routes are left out. */
  async routes(routeTableId = this.tables[0] ?? ""): Promise<ReadonlyMap<string, string>> {
    const { RouteTables } = await this.hand.send(
      new DescribeRouteTablesCommand({ RouteTableIds: [routeTableId] }),
    );
    return new Map(
      (RouteTables?.[0]?.Routes ?? []).flatMap(({ DestinationCidrBlock, NetworkInterfaceId }) =>
        DestinationCidrBlock !== undefined && NetworkInterfaceId !== undefined
          ? [[DestinationCidrBlock, NetworkInterfaceId] as const]
          : [],
      ),
    );
  }

  /** Every table's routes in one look. */
  async allRoutes(): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
    const { RouteTables } = await this.hand.send(
      new DescribeRouteTablesCommand({ RouteTableIds: this.tables }),
    );
    return new Map(
      (RouteTables ?? []).map(({ RouteTableId, Routes }) => [
        RouteTableId ?? "",
        new Map(
          (Routes ?? []).flatMap(({ DestinationCidrBlock, NetworkInterfaceId }) =>
            DestinationCidrBlock !== undefined && NetworkInterfaceId !== undefined
              ? [[DestinationCidrBlock, NetworkInterfaceId] as const]
              : [],
          ),
        ),
      ]),
    );
  }

  /** Interfaces of the lab's instances whose Source/Dest check is on. */
  async checksOn(): Promise<string[]> {
    const { NetworkInterfaces } = await this.hand.send(
      new DescribeNetworkInterfacesCommand({ Filters: [{ Name: "vpc-id", Values: [this.vpcId] }] }),
    );
    const ours = new Set(this.instances.map(({ interfaceId }) => interfaceId));
    return (NetworkInterfaces ?? [])
      .filter(
        ({ NetworkInterfaceId, SourceDestCheck }) =>
          ours.has(NetworkInterfaceId ?? "") && SourceDestCheck === true,
      )
      .map(({ NetworkInterfaceId }) => NetworkInterfaceId ?? "");
  }

  /** Starts a controller in the namespace and waits until its first pass has ended. */
  async controller(...flags: readonly string[]): Promise<LabController> {
    const controller = this.launch(...flags);
    await controller.ready();
    return controller;
  }

  /** Starts a controller in the namespace and does not wait for it. */
  launch(...flags: readonly string[]): LabController {
    return this.launchAs("test", ...flags);
  }

  /** Starts a controller whose calls to EC2 are signed with this access key id, and does not wait for it. */
  launchAs(keyId: string, ...flags: readonly string[]): LabController {
    return this.#spawn(keyId, "controller", "--cloud=aws", ...flags);
  }

  /** Starts a stand-alone router in the namespace and waits until its first pass has ended. */
  async router(...flags: readonly string[]): Promise<LabController> {
    const router = this.launchRouter(...flags);
    await router.ready();
    return router;
  }

  /** Starts a stand-alone router in the namespace and does not wait for it. */
  launchRouter(...flags: readonly string[]): LabController {
    return this.#spawn("test", "vpc-router", ...flags);
  }

  #spawn(keyId: string, command: string, ...flags: readonly string[]): LabController {
    const socket = join(this.folder, `api-${this.#controllers.size}-${Date.now()}.sock`);
    const child = spawn(
      "ip",
      [
        "netns",
        "exec",
        this.namespace.name,
        process.execPath,
        "--disable-warning=ExperimentalWarning",
        PROGRAM,
        command,
        `--listen=unix:${socket}`,
        `--region=${LAB_REGION}`,
        `--vpc=${this.vpcId}`,
        ...flags,
      ],
      {
        env: {
          ...process.env,
          AWS_ENDPOINT_URL: this.proxy.endpoint,
          AWS_ACCESS_KEY_ID: keyId,
          AWS_SECRET_ACCESS_KEY: "test",
          AWS_EC2_METADATA_DISABLED: "true",
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const controller = new ControllerProcess(child, { kind: "unix", path: socket });
    this.#controllers.add(controller);
    return controller;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#controllers].map((controller) => controller.kill()));
    this.hand.destroy();
    await this.proxy.close();
    await this.namespace.close();
    execFileSync("sh", ["-c", `ip link delete ${this.#veth} 2>/dev/null || true`]);
    await this.#moto.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Both ends of a /30 of the benchmarking range (RFC 2544, 198.18.0.0/15), which has one for each of 32,768 processes: several labs may stand at once. */
function wireOf(pid: number): readonly [string, string] {
  const at = 4 * (pid % 32_768);
  const net = `198.${18 + (at >> 16)}.${(at >> 8) & 255}`;
  return [`${net}.${(at & 255) + 1}`, `${net}.${(at & 255) + 2}`];
}

class ControllerProcess implements LabController {
  readonly client: RomanaClient;
  readonly endpoint: Endpoint;
  readonly socket: string;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #lines: Readonly<Record<string, unknown>>[] = [];
  readonly #ended: Promise<number | null>;
  #rest = "";
  #errors = "";

  constructor(child: ChildProcessByStdio<null, Readable, Readable>, endpoint: Endpoint) {
    this.#child = child;
    this.endpoint = endpoint;
    this.socket = endpoint.kind === "unix" ? endpoint.path : "";
    this.client = new RomanaClient({ endpoint, signal: new AbortController().signal });
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(-10_000);
    });
    this.#ended = new Promise((resolve) => {
      child.once("close", (code) => resolve(code));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  log(): readonly Readonly<Record<string, unknown>>[] {
    return this.#lines;
  }

  /** Waits until the API says that it is ready. */
  async ready(): Promise<void> {
    const deadline = performance.now() + READY_MS;
    let reason = "";
    while (performance.now() < deadline && this.#child.exitCode === null) {
      try {
        const { lastPass } = await this.client.status();
        if (lastPass !== null) {
          return;
        }
        reason = "no pass has ended";
      } catch (error) {
        reason = String(error);
      }
      await sleep(50);
    }
    await this.kill();
    throw new Error(
      `the controller is not ready: ${reason}\n${this.#errors}\n${JSON.stringify(this.#lines.slice(-20))}`,
    );
  }

  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return await this.#ended;
  }

  ended(): Promise<number | null> {
    return this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(signal);
  }

  errors(): string {
    return this.#errors;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines.filter((each) => each.startsWith("{"))) {
      this.#lines.push(JSON.parse(line) as Record<string, unknown>);
    }
  }
}

/** Waits until `condition` holds, asking every `everyMs`; answers how long it took. Throws with `what` after `withinMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 20_000,
  everyMs = 25,
): Promise<number> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > withinMs) {
      throw new Error(`not within ${withinMs} ms: ${what}`);
    }
    await sleep(everyMs);
  }
  return performance.now() - started;
}
