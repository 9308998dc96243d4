import { randomUUID } from "node:crypto";

import {
  FULL_FIXTURE,
  fixtureObjects,
  namespaceName,
  podName,
  type StoredObject,
} from "../test/support/fixture-objects.ts";
import { POLICY_SHAPES } from "../test/support/fixture-policies.ts";
import { compact, deleteObjects, writeObjects } from "../test/support/kube-fixture.ts";
import type { KubeLab, LabFollower } from "../test/support/kube-lab.ts";
import type { KubeObject } from "../test/support/kube-objects.ts";
import { until } from "../test/support/moto-lab.ts";
import { bar, summarize, type BenchRow } from "./bench-row.ts";
import {
  highestMemory,
  listsOf,
  placed,
  PolicyStream,
  repeatedly,
  synced,
  withLab,
} from "./kubernetes-world.ts";

const STARTS = 3;
const EDITS = 200;
const POD_UPDATES_PER_SECOND = 200;
const RESTARTS = 3;
/** What happens while the API server is away: policies are edited, added and deleted, nodes come, pods go. */
const CHANGES = { edited: 10, added: 5, deleted: 5, nodes: 5, pods: 10 } as const;
const MEGABYTE = 1e6;
const QUIET = ["--probe=none", "--log-level=warn"];
const COUNTS = {
  nodes: FULL_FIXTURE.nodes,
  pods: FULL_FIXTURE.pods,
  networkpolicies: FULL_FIXTURE.policies,
} as const;
const CLUSTER = `${grouped(COUNTS.nodes)} nodes, ${grouped(COUNTS.pods)} pods, ${grouped(COUNTS.networkpolicies)} policies`;
const MERGE = { contentType: "application/merge-patch+json" } as const;

/** How the controller keeps up with a large cluster: a real API server on a fixture that was written into its etcd (`test/support/kube-fixture.ts`). */
export async function bench(ids: readonly string[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  if (ids.includes("sync-5000")) {
    rows.push(await sync());
  }
  if (ids.includes("rss-5000")) {
    rows.push(await rss());
  }
  if (ids.includes("policy-offered")) {
    rows.push(await policyOffered());
  }
  if (ids.includes("api-restart")) {
    rows.push(await apiRestart());
  }
  return rows;
}

/** From the start of the process, on a cluster that it has never seen and with nothing in its store, until it follows every kind whole. */
async function sync(): Promise<BenchRow> {
  const runs = await withLab({ fixture: FULL_FIXTURE }, async (lab) => {
    const measured: { readonly syncedMs: number; readonly hostsMs: number; readonly policiesMs: number }[] =
      [];
    while (measured.length < STARTS) {
      const follower = await lab.follower({ store: "sqlite", asShipped: true, flags: QUIET });
      const started = performance.now();
      follower.process.launch();
      await follower.process.ready();
      await synced(follower, COUNTS);
      const syncedMs = performance.now() - started;
      await placed(follower, COUNTS.nodes);
      const hostsMs = performance.now() - started;
      await offered(follower);
      measured.push({ syncedMs, hostsMs, policiesMs: performance.now() - started });
      await follower.process.stop();
    }
    return measured;
  });
  const seconds = summarize(runs.map(({ syncedMs }) => syncedMs / 1000));
  const hosts = summarize(runs.map(({ hostsMs }) => hostsMs / 1000));
  const policies = summarize(runs.map(({ policiesMs }) => policiesMs / 1000));
  return {
    id: "sync-5000",
    name:
      `controller started with an empty store until it follows every kind whole, max of ${seconds.count}, ${CLUSTER} ` +
      `(min ${seconds.min.toFixed(1)} s; every host placed after at most ${hosts.max.toFixed(1)} s, every policy offered after ${policies.max.toFixed(1)} s)`,
    ...bar(seconds.max, "s", 15, "at most"),
    peer: "",
    peerFigure: "",
  };
}

/** The highest resident memory, a relist of everything included: the API server is killed and its etcd compacted, so that each watch has to begin anew. */
async function rss(): Promise<BenchRow> {
  return await withLab({ fixture: FULL_FIXTURE }, async (lab) => {
    const flags = { store: "sqlite", asShipped: true, flags: QUIET } as const;
    // `bin/romana` keeps compiled code from the first start on.
    await (await lab.controller(flags)).process.kill("SIGTERM");
    const follower = await lab.controller(flags);
    await synced(follower, COUNTS);
    await placed(follower, COUNTS.nodes);
    await offered(follower);
    const first = highestMemory(follower.process.pid);
    const lists = await listsOf(follower);
    await lab.kube.kill("SIGKILL");
    await compact(lab.etcd);
    lab.kube.spawn();
    await lab.kube.ready();
    await until(
      "every kind was listed again",
      async () => (await listsOf(follower)).every((count, index) => count > (lists[index] ?? 0)),
      60_000,
    );
    await synced(follower, COUNTS);
    const highest = highestMemory(follower.process.pid);
    return {
      id: "rss-5000",
      name: `highest RSS since the start (not the first one), ${CLUSTER}, a relist of every kind included, sqlite (${megabytes(first)} MB before the relist)`,
      ...bar(highest / MEGABYTE, "MB", 450, "at most"),
      peer: "",
      peerFigure: "",
    };
  });
}

/** From the API server's answer to an edit of a policy until its translation came in on the stream. */
async function policyOffered(): Promise<BenchRow> {
  return await withLab({ fixture: FULL_FIXTURE }, async (lab) => {
    const follower = await lab.controller({ store: "etcd", asShipped: true, flags: QUIET });
    await synced(follower, COUNTS);
    await placed(follower, COUNTS.nodes);
    const stream = await offered(follower);
    try {
      const idle = await editPolicies(lab, stream, 0);
      const stop = new AbortController();
      const load = repeatedly(POD_UPDATES_PER_SECOND, (index) => updatePod(lab, index), stop.signal);
      const started = performance.now();
      const busy = await editPolicies(lab, stream, EDITS);
      stop.abort();
      const rate = (await load) / ((performance.now() - started) / 1000);
      return {
        id: "policy-offered",
        name:
          `the API server's answer to a policy edit to its event on the stream, p99 of ${EDITS} edits beside ${rate.toFixed(0)} pod updates/s ` +
          `(median ${busy.median.toFixed(1)}, max ${busy.max.toFixed(1)} ms; idle median ${idle.median.toFixed(1)}, p99 ${idle.p99.toFixed(1)}, max ${idle.max.toFixed(1)} ms), ${CLUSTER}`,
        ...bar(Math.max(idle.p99, busy.p99), "ms", 50, "at most"),
        peer: "",
        peerFigure: "",
      };
    } finally {
      stream.close();
    }
  });
}

async function editPolicies(
  lab: KubeLab,
  stream: PolicyStream,
  firstEdit: number,
): Promise<ReturnType<typeof summarize>> {
  const policies = policiesOf("pods by labels");
  const times: number[] = [];
  for (let edit = 0; edit < EDITS; edit += 1) {
    const { object } = at(policies, edit % policies.length);
    const port = 40_000 + firstEdit + edit;
    const { namespace = "", name } = object.metadata;
    const change = { spec: { ingress: [{ ports: [{ protocol: "TCP", port }] }] } };
    await lab.kube.call(
      "PATCH",
      `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies/${name}`,
      { body: change, ...MERGE },
    );
    const answered = performance.now();
    const seenMs = await stream.seen(idOf(object), (text) => text.includes(String(port)));
    // An event may come before the answer.
    times.push(Math.max(0, seenMs - answered));
  }
  return summarize(times);
}

/** The status of a Pod as its kubelet writes it over and over. */
async function updatePod(lab: KubeLab, index: number): Promise<void> {
  const pod = index % COUNTS.pods;
  const path = `/api/v1/namespaces/${namespaceName(pod % FULL_FIXTURE.namespaces)}/pods/${podName(pod)}/status`;
  await lab.kube.call("PATCH", path, { body: { status: { message: `update ${index}` } }, ...MERGE });
}

/** The API server is killed, its etcd goes on changing as other API servers would change it, and it comes back. */
async function apiRestart(): Promise<BenchRow> {
  return await withLab({ fixture: FULL_FIXTURE }, async (lab) => {
    const follower = await lab.controller({ store: "sqlite", asShipped: true, flags: QUIET });
    await synced(follower, COUNTS);
    await placed(follower, COUNTS.nodes);
    const stream = await offered(follower);
    try {
      const kept: number[] = [];
      const compacted: number[] = [];
      for (let round = 0; round < RESTARTS; round += 1) {
        kept.push(await restart(lab, follower, stream, 2 * round, false));
        compacted.push(await restart(lab, follower, stream, 2 * round + 1, true));
      }
      const [plain, bare] = [summarize(kept), summarize(compacted)];
      return {
        id: "api-restart",
        name:
          `API server killed with -9 and started again: its /readyz until the controller is in sync and has missed none of ${Object.values(CHANGES).reduce((sum, count) => sum + count, 0)} changes, ` +
          `max of ${2 * RESTARTS} (median ${plain.median.toFixed(2)} s, with etcd compacted ${bare.median.toFixed(2)} s), ${CLUSTER}`,
        ...bar(Math.max(plain.max, bare.max), "s", 3, "at most"),
        peer: "",
        peerFigure: "",
      };
    } finally {
      stream.close();
    }
  });
}

async function restart(
  lab: KubeLab,
  follower: LabFollower,
  stream: PolicyStream,
  round: number,
  withCompaction: boolean,
): Promise<number> {
  const port = 50_000 + round;
  const edited = policiesOf("named port")
    .slice(0, CHANGES.edited)
    .map((each) => opening(each, port));
  const deleted = policiesOf("SCTP").slice(round * CHANGES.deleted, (round + 1) * CHANGES.deleted);
  const added = policiesOf("named port")
    .slice(0, CHANGES.added)
    .map((each, index) => renamed(opening(each, port), `added-${round}-${index}`));
  const nodes = nodesBeyond(COUNTS.nodes + round * CHANGES.nodes, CHANGES.nodes);
  const pods = Array.from({ length: CHANGES.pods }, (_, index) => podKey(round * CHANGES.pods + index));

  await lab.kube.kill("SIGKILL");
  await writeObjects(lab.etcd, [...edited, ...added, ...nodes]);
  await deleteObjects(lab.etcd, [...deleted.map(({ key }) => key), ...pods]);
  if (withCompaction) {
    await compact(lab.etcd);
  }
  lab.kube.spawn();
  await lab.kube.ready();

  const ready = performance.now();
  const hosts = COUNTS.nodes + (round + 1) * CHANGES.nodes;
  await Promise.all([
    synced(follower, { nodes: hosts, pods: COUNTS.pods - (round + 1) * CHANGES.pods }),
    placed(follower, hosts),
    ...[...edited, ...added].map(({ object }) =>
      stream.seen(idOf(object), (text) => text.includes(String(port))),
    ),
    ...deleted.map(({ object }) => stream.seen(idOf(object), undefined)),
  ]);
  return (performance.now() - ready) / 1000;
}

/** A stream on which every policy of the fixture has come in. */
async function offered(follower: LabFollower): Promise<PolicyStream> {
  const stream = new PolicyStream(follower.process.port);
  for (const { object } of fixturePolicies()) {
    await stream.seen(idOf(object), () => true, 120_000);
  }
  return stream;
}

/** As it is named on the stream. */
function idOf({ metadata }: KubeObject): string {
  return `kube.${metadata.namespace}.${metadata.name}.${metadata.uid}`;
}

/** The fixture's policies of a shape. */
function policiesOf(shape: keyof typeof POLICY_SHAPES): readonly StoredObject[] {
  const shapes = Object.keys(POLICY_SHAPES);
  return fixturePolicies().filter((_, index) => shapes[index % shapes.length] === shape);
}

function fixturePolicies(): readonly StoredObject[] {
  const size = { ...FULL_FIXTURE, nodes: 0, pods: 0 };
  return [...fixtureObjects(size)].filter(({ object }) => object.kind === "NetworkPolicy");
}

/** So many nodes that are not in the fixture, from that index on. */
function nodesBeyond(index: number, count: number): readonly StoredObject[] {
  const size = { ...FULL_FIXTURE, nodes: index + count, pods: 0, policies: 0 };
  return [...fixtureObjects(size)].filter(({ object }) => object.kind === "Node").slice(index);
}

function podKey(index: number): string {
  return `/registry/pods/${namespaceName(index % FULL_FIXTURE.namespaces)}/${podName(index)}`;
}

/** The policy with one port open, and nothing else. */
function opening({ key, object }: StoredObject, port: number): StoredObject {
  const { podSelector } = object.spec as { readonly podSelector: object };
  const ingress = [{ ports: [{ protocol: "TCP", port }] }];
  return { key, object: { ...object, spec: { podSelector, policyTypes: ["Ingress"], ingress } } };
}

/** The same as another object. */
function renamed({ key, object }: StoredObject, name: string): StoredObject {
  return {
    key: key.replace(/[^/]+$/, name),
    object: { ...object, metadata: { ...object.metadata, name, uid: randomUUID() } },
  };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) {
    throw new RangeError(`there is no item ${index} of ${items.length}`);
  }
  return item;
}

function grouped(value: number): string {
  return value.toLocaleString("en");
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(0);
}
