import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Store } from "../../../src/ports/store.ts";
import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import { ReplicaLab, type Replica } from "../../support/replica-lab.ts";

const signal = new AbortController().signal;
const HOSTS = 50;
const BLOCKS = 200;
const PER_BLOCK = 250;
const ADDRESSES = BLOCKS * PER_BLOCK;
const POLICIES = 300;

/** 50,000 addresses, 300 policies and 2 tenants. */
const document = {
  kind: "romana-state",
  version: 1,
  exportedAt: "2026-01-01T00:00:00.000Z",
  topologyRevision: 60,
  revisionBase: { total: 0, networks: { pods: 0 } },
  topology: {
    networks: [{ name: "pods", cidr: "10.0.0.0/8", block_mask: 24 }],
    topologies: [{ networks: ["pods"], map: [{ name: "all" }] }],
  },
  hosts: Array.from({ length: HOSTS }, (_, index) => ({
    name: `h${index}`,
    ip: `192.168.0.${index + 1}`,
    agentPort: 9604,
    tags: {},
    origin: "api",
    sequence: index + 1,
    groups: [{ network: "pods", cidr: "10.0.0.0/8", subnet: "" }],
    misplaced: false,
  })),
  blocks: Array.from({ length: BLOCKS }, (_, index) => ({
    network: "pods",
    cidr: `10.0.${index}.0/24`,
    owner: { host: `h${index % HOSTS}`, tenant: "t", segment: "s" },
    revision: PER_BLOCK,
    sequence: 1000 + index,
  })),
  addresses: Array.from({ length: ADDRESSES }, (_, index) => {
    const block = Math.floor(index / PER_BLOCK);
    return {
      name: `pod-${index}`,
      address: `10.0.${block}.${index % PER_BLOCK}`,
      host: `h${block % HOSTS}`,
      tenant: "t",
      segment: "s",
    };
  }),
  blackouts: [],
  tenants: [
    { name: "t", segments: ["s"] },
    { name: "u", segments: [] },
  ],
  policies: Array.from({ length: POLICIES }, (_, index) => ({
    id: `policy-${index}`,
    direction: "ingress",
    applied_to: [{ tenant_id: "t" }],
    ingress: [{ peers: [{ peer: "any" }], rules: [{ protocol: "tcp", ports: [80] }] }],
  })),
  routes: [],
};

/** What a replica holds: addresses, policies, declared tenants. */
async function counts(replica: Replica): Promise<string> {
  const answers = await Promise.all(
    ["/addresses", "/policies", "/tenants"].map(async (path) => {
      const { status, body } = await replica.call("GET", path);
      expect(status).toBe(200);
      return body as readonly { readonly declared?: boolean }[];
    }),
  );
  return answers.map((list) => list.filter(({ declared }) => declared !== false).length).join(" ");
}

const NOTHING = "0 0 0";
const ALL = `${ADDRESSES} ${POLICIES} 2`;

/** The export without its time. */
async function exported(replica: Replica): Promise<object> {
  const { status, body } = await replica.call("GET", "/export", undefined, 60_000);
  expect(status).toBe(200);
  return { ...(body as object), exportedAt: "" };
}

describe.skipIf(requireEtcd())(
  "a controller that dies in the middle of an import of 50,000 addresses",
  () => {
    let etcd: EtcdServer;
    let store: Store;
    let lab: ReplicaLab | undefined;
    beforeAll(async () => {
      etcd = await EtcdServer.start();
      store = openEtcdStore(etcd.endpoints);
    }, 60_000);
    afterEach(async () => {
      await lab?.stop();
    });
    afterAll(async () => {
      await store.close();
      await etcd.stop();
    });

    /** Two replicas, the first of which was killed while it imported, when `isTime`. */
    async function importing(
      root: string,
      isTime: () => Promise<boolean>,
    ): Promise<readonly [Replica, Replica]> {
      const flags = ["--store=etcd", `--etcd-endpoints=${etcd.endpoints.join(",")}`, `--etcd-prefix=${root}`];
      lab = await ReplicaLab.start([{ flags }, { flags }]);
      const [dying, other] = [lab.at(0), lab.at(1)];
      const answered = dying.call("POST", "/import", document, 120_000).then(
        ({ status }) => status,
        () => "no answer",
      );
      await until("the import is as far", isTime, 120_000, 1);
      await dying.kill("SIGKILL");
      expect(await answered).toBe("no answer");
      return [dying, other];
    }

    /** Both hold all of it, say the same, and go on from there. */
    async function expectAll(dying: Replica, other: Replica): Promise<void> {
      await dying.start();
      expect(await counts(dying)).toBe(ALL);
      const both = await Promise.all([exported(dying), exported(other)]);
      expect(both[0]).toEqual(both[1]);
      expect(both[0]).toMatchObject({ addresses: { length: ADDRESSES }, policies: { length: POLICIES } });
      const pod = { name: "new", host: "h1", tenant: "t", segment: "s" };
      expect(await dying.call("POST", "/address", pod)).toMatchObject({ status: 200, body: "10.0.1.250" });
      expect((await other.call("POST", "/import", document, 120_000)).status).toBe(409);
    }

    it("leaves nothing when its parts were not valid yet, and the import can be done again", async () => {
      const [dying, other] = await importing(
        "/parts",
        async () => (await store.list("/parts/staged/", signal)).entries.length > 2,
      );

      expect(await counts(other)).toBe(NOTHING);
      expect((await other.call("POST", "/import", document, 120_000)).status).toBe(200);

      expect(await counts(other)).toBe(ALL);
      await expectAll(dying, other);
    }, 300_000);

    it("leaves all when they were, shows no part of it, and another replica finishes it", async () => {
      const [dying, other] = await importing(
        "/keys",
        async () => (await store.get("/keys/addresses/pod-5000", signal)) !== undefined,
      );

      const seen = new Set<string>();
      await until(
        "the other replica shows it whole",
        async () => seen.add(await counts(other)).has(ALL),
        120_000,
      );
      await until(
        "the other replica has finished it",
        async () => (await store.get("/keys/generation", signal))?.value.includes('"staged":null') === true,
        120_000,
      );

      // Three requests: what they show may be of two revisions, but none shows a part.
      expect([...seen].filter((each) => !/^(?:0|50000) (?:0|300) [02]$/.test(each))).toEqual([]);
      expect(await counts(other)).toBe(ALL);
      await expectAll(dying, other);
    }, 300_000);
  },
);
