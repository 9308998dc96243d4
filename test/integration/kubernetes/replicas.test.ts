import { request as send, type IncomingMessage } from "node:http";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import {
  create,
  namespace,
  networkPolicy,
  node,
  patch,
  remove,
  type KubeObject,
} from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { eventsOf, Sight, told, TWO_ZONES } from "./sight.ts";

interface Told {
  readonly event: string;
  readonly id: string;
  /** Of a model. */
  readonly about: string;
}

describe.skipIf(requireKubeApi())("two controllers of one cluster", () => {
  let lab: KubeLab;
  const sights = new Map<LabFollower, Sight>();
  let leading: LabFollower;
  let standing: LabFollower;
  beforeAll(async () => {
    lab = await KubeLab.start();
    leading = await lab.controller({ store: "etcd" });
    await sightOf(leading).leads();
    standing = await lab.controller({ store: "etcd" });
    await sightOf(leading).topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
  });
  afterAll(() => lab.close());

  function sightOf(follower: LabFollower): Sight {
    const sight = sights.get(follower) ?? new Sight(follower);
    sights.set(follower, sight);
    return sight;
  }
  const policyFor = (name: string, port: number): KubeObject =>
    networkPolicy("shop", name, { podSelector: {}, ingress: [{ ports: [{ protocol: "TCP", port }] }] });
  const translated = (follower: LabFollower, policy: KubeObject, port: number): Promise<number> =>
    until(`${policy.metadata.name} allows ${port}`, async () =>
      (await sightOf(follower).modelOf(policy)).includes(String(port)),
    );

  /** Opens the stream of policies; what came so far, whole events alone. */
  async function policiesOf({ process }: LabFollower, revision = "0") {
    const path = `/watch/policies?revision=${revision}`;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      send({ host: "127.0.0.1", port: process.port, path }, resolve).on("error", reject).end();
    });
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    // The replica is killed.
    response.on("error", () => undefined);
    const all = (): readonly Told[] =>
      text
        .split("\n\n")
        .slice(0, -1)
        .map((block) => ({
          event: /^event: (.*)$/m.exec(block)?.[1] ?? "",
          id: /^id: (.*)$/m.exec(block)?.[1] ?? "",
          about: /"id":"([^"]+)"/.exec(block)?.[1] ?? "",
        }));
    return {
      status: response.statusCode,
      changes: () => all().filter(({ event }) => event === "put" || event === "delete"),
      isListed: () => all().some(({ event }) => event === "bookmark"),
      revision: () => all().findLast(({ id }) => id !== "")?.id ?? "",
      end: () => response.destroy(),
    };
  }
  /** What stands under a prefix of the store, by key, with the revision of its last write. */
  async function written(prefix: string): Promise<readonly string[]> {
    const out = await lab.etcd.etcdctl(["get", prefix, "--prefix", "--keys-only=false", "--write-out=json"]);
    const { kvs = [] } = JSON.parse(out) as {
      readonly kvs?: readonly { readonly key: string; readonly mod_revision: number }[];
    };
    return kvs.map(
      ({ key, mod_revision: revision }) => `${Buffer.from(key, "base64").toString()} ${revision}`,
    );
  }

  it("show the same hosts and the same policies, though one of them alone writes", async () => {
    const policy = await create(lab.kube, policyFor("front", 8001));
    await create(lab.kube, node({ name: "n1", ip: "192.168.1.1", zone: "us-west-2a" }));
    for (const each of [leading, standing]) {
      await translated(each, policy, 8001);
      await sightOf(each).placed("n1");
    }
    const streams = await Promise.all([leading, standing].map((each) => policiesOf(each)));
    await until("both were listed", () => streams.every((stream) => stream.isListed()));

    expect(streams.map(({ status }) => status)).toEqual([200, 200]);
    expect(streams[0]?.changes()).toEqual(streams[1]?.changes());
    expect(streams[0]?.changes()).toHaveLength(1);
    await told(lab.kube, "n1", "HostPlaced");
    expect(await eventsOf(lab.kube, "n1", "HostPlaced")).toHaveLength(1);
    streams.forEach((stream) => stream.end());
  });

  it("go on when the leader is killed: another leads, follows what was changed in between, and a stream goes on there", async () => {
    const edited = await create(lab.kube, policyFor("edited", 8101));
    const goes = await create(lab.kube, policyFor("goes", 8102));
    await translated(standing, edited, 8101);
    await translated(standing, goes, 8102);
    const stream = await policiesOf(leading);
    await until("all three are listed", () => stream.isListed() && stream.changes().length === 3);
    const revision = stream.revision();

    await leading.process.kill("SIGKILL");
    await patch(lab.kube, edited, { spec: { ingress: [{ ports: [{ protocol: "TCP", port: 8103 }] }] } });
    await remove(lab.kube, goes);
    const made = await create(lab.kube, policyFor("made", 8104));
    await create(lab.kube, node({ name: "n2", ip: "192.168.1.2", zone: "us-west-2b" }));
    const resumed = await policiesOf(standing, revision);
    await sightOf(standing).leads();
    await translated(standing, edited, 8103);
    await translated(standing, made, 8104);
    await until("what was deleted is gone", async () => (await sightOf(standing).modelOf(goes)) === "");
    await sightOf(standing).placed("n2");

    // Each change once, and nothing that the client had seen.
    await until("the stream tells of all three", () => resumed.changes().length >= 3);
    const ofPolicy =
      ({ metadata }: KubeObject) =>
      (change: Told) =>
        change.about.includes(metadata.uid ?? "-");
    expect(resumed.status).toBe(200);
    expect(resumed.changes()).toHaveLength(3);
    expect(resumed.changes().find(ofPolicy(edited))?.event).toBe("put");
    expect(resumed.changes().find(ofPolicy(made))?.event).toBe("put");
    expect(resumed.changes().find(ofPolicy(goes))?.event).toBe("delete");
    resumed.end();

    await leading.process.start();
    [leading, standing] = [standing, leading];
    await translated(standing, made, 8104);
    expect(((await sightOf(standing).get("/status")).body as { readonly leader?: boolean }).leader).toBe(
      false,
    );
  });

  it("write nothing twice when a leader stood still and goes on after another one took over", async () => {
    const before = await create(lab.kube, policyFor("before", 8201));
    await translated(standing, before, 8201);
    await leading.process.kill("SIGSTOP");
    await remove(lab.kube, before);
    const meanwhile = await create(lab.kube, policyFor("meanwhile", 8202));
    await create(lab.kube, node({ name: "n3", ip: "192.168.1.3", zone: "us-west-2a" }));
    await sightOf(standing).leads();
    await translated(standing, meanwhile, 8202);
    await until("what was deleted is gone", async () => (await sightOf(standing).modelOf(before)) === "");
    await sightOf(standing).placed("n3");
    await told(lab.kube, "n3", "HostPlaced");
    const policies = await written("/romana/cluster-policies/");
    const hosts = await written("/romana/hosts/");
    expect(policies.length).toBeGreaterThan(0);
    expect(hosts.length).toBeGreaterThan(0);

    await leading.process.kill("SIGCONT");
    await translated(leading, meanwhile, 8202);
    await until(
      "it says that it leads no more",
      async () =>
        ((await sightOf(leading).get("/status")).body as { readonly leader?: boolean }).leader === false,
    );
    await sightOf(leading).placed("n3");
    [leading, standing] = [standing, leading];

    // Whatever it had in hand has come to nothing: what is made now is written by the other one alone.
    const after = await create(lab.kube, policyFor("after", 8203));
    await translated(standing, after, 8203);
    expect(
      (await written("/romana/cluster-policies/")).filter(
        (line) => !line.includes(after.metadata.uid ?? "-"),
      ),
    ).toEqual(policies);
    expect(await written("/romana/hosts/")).toEqual(hosts);
    expect(await sightOf(standing).modelOf(before)).toBe("");
    expect(await eventsOf(lab.kube, "n3", "HostPlaced")).toHaveLength(1);
  });

  it("asked for nothing that their role does not allow", () => {
    expect(lab.judge()).toEqual([]);
  });
});
