import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

import type { FollowState } from "../../src/ports/cluster.ts";
import { ClusterView } from "../../src/services/cluster/cluster-view.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import type { MetricsSources } from "../../src/telemetry/source-metrics.ts";
import { FakeRoutes } from "../api/fake-routes.ts";
import { serverWithOneHost } from "../api/support.ts";

/** What prom-client keeps of a metric, beyond what its types say. */
interface Kept {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

const followed: FollowState = { problem: "", missingVerb: "", lists: 1, watches: 2, read: 3, unreadable: 0 };
const empty: MetricsSources = {
  addressing: { hostCounts: () => ({ total: 0, unplaced: 0, misplaced: 0 }), blocks: () => undefined },
  routes: new FakeRoutes(),
  store: { silentMs: () => 0 },
  reserved: { overlaps: () => [{ source: "vpc" }] },
  cluster: {
    view: new ClusterView({ follow: () => Promise.resolve(), state: () => followed }),
    source: { state: () => followed },
  },
};

/** The values of one metric by its labels, `{a="b"}`, from the text that a scraper reads. */
async function valuesOf(metrics: Metrics, name: string): Promise<Readonly<Record<string, number>>> {
  const text = await metrics.render();
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return Object.fromEntries(
    lines.map((line) => {
      const [, labels = "", value] = /^[a-z_]+(\{.*\})? (\S+)$/.exec(line) ?? [];
      return [labels, Number(value)];
    }),
  );
}

it("has exactly the metrics of docs/metrics.md, each with its type and labels, its own with their meaning", async () => {
  const metrics = new Metrics("2.0.0");
  metrics.readProcess();
  metrics.read(empty);
  const types = new Map((await metrics.registry.getMetricsAsJSON()).map(({ name, type }) => [name, type]));
  const kept = metrics.registry.getMetricsAsArray() as unknown as readonly Kept[];
  const rows = readFileSync("docs/metrics.md", "utf8").matchAll(
    /^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?)\| ?([^|]*) \|$/gm,
  );

  const documented = [...rows].map(([, name = "", type, labels = "", help]) => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    ...(name.startsWith("romana_") ? { help } : {}),
  }));

  expect(documented.toSorted((a, b) => compare(a.name, b.name))).toEqual(
    kept
      .map(({ name, help, labelNames }) => ({
        name,
        type: String(types.get(name)),
        labels: [...labelNames],
        ...(name.startsWith("romana_") ? { help } : {}),
      }))
      .toSorted((a, b) => compare(a.name, b.name)),
  );
  expect(documented.length).toBeGreaterThan(40);
});

it("says nothing of hosts, addresses and the store where there are none", async () => {
  const metrics = new Metrics("2.0.0");
  metrics.read({ routes: empty.routes });
  const names = metrics.registry.getMetricsAsArray().map(({ name }) => name);

  expect(names.filter((name) => /^romana_(hosts|ipam|store)/.test(name))).toEqual([]);
  expect(names).toEqual(
    expect.arrayContaining(["romana_routes", "romana_alarms", "romana_cloud_calls_total"]),
  );
  expect(await metrics.render()).toContain("romana_build_info");
});

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}

it("counts networks that overlap a range which is taken, by who has it", async () => {
  const metrics = new Metrics("2.0.0");
  metrics.read(empty);

  expect(await valuesOf(metrics, "romana_network_overlaps")).toEqual({
    '{range="service-range"}': 0,
    '{range="vpc"}': 1,
  });
});

it("counts requests by their pattern, never by what was asked for", async () => {
  const { app, metrics } = await serverWithOneHost();

  await app.inject("/hosts/node-1");
  await app.inject("/hosts/node-9");
  await app.inject("/nowhere/at/all");
  await app.inject("/elsewhere");

  expect(await valuesOf(metrics, "romana_http_requests_total")).toEqual({
    '{method="GET",route="/hosts/:name",status="200"}': 1,
    '{method="GET",route="/hosts/:name",status="404"}': 1,
    '{method="GET",route="unknown",status="404"}': 2,
  });
  expect(await valuesOf(metrics, "romana_http_request_duration_seconds_count")).toEqual({
    '{method="GET",route="/hosts/:name"}': 2,
    '{method="GET",route="unknown"}': 2,
  });
  expect(await valuesOf(metrics, "romana_http_requests_in_flight")).toEqual({ "": 0 });
});

it("counts refusals by the limit that was met", async () => {
  const { app, metrics } = await serverWithOneHost({ maxInFlight: 0, maxBodyBytes: 10 });

  await app.inject("/hosts");
  await app.inject("/hosts");

  expect(await valuesOf(metrics, "romana_http_requests_refused_total")).toEqual({
    '{reason="in-flight"}': 2,
  });
});

it("reads hosts, blocks and addresses when it is asked", async () => {
  const { app, metrics } = await serverWithOneHost();
  for (const name of ["a", "b", "c"]) {
    await app.inject({ method: "POST", url: "/address", payload: { name, host: "node-1" } });
  }

  expect(await valuesOf(metrics, "romana_hosts")).toEqual({
    '{state="placed"}': 1,
    '{state="unplaced"}': 0,
    '{state="misplaced"}': 0,
  });
  expect(await valuesOf(metrics, "romana_ipam_addresses")).toEqual({ '{network="prod"}': 3 });
  expect(await valuesOf(metrics, "romana_ipam_blocks_owned")).toEqual({ '{network="prod"}': 1 });

  for (const name of ["a", "b", "c"]) {
    await app.inject({ method: "DELETE", url: `/address?addressName=${name}` });
  }

  expect(await valuesOf(metrics, "romana_ipam_addresses")).toEqual({ '{network="prod"}': 0 });
  expect(await valuesOf(metrics, "romana_ipam_blocks_free")).toEqual({ '{network="prod"}': 1 });
});

it("shows what the addressing side counts as it stands, not summed up again at every look", async () => {
  const metrics = new Metrics("2.0.0");
  const counters = { allocations: 7, releases: 3, lostCompares: 1, groups: 2 };
  metrics.read({ ...empty, counters: () => counters });

  await metrics.render();

  expect(await valuesOf(metrics, "romana_ipam_allocations_total")).toEqual({ "": 7 });
  expect(await valuesOf(metrics, "romana_ipam_lost_compares_total")).toEqual({ "": 1 });
  expect(await valuesOf(metrics, "romana_ipam_transactions_total")).toEqual({ "": 2 });
});

it("counts what the controllers do", async () => {
  const metrics = new Metrics("2.0.0");

  metrics.write("CreateRoute", "done");
  metrics.write("CreateRoute", "done");
  metrics.write("ReplaceRoute", "failed");
  metrics.pass("ok", 0.2);
  metrics.failover({ moved: 3, failed: 1, stranded: 0, seconds: 0.3 });
  metrics.verdict("down");

  expect(await valuesOf(metrics, "romana_route_writes_total")).toEqual({
    '{action="CreateRoute",outcome="done"}': 2,
    '{action="ReplaceRoute",outcome="failed"}': 1,
  });
  expect(await valuesOf(metrics, "romana_passes_total")).toEqual({ '{outcome="ok"}': 1 });
  expect(await valuesOf(metrics, "romana_pass_duration_seconds_sum")).toEqual({ "": 0.2 });
  expect(await valuesOf(metrics, "romana_failovers_total")).toEqual({ "": 1 });
  expect(await valuesOf(metrics, "romana_failover_routes_total")).toEqual({
    '{outcome="moved"}': 3,
    '{outcome="failed"}': 1,
    '{outcome="stranded"}': 0,
  });
  expect(await valuesOf(metrics, "romana_health_verdicts_total")).toEqual({ '{verdict="down"}': 1 });
});

it("shows routes, nodes, alarms and calls as the controller reports them", async () => {
  const metrics = new Metrics("2.0.0");
  metrics.read({ ...empty, store: { silentMs: () => 2500 } });

  expect(await valuesOf(metrics, "romana_routes")).toEqual({ '{state="active"}': 1, '{state="failed"}': 1 });
  expect(await valuesOf(metrics, "romana_health_nodes")).toEqual({
    '{health="up"}': 1,
    '{health="down"}': 1,
  });
  expect(await valuesOf(metrics, "romana_cloud_calls_total")).toEqual({
    '{action="DescribeInstances"}': 12,
    '{action="ReplaceRoute"}': 1,
  });
  expect(await valuesOf(metrics, "romana_leader")).toEqual({ "": 1 });
  expect(await valuesOf(metrics, "romana_store_silent_seconds")).toEqual({ "": 2.5 });
});

it("shows of each kind of the cluster how much is known and whether it is followed", async () => {
  const metrics = new Metrics("2.0.0");
  const view = new ClusterView({ follow: () => Promise.resolve(), state: () => followed });
  view.namespaces.put({
    uid: "u",
    namespace: "",
    name: "prod",
    resourceVersion: "1",
    deleting: false,
    labels: {},
    isolation: undefined,
  });
  const refused = { ...followed, problem: "watch pods: 403 forbidden", missingVerb: "watch pods" };
  const state = (kind: string): FollowState =>
    kind === "pods" ? { ...refused, lists: 3, watches: 9, unreadable: 1 } : followed;
  metrics.read({ ...empty, cluster: { view, source: { state } } });

  const of = async (name: string, labels: string): Promise<number | undefined> =>
    (await valuesOf(metrics, `romana_cluster_${name}`))[labels];
  expect(await of("objects", '{kind="namespaces"}')).toBe(1);
  expect(await of("objects", '{kind="pods"}')).toBe(0);
  expect(await of("lists_total", '{kind="pods"}')).toBe(3);
  expect(await of("watches_total", '{kind="pods"}')).toBe(9);
  expect(await of("unreadable", '{kind="pods"}')).toBe(1);
  expect(await of("problem", '{kind="pods",verb="watch"}')).toBe(1);
  expect(await of("problem", '{kind="pods",verb="list"}')).toBe(0);
  expect(await of("problem", '{kind="nodes",verb="watch"}')).toBe(0);
});

it("is served in Prometheus' text format, however many requests are in flight", async () => {
  const { app } = await serverWithOneHost({ maxInFlight: 0 });

  const response = await app.inject({
    url: "/metrics",
    headers: {
      accept: "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    },
  });

  expect(response.statusCode).toBe(200);
  expect(response.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(response.body).toMatch(/^romana_build_info\{version="2\.0\.0"\} 1$/m);
});

it("counts leaked addresses and what was released of them, and has zeros where nobody looks", async () => {
  const [leading, following] = [new Metrics("2.0.0"), new Metrics("2.0.0")];
  leading.read({ ...empty, leaks: () => ({ leaked: 3, collected: 17 }) });
  following.read({ ...empty, leaks: () => undefined });

  for (const [metrics, leaked, collected] of [
    [leading, 3, 17],
    [following, 0, 0],
  ] as const) {
    expect(await valuesOf(metrics, "romana_addresses_leaked")).toEqual({ "": leaked });
    expect(await valuesOf(metrics, "romana_addresses_collected_total")).toEqual({ "": collected });
  }
});
