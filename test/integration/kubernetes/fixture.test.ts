import { get } from "node:https";
import { createInterface } from "node:readline";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import type { EtcdServer } from "../../support/etcd.ts";
import {
  fixtureObjects,
  namespaceName,
  nodeName,
  podName,
  policyName,
  vocabularyOf,
  type FixtureSize,
} from "../../support/fixture-objects.ts";
import { POLICY_SHAPES, Words } from "../../support/fixture-policies.ts";
import { KubeApiServer, requireKubeApi } from "../../support/kube-api.ts";
import { compact, deleteObjects, startFixtureEtcd, writeObjects } from "../../support/kube-fixture.ts";
import {
  create,
  networkPolicy,
  objectPath,
  patch,
  patchStatus,
  pod,
  remove,
  type KubeObject,
} from "../../support/kube-objects.ts";

const SIZE: FixtureSize = { nodes: 30, pods: 220, namespaces: 5, labelKeys: 30, policies: 60, seed: 1 };

interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly KubeObject[];
}

describe.skipIf(requireKubeApi())("a cluster that was written into etcd", () => {
  let etcd: EtcdServer;
  let server: KubeApiServer;
  beforeAll(async () => {
    etcd = await startFixtureEtcd(SIZE);
    server = await KubeApiServer.start({ etcd });
  });
  afterAll(async () => {
    await server.stop();
    await etcd.stop();
  });

  async function list(path: string): Promise<List> {
    return (await server.call("GET", path)) as List;
  }

  it.for([
    ["Namespace", "/api/v1/namespaces", SIZE.namespaces],
    ["Node", "/api/v1/nodes", SIZE.nodes],
    ["Pod", "/api/v1/pods", SIZE.pods],
    ["NetworkPolicy", "/apis/networking.k8s.io/v1/networkpolicies", SIZE.policies],
  ] as const)(
    "is listed whole by the API server: every %s with its UID and its labels",
    async ([kind, path, count]) => {
      const written = new Map(
        [...fixtureObjects(SIZE)]
          .filter(({ object }) => object.kind === kind)
          .map(({ object }) => [object.metadata.uid, object]),
      );

      const { items } = await list(path);

      const listed = items.filter(({ metadata }) => written.has(metadata.uid));
      expect(listed).toHaveLength(count);
      for (const { metadata, spec } of listed) {
        const object = written.get(metadata.uid);
        expect(metadata.labels).toEqual(object?.metadata.labels);
        expect(spec).toMatchObject(object?.spec ?? {});
      }
    },
  );

  it("is the same for the same seed, and another one for another", () => {
    const text = (size: FixtureSize): string => JSON.stringify([...fixtureObjects(size)]);

    expect(text(SIZE)).toBe(text(SIZE));
    expect(text({ ...SIZE, seed: 2 })).not.toBe(text(SIZE));
  });

  it("takes a patch of a label, of a status and of a spec", async () => {
    const at = (path: string): Promise<KubeObject> => server.call("GET", path) as Promise<KubeObject>;
    const node = { ...(await at(`/api/v1/nodes/${nodeName(3)}`)), apiVersion: "v1", kind: "Node" };
    const stands = await at(`/api/v1/namespaces/${namespaceName(0)}/pods/${podName(0)}`);
    const guard = await at(
      `/apis/networking.k8s.io/v1/namespaces/${namespaceName(0)}/networkpolicies/${policyName(0)}`,
    );

    const labelled = await patch(server, node, { metadata: { labels: { added: "yes" } } });
    const moved = await patchStatus(server, stands, { phase: "Succeeded" });
    const edited = await patch(server, guard, { spec: { podSelector: { matchLabels: { a: "b" } } } });

    expect(labelled.metadata).toMatchObject({ uid: node.metadata.uid, labels: { added: "yes" } });
    expect(moved.status).toMatchObject({ phase: "Succeeded" });
    expect(edited.metadata.generation).toBe((guard.metadata.generation ?? 0) + 1);
  });

  it("is watched from the list on, and deleted", async () => {
    const inside = namespaceName(1);
    const victim = (await list(`/api/v1/namespaces/${inside}/pods`)).items[0];
    const { metadata } = await list("/api/v1/pods?limit=1");
    const gone = deletion(server, `/api/v1/pods?watch=1&resourceVersion=${metadata.resourceVersion}`);
    const object = { ...victim, apiVersion: "v1", kind: "Pod" } as KubeObject;

    await remove(server, object);

    expect(await gone).toMatchObject({
      object: { metadata: { uid: victim?.metadata.uid } },
    });
    expect((await server.request("GET", objectPath(object))).status).toBe(404);
  });

  it("has room for more: a Pod made through the API runs", async () => {
    const made = await create(
      server,
      pod({ namespace: namespaceName(2), name: "new", node: nodeName(0), ip: "100.127.0.1" }),
    );

    expect(made.status).toMatchObject({ phase: "Running", podIPs: [{ ip: "100.127.0.1" }] });
  });

  it("changes past the API server while that is away, with and without etcd's history", async () => {
    const inside = namespaceName(3);
    const pods = (await list(`/api/v1/namespaces/${inside}/pods`)).items.map(({ metadata }) => metadata.name);
    const [gone = "", compactedAway = ""] = pods;
    const beyond = [...fixtureObjects({ ...SIZE, nodes: SIZE.nodes + 1 })].find(
      ({ key }) => key === `/registry/minions/${nodeName(SIZE.nodes)}`,
    );

    await server.kill();
    await deleteObjects(etcd, [`/registry/pods/${inside}/${gone}`]);
    await writeObjects(etcd, beyond === undefined ? [] : [beyond]);
    server.spawn();
    await server.ready();
    await server.kill();
    await deleteObjects(etcd, [`/registry/pods/${inside}/${compactedAway}`]);
    await compact(etcd);
    server.spawn();
    await server.ready();

    const left = (await list(`/api/v1/namespaces/${inside}/pods`)).items.map(({ metadata }) => metadata.name);
    expect(left).toEqual(pods.slice(2));
    expect((await server.request("GET", `/api/v1/nodes/${nodeName(SIZE.nodes)}`)).status).toBe(200);
  });

  it.for(Object.keys(POLICY_SHAPES))("has policies that the API server takes: %s", async (shape) => {
    const words = new Words(new SeededRandom(shape), vocabularyOf(SIZE));
    const policy = networkPolicy(namespaceName(0), "judged", POLICY_SHAPES[shape]?.(words) ?? {});

    const { status, body } = await server.request(
      "POST",
      `/apis/networking.k8s.io/v1/namespaces/${namespaceName(0)}/networkpolicies?dryRun=All&fieldValidation=Strict`,
      { body: policy },
    );

    expect({ status, body }).toMatchObject({ status: 201, body: { spec: policy.spec } });
  });
});

/** The first deletion that a watch tells of; rejects when it ends without one. */
function deletion(server: KubeApiServer, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = get(
      `${server.url}${path}`,
      { ca: server.ca, headers: { authorization: `Bearer ${server.adminToken}` }, agent: false },
      (answer) => {
        const lines = createInterface(answer);
        lines.on("error", reject).once("close", () => reject(new Error("the watch ended")));
        lines.on("line", (line) => {
          const event = JSON.parse(line) as { readonly type: string };
          if (event.type === "DELETED") {
            resolve(event);
            call.destroy();
          }
        });
      },
    );
    call.once("error", reject);
  });
}
