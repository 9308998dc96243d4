import { readFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { kustomize } from "../../../scripts/deploy-files.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { DeployedCluster } from "./cluster.ts";
import { nameOf, readManifests, requireTools } from "./manifests.ts";

describe.skipIf(requireKubeApi() || requireTools("kubectl", "kustomize", "kubeconform"))(
  "the files for kOps on an API server with the service range 100.64.0.0/13",
  () => {
    let cluster: DeployedCluster;
    beforeAll(async () => {
      cluster = await DeployedCluster.start("100.64.0.0/13");
    });
    afterAll(() => cluster.stop());

    it.for(["deploy/rendered/romana-kops.yaml", "deploy/kubernetes/overlays/kops-etcd-service"])(
      "are taken as they are, dry and in earnest: %s",
      async (path) => {
        const text = path.endsWith(".yaml") ? readFileSync(path, "utf8") : kustomize(path);

        expect(await cluster.conforms(text)).toMatchObject({ ok: true });
        expect(cluster.kubectl(["apply", "--dry-run=server", "--filename", "-"], text)).toMatchObject({
          ok: true,
        });
        expect(cluster.kubectl(["apply", "--filename", "-"], text)).toMatchObject({ ok: true });
        const applied = cluster.applied(text);
        expect(applied.map(nameOf)).toEqual(readManifests(text).map(nameOf));
        expect(applied).toMatchObject(readManifests(text));
      },
    );

    it("stand at the documented addresses", async () => {
      const at = async (name: string): Promise<unknown> =>
        await cluster.server.call("GET", `/api/v1/namespaces/kube-system/services/${name}`);

      expect(await at("romana")).toMatchObject({
        spec: { clusterIP: "100.64.0.99", ports: [{ name: "daemon", port: 9600 }] },
      });
      expect(await at("romana-etcd")).toMatchObject({
        spec: { clusterIP: "100.64.0.88", ports: [{ name: "etcd", port: 12_379 }] },
      });
    });

    it("are refused where the service range is another one", () => {
      const kubeadm = readFileSync("deploy/rendered/romana-kubeadm.yaml", "utf8").replaceAll(
        "name: romana\n",
        "name: other\n",
      );

      expect(cluster.kubectl(["apply", "--dry-run=server", "--filename", "-"], kubeadm).text).toContain(
        "10.96.0.99",
      );
    });
  },
);
