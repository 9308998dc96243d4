import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { NetworkError } from "../../../src/core/errors.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import type { Store } from "../../../src/ports/store.ts";
import { AddressingService } from "../../../src/services/addressing-service.ts";
import { prepareStore } from "../../../src/services/addressing/schema.ts";
import { StoreFollower } from "../../../src/services/store-follower.ts";
import { answersOf, signal } from "../../services/support.ts";
import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { silentLog } from "../../support/silent-log.ts";

const REPLICAS = 3;
const CLIENTS = 16;
const ALLOCATIONS = 40;
const HOSTS = 20;

const topology = {
  networks: [{ name: "pods", cidr: "10.0.0.0/16", block_mask: 29 }],
  topologies: [{ networks: ["pods"], map: [{ name: "a" }, { name: "b" }] }],
};

async function openReplica(store: Store, prefix: string) {
  const common = { store, clock: new SystemClock(), log: silentLog, prefix };
  await prepareStore(store, prefix, signal);
  const follower = await StoreFollower.open(common, signal);
  const service = await AddressingService.open({ ...common, follower }, signal);
  follower.start();
  return { service, follower };
}

const host = (index: number) => ({
  name: `h${index}`,
  ip: parseIpv4(`172.16.1.${index + 1}`),
  origin: "api" as const,
});

describe.skipIf(requireEtcd())("Replicas of AddressingService on a real etcd", () => {
  let server: EtcdServer | undefined;
  let stores: Store[] = [];
  beforeAll(async () => {
    const started = await EtcdServer.start();
    server = started;
    stores = Array.from({ length: REPLICAS }, () => openEtcdStore(started.endpoints));
  });
  afterAll(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await server?.stop();
  });

  it("give each name an address of its own, keep what was acknowledged, and agree with what the store has", async () => {
    const replicas = await Promise.all(stores.map((store) => openReplica(store, "/one")));
    const services = replicas.map(({ service }) => service);
    await services[0]?.updateTopology(topology, signal);
    await services[1]?.addHosts(
      Array.from({ length: HOSTS }, (_, index) => host(index)),
      signal,
    );
    const { revision: known } =
      services[1] === undefined ? { revision: 0 } : { revision: services[1].revision() };
    await Promise.all(replicas.map(({ follower }) => follower.reached(known, signal)));
    const held = new Map<string, string>();
    let acknowledged = 0;
    const client = async (own: number): Promise<void> => {
      for (let index = 0; index < ALLOCATIONS; index += 1) {
        const service = services[(own + index) % REPLICAS];
        const name = `pod-${own}-${index}`;
        const request = { name, host: `h${(own * 7 + index) % HOSTS}`, tenant: "t", segment: "s" };
        const address = await service?.allocate(request, signal);
        expect(service?.address(name)?.address).toBe(address);
        held.set(name, address ?? "");
        acknowledged += 1;
        if (index % 3 === 2) {
          held.delete(`pod-${own}-${index - 1}`);
          await services[(own + index + 1) % REPLICAS]?.release(`pod-${own}-${index - 1}`, signal);
          acknowledged += 1;
        }
      }
    };

    await Promise.all(Array.from({ length: CLIENTS }, (_, own) => client(own)));

    const revision = Math.max(...services.map((service) => service.revision()));
    await Promise.all(replicas.map(({ follower }) => follower.reached(revision, signal)));
    const fresh = await openReplica(stores[0] ?? openEtcdStore([]), "/one");
    const answers = answersOf(fresh.service);
    services.forEach((service) => expect(answersOf(service)).toEqual(answers));
    const stored = new Map(fresh.service.addresses().map(({ name, address }) => [name, address]));
    expect(stored).toEqual(held);
    expect(new Set(stored.values()).size).toBe(held.size);
    expect(fresh.service.blocks()?.revision).toBe(acknowledged);
    await Promise.all([fresh, ...replicas].map(({ follower }) => follower.stop()));
  }, 60_000);

  it("remove a host with more addresses than a transaction takes, all at once, while others allocate", async () => {
    const replicas = await Promise.all(stores.slice(0, 2).map((store) => openReplica(store, "/two")));
    const [first, second] = replicas.map(({ service }) => service);
    await first?.updateTopology(topology, signal);
    await first?.addHosts([host(0), host(1)], signal);
    for (let from = 0; from < 200; from += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, index) =>
          first?.allocate({ name: `p${from + index}`, host: "h0", tenant: "t", segment: "s" }, signal),
        ),
      );
    }
    await replicas[1]?.follower.reached(first?.revision() ?? 0, signal);
    const counts = new Set<number>();
    second?.onBatch(() => counts.add(second.addresses().filter((item) => item.host === "h0").length));

    const [removal, ...others] = await Promise.allSettled([
      first?.removeHost("h0", signal),
      ...Array.from({ length: 30 }, async (_, index) =>
        second?.allocate({ name: `q${index}`, host: "h1", tenant: "t", segment: "s" }, signal),
      ),
    ]);

    expect(removal.status).toBe("fulfilled");
    const refused = others.flatMap((item) => (item.status === "rejected" ? [item.reason as unknown] : []));
    expect(refused.filter((reason) => !(reason instanceof NetworkError))).toEqual([]);
    const revision = Math.max(first?.revision() ?? 0, second?.revision() ?? 0);
    await Promise.all(replicas.map(({ follower }) => follower.reached(revision, signal)));
    expect([...counts].filter((count) => count !== 0 && count !== 200)).toEqual([]);
    const fresh = await openReplica(stores[2] ?? openEtcdStore([]), "/two");
    expect(fresh.service.hosts().hosts.map(({ name }) => name)).toEqual(["h1"]);
    expect(fresh.service.addresses()).toHaveLength(30 - refused.length);
    expect(refused).toEqual([]);
    await Promise.all([fresh, ...replicas].map(({ follower }) => follower.stop()));
  }, 60_000);
});
