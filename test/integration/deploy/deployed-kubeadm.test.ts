import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

import { kustomize } from "../../../scripts/deploy-files.ts";
import { judgeAudit } from "../../support/audit.ts";
import { requireEtcd } from "../../support/etcd.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { until } from "../../support/moto-lab.ts";
import { canMakeNamespaces } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";
import { ask, DeployedLab, type DeployedController } from "./deployed-lab.ts";
import { requireTools } from "./manifests.ts";

const CERTS = "/apis/batch/v1/namespaces/kube-system/jobs/romana-certs";
const SECRET = "/api/v1/namespaces/kube-system/secrets/romana-tls";
const AUTHORITIES = "/api/v1/namespaces/kube-system/configmaps/romana-ca";
const ACCOUNTS = ["kube-system/romana-controller", "kube-system/romana-certs"];
const KUBEADM = readFileSync("deploy/rendered/romana-kubeadm.yaml", "utf8");

const dataSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  type: z.string().optional(),
  data: z.record(z.string(), z.string()),
});

const builtin = {
  network: { id: "romana-network", cidr: "10.112.0.0/12" },
  zones: [{}, {}],
  groups: ["10.112.0.0/15", "10.114.0.0/15"],
} as const;
/** What is applied, where its controller keeps its state, and what it makes of two Nodes with these labels. */
const overlays = [
  { name: "kubeadm", text: () => KUBEADM, etcd: "cluster", ...builtin },
  {
    name: "etcd-service",
    text: () => readFileSync("deploy/rendered/etcd-service.yaml", "utf8"),
    etcd: "own",
    ...builtin,
  },
  {
    name: "kubeadm-etcd-standalone",
    text: () => kustomize("deploy/kubernetes/overlays/kubeadm-etcd-standalone"),
    etcd: "own",
    ...builtin,
  },
  {
    name: "custom-network",
    text: () => kustomize("deploy/kubernetes/overlays/custom-network"),
    etcd: "cluster",
    network: { id: "my-network", cidr: "10.112.0.0/15" },
    zones: [{ rack: "rack-1" }, { rack: "rack-2" }],
    groups: ["10.112.0.0/16", "10.113.0.0/16"],
  },
] as const;

const lacks =
  requireKubeApi() ||
  requireEtcd() ||
  requireTools("kubectl", "kustomize") ||
  skipUnless(canMakeNamespaces(), "mount namespaces (root)");

describe.skipIf(lacks)("what is deployed on kubeadm, run as its manifests say", () => {
  let lab: DeployedLab;
  const apply = (text: string, ...flags: readonly string[]): void =>
    expect(lab.cluster.kubectl(["apply", ...flags, "--filename", "-"], text)).toMatchObject({ ok: true });
  const read = async (path: string) => dataSchema.parse(await lab.cluster.server.call("GET", path));
  const authorities = async (): Promise<string> => (await read(AUTHORITIES)).data["ca.crt"] ?? "";
  let runs = 0;
  /** The Job, as a new Pod of it. */
  const certs = async () => {
    const kubelet = lab.kubelet("control-plane", 0);
    const container = await kubelet.run(CERTS, `romana-certs-${(runs += 1)}`);
    return await container.ended;
  };

  beforeAll(async () => {
    lab = await DeployedLab.start({
      serviceRange: "10.96.0.0/12",
      etcd: {
        endpoint: "https://127.0.0.1:2379",
        ca: "/etc/kubernetes/pki/etcd/ca.crt",
        cert: "/etc/kubernetes/pki/apiserver-etcd-client.crt",
        key: "/etc/kubernetes/pki/apiserver-etcd-client.key",
      },
      ownEtcdEndpoint: "https://10.96.0.88:12379",
    });
    apply(KUBEADM);
    apply(lab.etcdSecret());
  });
  afterAll(() => lab?.stop());

  describe("the Job romana-certs", () => {
    it("is waited for: without its Secret the controller's Pod does not start", async () => {
      await expect(lab.controller("too-early")).rejects.toThrow('secrets \\"romana-tls\\" not found');
      await lab.forget();
    });

    it("says what is missing where somebody else put in a Secret and no authority, and touches neither", async () => {
      await lab.cluster.server.call("POST", SECRET.replace(/\/[^/]+$/, ""), {
        body: {
          metadata: { name: "romana-tls", namespace: "kube-system" },
          data: { "tls.crt": "", "tls.key": "" },
        },
      });
      const before = await read(SECRET);

      const { code, stderr } = await certs();

      expect(code).not.toBe(0);
      expect(stderr).toContain("create configmap romana-ca");
      expect(await read(SECRET)).toEqual(before);
      expect((await lab.cluster.server.request("GET", AUTHORITIES)).status).toBe(404);
      await lab.cluster.server.call("DELETE", SECRET);
    });

    it("makes a certificate for the Service by an authority whose key is nowhere", async () => {
      expect(await certs()).toMatchObject({ code: 0, stderr: "" });

      const { type, data } = await read(SECRET);
      const text = (name: string): string => Buffer.from(data[name] ?? "", "base64").toString("utf8");
      const certificate = new X509Certificate(text("tls.crt"));
      expect(type).toBe("kubernetes.io/tls");
      expect(Object.keys(data).toSorted()).toEqual(["ca.crt", "tls.crt", "tls.key"]);
      expect(certificate.checkIP("10.96.0.99")).toBe("10.96.0.99");
      expect(certificate.checkHost("romana.kube-system.svc")).toBe("romana.kube-system.svc");
      expect(certificate.verify(new X509Certificate(text("ca.crt")).publicKey)).toBe(true);
      expect((await authorities()).trim()).toBe(text("ca.crt").trim());
    });

    it("changes nothing when it is run again", async () => {
      const before = [await read(SECRET), await read(AUTHORITIES)];

      const { code, stdout } = await certs();

      expect(code).toBe(0);
      expect(stdout).toContain("stays as it is");
      expect([await read(SECRET), await read(AUTHORITIES)]).toEqual(before);
    });

    it("makes another one where the Secret is gone, and agents go on to trust the former", async () => {
      const former = await authorities();
      await lab.cluster.server.call("DELETE", SECRET);

      expect(await certs()).toMatchObject({ code: 0 });

      const both = await authorities();
      expect(both).toContain(former.trim());
      expect(both.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
      const current = Buffer.from((await read(SECRET)).data["ca.crt"] ?? "", "base64").toString("utf8");
      expect(both.startsWith(current.trim())).toBe(true);
      expect(former).not.toContain(current.trim());
    });

    it.for([
      ["another Secret", "secrets", { metadata: { name: "bootstrap-token-abcdef" } }],
      ["a Secret of another type", "secrets", { metadata: { name: "romana-tls" }, type: "Opaque" }],
      ["another ConfigMap", "configmaps", { metadata: { name: "kubeadm-config" } }],
    ] as const)("has an account that may not create %s", async ([, kind, body]) => {
      const token = await lab.cluster.server.tokenOf({ namespace: "kube-system", name: "romana-certs" });

      const { status, body: answer } = await lab.cluster.server.request(
        "POST",
        `/api/v1/namespaces/kube-system/${kind}?dryRun=All`,
        { token, body },
      );

      expect(status).toBe(422);
      expect(JSON.stringify(answer)).toContain("and nothing else");
    });
  });

  describe.each(overlays)(
    "the controller of $name",
    ({ name, text, etcd, network, zones, groups: ranges }) => {
      let controller: DeployedController;
      let ca: string;
      const nodes = zones.map((labels, index) => ({
        name: `n${index + 1}-${name}`,
        ip: `192.168.1.${index + 1}`,
        labels,
      }));

      beforeAll(async () => {
        apply(text(), "--dry-run=server");
        apply(text());
        ca = await authorities();
        controller = await lab.controller(name);
      });
      afterAll(() => lab.forget());

      it("serves TLS under the Service's name, and leads by the Lease", async () => {
        expect(await ask(controller.port, "GET", "/healthz", { ca })).toMatchObject({ status: 200 });
        await until("it leads", controller.leads);
        // The store's key, which others read, follows the Lease.
        await until("it says so to others", async () => {
          const leader = await controller.client.leader().catch(() => undefined);
          return leader?.url === `https://127.0.0.1:${controller.port}`;
        });
      });

      it("begins with its topology, in the etcd that is chosen", async () => {
        await until("it has a network", async () => (await controller.client.networks()).length > 0);

        expect(await controller.client.networks()).toMatchObject([network]);
        const [used, other] = etcd === "cluster" ? [lab.etcd, lab.ownEtcd] : [lab.ownEtcd, lab.etcd];
        const keys = ["get", "--prefix", "/romana/", "--keys-only"];
        expect(await used.etcdctl(keys)).toContain("/romana/");
        expect((await other.etcdctl(keys)).trim()).toBe("");
      });

      it("makes hosts of Nodes that join", async () => {
        await Promise.all(nodes.map((traits) => lab.join(traits)));

        await until("both are placed", async () => {
          const { hosts } = await controller.client.hosts();
          return hosts.length === 2 && hosts.every(({ placed }) => placed);
        });
        const { hosts } = await controller.client.hosts();
        expect(hosts.map(({ name: host }) => host).toSorted()).toEqual(nodes.map((each) => each.name));
        expect(hosts.map(({ groups }) => groups[0]?.cidr ?? "none").toSorted()).toEqual(ranges);
      });

      it("lets an agent speak for the node of its Pod, and for no other", async () => {
        const [mine = "", other = ""] = nodes.map((each) => each.name);
        const token = await lab.agentToken(mine);
        const body = { ready: true, endpoints: [] };

        expect(await ask(controller.port, "PUT", `/hosts/${mine}/agent`, { ca, token, body })).toMatchObject({
          status: 200,
        });
        expect(await ask(controller.port, "PUT", `/hosts/${other}/agent`, { ca, token, body })).toMatchObject(
          {
            status: 403,
          },
        );
        expect(await ask(controller.port, "GET", "/hosts", { ca })).toMatchObject({ status: 401 });
      });

      it("answers `romana status` in its container, and ends when it is told to", async () => {
        const { code, stdout } = await controller.container.exec("status");
        expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(name) });

        expect(await controller.stop()).toMatchObject({ code: 0 });
        expect(await lab.leaseHolder()).toBe("");
      });
    },
  );

  it("asked for nothing that its roles do not allow, all of it as the accounts of the manifests", () => {
    expect(judgeAudit(lab.cluster.server.audit(), { accounts: ACCOUNTS })).toEqual([]);
  });
});
