import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { findServiceRanges } from "../../../src/core/cluster/service-range.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { until } from "../../support/moto-lab.ts";

const KOPS = parseCidr("100.64.0.0/13");

interface List {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly cidrs: readonly string[] };
  }[];
}

interface Service {
  readonly spec: { readonly clusterIPs: readonly string[] };
}

describe.skipIf(requireKubeApi())("the service range of a real API server", { timeout: 60_000 }, () => {
  let server: KubeApiServer;
  beforeAll(async () => {
    server = await KubeApiServer.start({ serviceRange: KOPS });
  }, 120_000);
  afterAll(() => server?.stop());

  async function serviceCidrs() {
    const { items } = (await server.call("GET", "/apis/networking.k8s.io/v1/servicecidrs")) as List;
    return items.map(({ metadata, spec }) => ({ name: metadata.name, cidrs: spec.cidrs }));
  }

  /** The API server makes its own service some moments after it is ready. */
  async function apiServiceIps(): Promise<readonly string[]> {
    const path = "/api/v1/namespaces/default/services/kubernetes";
    await until("the API server has its service", async () => {
      const { status } = await server.request("GET", path);
      return status === 200;
    });
    const { spec } = (await server.call("GET", path)) as Service;
    return spec.clusterIPs;
  }

  it("is the same by its objects and, as an older one without them has it, by the address of its own service", async () => {
    const byObjects = findServiceRanges({
      serviceCidrs: await serviceCidrs(),
      apiServiceIps: [],
      flag: undefined,
    });
    const byAddress = findServiceRanges({
      serviceCidrs: [],
      apiServiceIps: await apiServiceIps(),
      flag: undefined,
    });

    expect(byObjects.ranges).toEqual([{ cidr: KOPS, learned: 'of ServiceCIDR "kubernetes"' }]);
    expect(byAddress.ranges).toMatchObject([{ cidr: KOPS }]);
  });

  it("grows with a ServiceCIDR that is added, which leaves a flag for the first one right", async () => {
    await server.call("POST", "/apis/networking.k8s.io/v1/servicecidrs", {
      body: {
        apiVersion: "networking.k8s.io/v1",
        kind: "ServiceCIDR",
        metadata: { name: "more" },
        spec: { cidrs: ["10.200.0.0/16"] },
      },
    });

    expect(
      findServiceRanges({ serviceCidrs: await serviceCidrs(), apiServiceIps: undefined, flag: KOPS }),
    ).toEqual({
      ranges: [
        { cidr: "10.200.0.0/16", learned: 'of ServiceCIDR "more"' },
        { cidr: KOPS, learned: 'of ServiceCIDR "kubernetes"' },
      ],
      warnings: [],
    });
  });
});
