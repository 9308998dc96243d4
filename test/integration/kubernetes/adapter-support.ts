import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { vi } from "vitest";

import { createKubernetes, type Kubernetes } from "../../../src/adapters/kubernetes/create-kubernetes.ts";
import type { FollowTimes } from "../../../src/adapters/kubernetes/reflector.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import type { ClusterKind } from "../../../src/core/cluster/objects.ts";
import { keyOf } from "../../../src/core/cluster/objects.ts";
import type { Logger } from "../../../src/ports/logger.ts";
import { ClusterView } from "../../../src/services/cluster/cluster-view.ts";
import type { ObjectReader } from "../../../src/services/cluster/object-view.ts";
import type { KubeApiServer } from "../../support/kube-api.ts";
import { silentLog } from "../../support/silent-log.ts";

/** Every kind with the path of its collection. */
export const PATHS: Readonly<Record<ClusterKind, string>> = {
  nodes: "/api/v1/nodes",
  pods: "/api/v1/pods",
  namespaces: "/api/v1/namespaces",
  services: "/api/v1/services",
  endpointslices: "/apis/discovery.k8s.io/v1/endpointslices",
  networkpolicies: "/apis/networking.k8s.io/v1/networkpolicies",
  servicecidrs: "/apis/networking.k8s.io/v1/servicecidrs",
};
export const KINDS = Object.keys(PATHS) as readonly ClusterKind[];

export interface Adapter {
  readonly kubernetes: Kubernetes;
  readonly view: ClusterView;
  readonly stop: () => Promise<void>;
}

export interface AdapterOptions {
  /** The administrator's unless given. */
  readonly token?: string;
  /** Of a relay in between. */
  readonly port?: number;
  readonly times?: Partial<FollowTimes>;
  readonly log?: Logger;
}

/** The adapter, following every kind of a real API server. */
export function startAdapter(server: KubeApiServer, options: AdapterOptions = {}): Adapter {
  const { token = server.adminToken, port = server.port, times, log = silentLog } = options;
  const folder = mkdtempSync(join(tmpdir(), "romana-adapter-"));
  const path = join(folder, "kubeconfig");
  const cluster = { server: `https://127.0.0.1:${port}`, "certificate-authority": server.caFile };
  writeFileSync(
    path,
    JSON.stringify({
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user: { token } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      "current-context": "c",
    }),
    { mode: 0o600 },
  );
  const kubernetes = createKubernetes({
    source: { kind: "kubeconfig", path },
    version: "2.0.0-test",
    clock: new SystemClock(),
    log,
    lease: { namespace: "kube-system", name: `lease-${randomUUID()}` },
    ...(times === undefined ? {} : { times }),
  });
  const view = new ClusterView(kubernetes.source);
  view.start();
  return {
    kubernetes,
    view,
    stop: async () => {
      await view.stop();
      kubernetes.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface RawList {
  readonly items: readonly {
    readonly metadata: {
      readonly name: string;
      readonly namespace?: string;
      readonly uid: string;
      readonly resourceVersion: string;
    };
  }[];
}

/** What the API server has of a kind: `namespace/name uid version`. */
export async function listed(server: KubeApiServer, kind: ClusterKind): Promise<readonly string[]> {
  const { items } = (await server.call("GET", PATHS[kind])) as RawList;
  return items
    .map(({ metadata: { name, namespace = "", uid, resourceVersion } }) =>
      [keyOf({ namespace, name }), uid, resourceVersion].join(" "),
    )
    .toSorted();
}

/** The same of what the adapter knows. */
export function known(view: ClusterView, kind: ClusterKind): readonly string[] {
  return [...view[kind].values()]
    .map((object) => [keyOf(object), object.uid, object.resourceVersion].join(" "))
    .toSorted();
}

/** Whether every kind is known as the API server has it. */
export async function inSync(server: KubeApiServer, view: ClusterView): Promise<boolean> {
  for (const kind of KINDS) {
    if (!view[kind].synced || known(view, kind).join() !== (await listed(server, kind)).join()) {
      return false;
    }
  }
  return true;
}

/** Waits until every kind is known as the API server has it. */
export async function waitForSync(server: KubeApiServer, view: ClusterView): Promise<void> {
  await vi.waitFor(
    async () => {
      if (!(await inSync(server, view))) {
        throw new Error("what is known is not what the API server has");
      }
    },
    { timeout: 30_000, interval: 50 },
  );
}

/** Waits for an object. */
export async function waitForObject<T>(view: ObjectReader<T>, key: string): Promise<T> {
  return vi.waitFor(
    () => {
      const object = view.get(key);
      if (object === undefined) {
        throw new Error(`there is no ${key}`);
      }
      return object;
    },
    { timeout: 30_000, interval: 20 },
  );
}

/** A Pod that the API server takes. */
export function podBody(name: string, more: object = {}): object {
  return {
    metadata: { name },
    spec: {
      containers: [{ name: "main", image: "none", ports: [{ name: "http", containerPort: 80 }] }],
      ...more,
    },
  };
}

export function policyBody(name: string, from: object): object {
  return {
    metadata: { name },
    spec: { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from: [from], ports: [{ port: 80 }] }] },
  };
}
