import { readFileSync } from "node:fs";

import { DescribeRouteTablesCommand, EC2Client } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { judgeAudit } from "../../support/audit.ts";
import { requireEtcd } from "../../support/etcd.ts";
import { InstanceMetadataServer } from "../../support/instance-metadata.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { until } from "../../support/moto-lab.ts";
import { LAB_REGION, MotoVpc } from "../../support/moto-vpc.ts";
import { requireMoto, startMoto, type Moto } from "../../support/moto.ts";
import { canMakeNamespaces } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";
import { ask, DeployedLab, type DeployedController } from "./deployed-lab.ts";
import { requireTools } from "./manifests.ts";

const CERTS = "/apis/batch/v1/namespaces/kube-system/jobs/romana-certs";
const UNINSTALL = "/apis/batch/v1/namespaces/kube-system/jobs/romana-uninstall-routes";
const ACCOUNTS = ["kube-system/romana-controller", "kube-system/romana-certs"];
const KOPS = readFileSync("deploy/rendered/romana-kops.yaml", "utf8");
const ZONES = 2;
/** A term (5 s) and the fifth of it by which the next one waits longer, and what a start takes on a busy machine. */
const LEASE_OVER_MS = 30_000;

const lacks =
  requireKubeApi() ||
  requireEtcd() ||
  requireMoto() ||
  requireTools("kubectl") ||
  skipUnless(canMakeNamespaces(), "mount namespaces (root)");

describe.skipIf(lacks)("what is deployed with kOps on AWS, run as its manifests say", () => {
  let lab: DeployedLab;
  let moto: Moto;
  let metadata: InstanceMetadataServer;
  let hand: EC2Client;
  let vpc: MotoVpc;
  let first: DeployedController;
  let second: DeployedController;
  let runs = 0;
  const apply = (text: string, ...flags: readonly string[]): void =>
    expect(lab.cluster.kubectl(["apply", ...flags, "--filename", "-"], text)).toMatchObject({ ok: true });
  const job = async (path: string, ...more: readonly string[]) => {
    const kubelet = lab.kubelet("control-plane", 0);
    const container = await kubelet.run(path, `job-${(runs += 1)}`, more);
    return await container.ended;
  };
  /** Routes into the pods' range, over all tables of the VPC. */
  const routes = async (): Promise<readonly string[]> => {
    const { RouteTables = [] } = await hand.send(
      new DescribeRouteTablesCommand({ RouteTableIds: vpc.tables }),
    );
    return RouteTables.flatMap(({ Routes = [] }) =>
      Routes.flatMap(({ DestinationCidrBlock: cidr = "" }) =>
        /^100\.(9[6-9]|1[01]\d|12[0-7])\./.test(cidr) ? [cidr] : [],
      ),
    );
  };

  beforeAll(async () => {
    moto = await startMoto();
    hand = new EC2Client({
      endpoint: moto.endpoint,
      region: LAB_REGION,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    });
    // Addresses that this machine answers for, so that probes find every node alive.
    vpc = await MotoVpc.create(hand, "127.16", ZONES);
    metadata = await InstanceMetadataServer.start(LAB_REGION, vpc.id);
    lab = await DeployedLab.start({
      serviceRange: "100.64.0.0/13",
      etcd: {
        endpoint: "https://127.0.0.1:4001",
        ca: "/srv/kubernetes/kube-apiserver/etcd-ca.crt",
        cert: "/srv/kubernetes/kube-apiserver/etcd-client.crt",
        key: "/srv/kubernetes/kube-apiserver/etcd-client.key",
      },
      ownEtcdEndpoint: "https://100.64.0.88:12379",
      environment: {
        AWS_ENDPOINT_URL: moto.endpoint,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.endpoint,
      },
    });
    apply(KOPS, "--dry-run=server");
    apply(KOPS);
    const certs = await job(CERTS);
    if (certs.code !== 0) {
      throw new Error(certs.stderr);
    }
    first = await lab.controller("first");
  });
  afterAll(async () => {
    await lab?.stop();
    hand?.destroy();
    await metadata?.stop();
    await moto?.stop();
  });

  it("serves TLS, leads by the Lease, and begins with a topology of the region's zones", async () => {
    const { data } = (await lab.cluster.server.call(
      "GET",
      "/api/v1/namespaces/kube-system/configmaps/romana-ca",
    )) as { readonly data: Readonly<Record<string, string>> };
    expect(await ask(first.port, "GET", "/healthz", { ca: data["ca.crt"] ?? "" })).toMatchObject({
      status: 200,
    });
    await until("it leads", first.leads);
    await until("it has a network", async () => (await first.client.networks()).length > 0);

    expect(await first.client.networks()).toMatchObject([{ id: "romana-network", cidr: "100.96.0.0/11" }]);
    const topology = JSON.stringify(await first.client.topology());
    for (const zone of ["a", "b", "c", "d", "e", "f"]) {
      expect(topology).toContain(`${LAB_REGION}${zone}`);
    }
  });

  it("makes hosts of Nodes, and routes to their groups with the credentials of the instance's role", async () => {
    for (let zone = 0; zone < ZONES; zone += 1) {
      const { name, id, address, zone: zoneName } = await vpc.run(zone, `127.16.${zone}.10`);
      await lab.join({ name, ip: address, zone: zoneName, instance: id });
    }

    await until("both are placed", async () => {
      const { hosts } = await first.client.hosts();
      return hosts.length === ZONES && hosts.every(({ placed }) => placed);
    });
    await until("every table leads to every group", async () => (await routes()).length === ZONES * ZONES);
    expect(new Set(await routes()).size).toBe(ZONES);
  });

  it("takes an agent's token of its node", async () => {
    const [host] = (await first.client.hosts()).hosts;
    const name = host?.name ?? "";
    const token = await lab.agentToken(name);

    expect(
      await ask(first.port, "PUT", `/hosts/${name}/agent`, { token, body: { ready: true, endpoints: [] } }),
    ).toMatchObject({ status: 200 });
  });

  it("is upgraded one replica after the other, and goes back: routes, hosts and addresses stay", async () => {
    const [host] = (await first.client.hosts()).hosts;
    const before = await routes();
    const address = await first.client.allocate({
      name: "before",
      host: host?.name ?? "",
      tenant: "default",
      segment: "default",
    });
    const newer = KOPS.replaceAll("romana/romana:v2.0.0", "romana/romana:v2.0.1").replace(
      "- --cloud=aws\n",
      "- --cloud=aws\n        - --interval=20s\n",
    );
    expect(newer).toContain("--interval=20s");
    second = await lab.controller("second");

    // The Job of before is gone, as its time to live says; an API server alone does not end it.
    const gone = lab.cluster.kubectl(["-n", "kube-system", "delete", "job", "romana-certs"]);
    expect(gone).toMatchObject({ ok: true });
    apply(newer, "--dry-run=server");
    apply(newer);
    expect(await job(CERTS)).toMatchObject({ code: 0, stdout: expect.stringContaining("stays as it is") });
    expect(await first.stop()).toMatchObject({ code: 0 });
    first = await lab.controller("first-of-2-0-1");
    await until("the other one leads", second.leads);
    expect(await second.stop()).toMatchObject({ code: 0 });
    await until("the new one leads", first.leads);
    expect(await first.client.addresses()).toMatchObject([{ name: "before" }]);

    expect(
      lab.cluster.kubectl([
        "--namespace=kube-system",
        "set",
        "image",
        "deployment/romana-controller",
        "controller=romana/romana:v2.0.0",
      ]),
    ).toMatchObject({ ok: true });
    lab.cluster.kubectl(["-n", "kube-system", "delete", "job", "romana-certs"]);
    apply(KOPS);
    expect(await first.stop()).toMatchObject({ code: 0 });
    first = await lab.controller("first-again");
    await until("it leads", first.leads);
    expect(await first.client.addresses()).toMatchObject([{ name: "before", address }]);
    expect((await first.client.hosts()).hosts).toHaveLength(ZONES);
    expect(await routes()).toEqual(before);
  });

  it("shows in a dry run of the Job what would go, beside a controller that leads", async () => {
    apply(readFileSync("deploy/kops/uninstall-routes.yaml", "utf8"));

    const { code, stdout } = await job(UNINSTALL, "--dry-run");

    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("would be removed") });
    expect(await routes()).toHaveLength(ZONES * ZONES);
  });

  it("refuses to take the routes away while a controller leads, and says how to stop it", async () => {
    const { code, stderr } = await job(UNINSTALL);

    expect(code).not.toBe(0);
    expect(stderr).toContain("scale deployment/romana-controller --replicas=0");
    expect(stderr).toContain("first-again");
    expect(await routes()).toHaveLength(ZONES * ZONES);
    expect(await first.leads()).toBe(true);
  });

  it("waits until the term of one that was killed is over, then takes them away", async () => {
    await first.stop("SIGKILL");
    expect(await lab.leaseHolder()).toContain("first-again");
    const from = performance.now();

    const { code, stdout } = await job(UNINSTALL);

    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("4 routes removed") });
    expect(performance.now() - from).toBeLessThan(LEASE_OVER_MS);
    expect(await routes()).toEqual([]);
    expect(await lab.leaseHolder()).toBe("");
  });

  it("takes them away at once after one that was told to end", async () => {
    first = await lab.controller("last");
    await until("the routes are back", async () => (await routes()).length === ZONES * ZONES);
    expect(
      lab.cluster.kubectl(["-n", "kube-system", "scale", "deployment/romana-controller", "--replicas=0"]),
    ).toMatchObject({ ok: true });
    expect(await first.stop()).toMatchObject({ code: 0 });
    // Nobody is waited for.
    expect(await lab.leaseHolder()).toBe("");

    expect(await job(UNINSTALL)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("4 routes removed"),
    });
    expect(await routes()).toEqual([]);
  });

  it("asked for nothing that its roles do not allow, all of it as the accounts of the manifests", () => {
    expect(judgeAudit(lab.cluster.server.audit(), { accounts: ACCOUNTS })).toEqual([]);
  });
});
