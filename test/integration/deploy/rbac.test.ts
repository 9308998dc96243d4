import { readFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

import { requireKubeApi } from "../../support/kube-api.ts";
import { DeployedCluster } from "./cluster.ts";
import { requireTools } from "./manifests.ts";

const rbac = ["rbac", "certs"]
  .map((name) => readFileSync(`deploy/kubernetes/base/${name}.yaml`, "utf8"))
  .join("---\n");

const verbs = [
  "get",
  "list",
  "watch",
  "create",
  "update",
  "patch",
  "delete",
  "deletecollection",
  "impersonate",
  "escalate",
  "bind",
] as const;

/** What the controller may do in every namespace, and nothing beyond it: group/resource, and the verbs. */
const everywhere: Readonly<Record<string, readonly string[]>> = {
  "/nodes": ["get", "list", "watch", "patch"],
  "/nodes/status": ["patch"],
  "/pods": ["get", "list", "watch"],
  "/namespaces": ["get", "list", "watch"],
  "/services": ["get", "list", "watch"],
  "networking.k8s.io/networkpolicies": ["get", "list", "watch"],
  "networking.k8s.io/servicecidrs": ["get", "list", "watch"],
  "discovery.k8s.io/endpointslices": ["get", "list", "watch"],
  "events.k8s.io/events": ["create", "patch"],
  "authentication.k8s.io/tokenreviews": ["create"],
};

/** Kinds that the API server answers for without a list of its own: those that matter most. */
const alsoAsked = ["/users", "/groups", "/serviceaccounts", "rbac.authorization.k8s.io/clusterroles"];

interface Question {
  readonly resource: string;
  readonly verb: string;
  readonly namespace?: string;
  readonly name?: string;
}

describe.skipIf(requireKubeApi() || requireTools("kubectl"))("the roles of deploy/", () => {
  let cluster: DeployedCluster;
  let resources: readonly string[];

  const ask = async (
    user: string,
    { resource, verb, namespace = "", name = "" }: Question,
  ): Promise<boolean> => {
    const [group = "", path = ""] = split(resource, "/");
    const [kind = "", subresource = ""] = split(path, "/");
    const answer = await cluster.server.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user: `system:serviceaccount:kube-system:${user}`,
          resourceAttributes: { group, resource: kind, subresource, verb, namespace, name },
        },
      },
    });
    return z.object({ status: z.looseObject({ allowed: z.boolean() }) }).parse(answer).status.allowed;
  };
  /** Of every resource that the server has, what `user` may do in all namespaces, or in one. */
  const allowed = async (
    user: string,
    namespace?: string,
  ): Promise<Readonly<Record<string, readonly string[]>>> => {
    const answers = await Promise.all(
      resources.map(async (resource) => {
        const may = await Promise.all(
          verbs.map((verb) =>
            ask(user, { resource, verb, ...(namespace === undefined ? {} : { namespace }) }),
          ),
        );
        return [resource, verbs.filter((_, index) => may[index])] as const;
      }),
    );
    return Object.fromEntries(answers.filter(([, may]) => may.length > 0));
  };

  beforeAll(async () => {
    cluster = await DeployedCluster.start("10.96.0.0/12");
    const { ok, text } = cluster.kubectl(["apply", "--filename", "-"], rbac);
    if (!ok) {
      throw new Error(text);
    }
    resources = await resourcesOf(cluster);
  });
  afterAll(() => cluster.stop());

  it("let the controller do what is listed here, and nothing else", async () => {
    expect(resources.length).toBeGreaterThan(100);
    expect(sorted(await allowed("romana-controller"))).toEqual(sorted(everywhere));
  });

  it("let it create Leases in kube-system beside that, and nothing else", async () => {
    expect(sorted(await allowed("romana-controller", "kube-system"))).toEqual(
      sorted({ ...everywhere, "coordination.k8s.io/leases": ["create"] }),
    );
  });

  it.for([
    ["get", "kube-system", "romana-controller", true],
    ["update", "kube-system", "romana-controller", true],
    ["patch", "kube-system", "romana-controller", false],
    ["delete", "kube-system", "romana-controller", false],
    ["get", "kube-system", "kube-scheduler", false],
    ["update", "kube-system", "kube-scheduler", false],
    ["get", "default", "romana-controller", false],
    ["create", "default", "", false],
  ] as const)("say of its %s of the Lease %s/%s: %s", async ([verb, namespace, name, expected]) => {
    const may = await ask("romana-controller", {
      resource: "coordination.k8s.io/leases",
      verb,
      namespace,
      name,
    });

    expect(may).toBe(expected);
  });

  it("let the Job for certificates create in kube-system, change the ConfigMap of authorities, and read no Secret", async () => {
    expect(await allowed("romana-certs")).toEqual({});
    expect(sorted(await allowed("romana-certs", "kube-system"))).toEqual(
      sorted({ "/secrets": ["create"], "/configmaps": ["create"] }),
    );
    const may = async (verb: string, kind: string, name: string): Promise<boolean> =>
      ask("romana-certs", { resource: `/${kind}`, verb, namespace: "kube-system", name });
    expect(await may("get", "secrets", "romana-tls")).toBe(false);
    expect(await may("get", "configmaps", "romana-ca")).toBe(true);
    expect(await may("update", "configmaps", "romana-ca")).toBe(true);
    expect(await may("delete", "configmaps", "romana-ca")).toBe(false);
    expect(await may("get", "configmaps", "kubeadm-config")).toBe(false);
  });

  it("let the agent do nothing at all", async () => {
    expect(await allowed("romana-agent")).toEqual({});
    expect(await allowed("romana-agent", "kube-system")).toEqual({});
  });

  it("hold for requests with the tokens of the accounts", async () => {
    const controller = await cluster.server.tokenOf({ namespace: "kube-system", name: "romana-controller" });
    const agent = await cluster.server.tokenOf({ namespace: "kube-system", name: "romana-agent" });
    const status = async (token: string, method: string, path: string, body?: unknown): Promise<number> =>
      (await cluster.server.request(method, path, { token, ...(body === undefined ? {} : { body }) })).status;

    expect(await status(controller, "GET", "/api/v1/nodes")).toBe(200);
    expect(await status(controller, "GET", "/api/v1/secrets")).toBe(403);
    expect(await status(controller, "DELETE", "/api/v1/nodes/node-1")).toBe(403);
    expect(await status(controller, "GET", "/apis/networking.k8s.io/v1/servicecidrs")).toBe(200);
    expect(await status(agent, "GET", "/api/v1/nodes")).toBe(403);
    expect(await status(agent, "GET", "/api/v1/namespaces/kube-system/pods")).toBe(403);
  });
});

/** `GROUP/RESOURCE[/SUBRESOURCE]` of everything that the server knows. */
async function resourcesOf({ server }: DeployedCluster): Promise<readonly string[]> {
  const groups = z
    .object({
      groups: z.array(
        z.looseObject({ name: z.string(), versions: z.array(z.looseObject({ groupVersion: z.string() })) }),
      ),
    })
    .parse(await server.call("GET", "/apis"));
  const places = [
    ["", "/api/v1"] as const,
    ...groups.groups.flatMap(({ name, versions }) =>
      versions.map(({ groupVersion }) => [name, `/apis/${groupVersion}`] as const),
    ),
  ];
  const lists = await Promise.all(
    places.map(async ([group, path]) => {
      const { resources } = z
        .object({ resources: z.array(z.looseObject({ name: z.string() })) })
        .parse(await server.call("GET", path));
      return resources.map(({ name }) => `${group}/${name}`);
    }),
  );
  return [...new Set([...lists.flat(), ...alsoAsked])];
}

function split(text: string, mark: string): readonly string[] {
  const at = text.indexOf(mark);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}

function sorted(rights: Readonly<Record<string, readonly string[]>>): readonly string[] {
  return Object.entries(rights)
    .map(([resource, may]) => `${resource}: ${may.toSorted().join(" ")}`)
    .toSorted();
}
