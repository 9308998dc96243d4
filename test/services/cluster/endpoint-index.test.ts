import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { ClusterPod } from "../../../src/core/cluster/objects.ts";
import { isTerminal } from "../../../src/core/cluster/pod-phase.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import type { AddressingService } from "../../../src/services/addressing-service.ts";
import {
  EndpointIndex,
  type Endpoint,
  type EndpointChange,
} from "../../../src/services/cluster/endpoint-index.ts";
import { ObjectView } from "../../../src/services/cluster/object-view.ts";
import { podNamed } from "../../support/pods.ts";
import { createStore, hostIn, openService, signal, twoZones } from "../support.ts";

async function started() {
  const addresses = await openService(createStore());
  await addresses.updateTopology(twoZones, signal);
  await addresses.addHost(hostIn("a", "h1", 1), signal);
  const pods = new ObjectView<ClusterPod>();
  const index = new EndpointIndex({ addresses, pods });
  const changes: EndpointChange[] = [];
  index.onChange((change) => changes.push(change));
  index.start();
  changes.length = 0;
  return { addresses, pods, index, changes };
}

function take(addresses: AddressingService, name: string, uid?: string): Promise<string> {
  const pod = uid === undefined ? {} : { pod: { namespace: "shop", name: "web", uid } };
  return addresses.allocate({ name, host: "h1", tenant: "shop", segment: "s", ...pod }, signal);
}

const FIRST = parseIpv4("10.0.0.0");

describe("an address that names its Pod", () => {
  it("is joined with the labels of that Pod before the Pod's status has an address, and told once", async () => {
    const { addresses, pods, index, changes } = await started();
    const labels = { app: "web" };
    const namedPorts = [{ name: "http", port: 80, protocol: "TCP" }];
    pods.put(podNamed("shop/web", { uid: "u1", phase: "Pending", labels, namedPorts }));

    await take(addresses, "web.shop.1", "u1");

    const endpoint: Endpoint = {
      address: FIRST,
      name: "web.shop.1",
      host: "h1",
      tenant: "shop",
      segment: "s",
      reference: { namespace: "shop", name: "web", uid: "u1" },
      pod: { namespace: "shop", name: "web", uid: "u1", labels, namedPorts, phase: "Pending" },
      joined: true,
    };
    expect(index.get(FIRST)).toEqual(endpoint);
    expect(index.byPod("u1")).toEqual([endpoint]);
    expect(changes).toEqual([{ kind: "put", endpoint }]);
  });

  it("is joined when the Pod comes after it, and follows its labels; another version alone tells nobody", async () => {
    const { addresses, pods, index, changes } = await started();
    await take(addresses, "web.shop.1", "u1");
    expect(index.get(FIRST)).toMatchObject({ joined: false });
    changes.length = 0;

    pods.put(podNamed("shop/web", { uid: "u1", labels: { app: "web" } }));
    pods.put(podNamed("shop/web", { uid: "u1", labels: { app: "web" }, ips: [FIRST] }));
    pods.put(podNamed("shop/web", { uid: "u1", labels: { app: "api" }, ips: [FIRST] }));

    expect(changes.map((change) => change.kind === "put" && change.endpoint.pod?.labels)).toEqual([
      { app: "web" },
      { app: "api" },
    ]);
  });

  it("is not joined with another Pod of the same name, nor with one whose status has the address", async () => {
    const { addresses, pods, index } = await started();
    await take(addresses, "web.shop.1", "u1");

    pods.put(podNamed("shop/web", { uid: "u2", ips: [FIRST] }));

    expect(index.get(FIRST)).toMatchObject({ joined: false });
    expect(index.byPod("u2")).toEqual([]);
  });

  it("loses its Pod with the Pod's deletion, and is told as gone with its own", async () => {
    const { addresses, pods, index, changes } = await started();
    const pod = podNamed("shop/web", { uid: "u1" });
    pods.put(pod);
    await take(addresses, "web.shop.1", "u1");
    changes.length = 0;

    pods.remove(pod);
    await addresses.release("web.shop.1", signal);

    expect(changes).toMatchObject([
      { kind: "put", endpoint: { address: FIRST, joined: false } },
      { kind: "delete", address: FIRST },
    ]);
    expect([index.get(FIRST), index.byPod("u1")]).toEqual([undefined, []]);
  });
});

describe("an address that names no Pod", () => {
  it.for([
    ["a Pod of the host's network", { hostNetwork: true }],
    ["a Pod that has ended", { phase: "Succeeded" }],
    ["a Pod with another address", { ips: ["10.0.0.1"] }],
    ["a Pod with an IPv6 address", { ips: ["fd00::1"] }],
  ] as const)("is not joined with %s", async ([, fields]) => {
    const { addresses, pods, index } = await started();
    await take(addresses, "vm");

    pods.put(podNamed("shop/web", { ips: [FIRST], ...fields }));

    expect(index.get(FIRST)).toMatchObject({ joined: false });
  });

  it("is joined with the Pod whose status has it; of two, with the one that stays", async () => {
    const { addresses, pods, index } = await started();
    await take(addresses, "web.shop.1");

    pods.put(podNamed("shop/old", { ips: [FIRST], deleting: true }));
    const before = index.get(FIRST)?.pod?.name;
    pods.put(podNamed("shop/web", { ips: [FIRST] }));

    expect([before, index.get(FIRST)?.pod?.name]).toEqual(["old", "web"]);
    expect([index.byPod("uid-old"), index.byPod("uid-web").length]).toEqual([[], 1]);
  });
});

it("begins again after the topology was replaced", async () => {
  const { addresses, index, changes } = await started();
  await take(addresses, "web.shop.1", "u1");
  changes.length = 0;

  await addresses.updateTopology({ ...twoZones }, signal);

  expect(changes).toContainEqual({ kind: "reset" });
  expect(index.byPod("u1").map(({ name }) => name)).toEqual(["web.shop.1"]);
});

it("tells nothing any more once it was stopped", async () => {
  const { addresses, pods, index, changes } = await started();
  index.stop();

  await take(addresses, "web.shop.1", "u1");
  pods.put(podNamed("shop/web", { uid: "u1" }));

  expect(changes).toEqual([]);
});

/** The join as its comment says it, over everything. */
function joined(addresses: AddressingService, pods: ObjectView<ClusterPod>): readonly string[] {
  const all = [...pods.values()];
  return addresses
    .addresses()
    .map(({ address, pod }) => {
      const live = all
        .filter((each) => !each.hostNetwork && !isTerminal(each) && each.ips.includes(address))
        .toSorted((a, b) => Number(a.deleting) - Number(b.deleting) || (a.uid < b.uid ? -1 : 1));
      const found = pod === undefined ? live[0] : all.find(({ uid }) => uid === pod.uid);
      return show(address, found);
    })
    .toSorted();
}

function show(address: string, pod: Pick<ClusterPod, "uid" | "labels" | "phase"> | undefined): string {
  return pod === undefined ? address : `${address} ${pod.uid} ${JSON.stringify(pod.labels)} ${pod.phase}`;
}

const IPS = ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"];
const aPod = fc.record({
  name: fc.constantFrom("a", "b", "c"),
  generation: fc.nat(2),
  ips: fc.subarray(IPS, { maxLength: 2 }),
  labels: fc.constantFrom({}, { app: "x" }, { app: "y" }),
  phase: fc.constantFrom("Pending", "Running", "Running", "Succeeded"),
  hostNetwork: fc.nat(5).map((n) => n === 0),
  deleting: fc.boolean(),
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), pod: aPod }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), pod: aPod }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("list" as const), pods: fc.array(aPod, { maxLength: 3 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      name: fc.nat(4),
      uid: fc.option(fc.constantFrom("a-0", "a-1", "b-0", "c-2"), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("release" as const), name: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "topology" as const }) },
);

it("says what a join over everything says, in whatever order addresses and Pods come, change and go, and so do its changes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(29), async (steps, late) => {
      const { addresses, pods, index } = await started();
      index.stop();
      const told = new Map<string, string>();
      index.onChange((change) => {
        switch (change.kind) {
          case "put":
            told.set(change.endpoint.address, show(change.endpoint.address, change.endpoint.pod));
            break;
          case "delete":
            told.delete(change.address);
            break;
          case "reset":
            told.clear();
            for (const { address, pod } of index.values()) {
              told.set(address, show(address, pod));
            }
        }
      });
      const podOf = ({
        name,
        generation,
        ...fields
      }: typeof aPod extends fc.Arbitrary<infer T> ? T : never) =>
        podNamed(`shop/${name}`, { uid: `${name}-${generation}`, ...fields });
      for (const [at, each] of steps.entries()) {
        if (at === late) {
          index.start();
        }
        switch (each.kind) {
          case "put":
            pods.put(podOf(each.pod));
            break;
          case "remove":
            pods.remove(podOf(each.pod));
            break;
          case "list":
            pods.replace([...new Map(each.pods.map((pod) => [pod.name, podOf(pod)])).values()]);
            break;
          case "take":
            await take(addresses, `n${each.name}`, each.uid).catch(() => undefined);
            break;
          case "release":
            await addresses.release(`n${each.name}`, signal).catch(() => undefined);
            break;
          case "topology":
            await addresses.updateTopology(twoZones, signal);
        }
        const isFollowing = at >= late;
        expect(isFollowing ? [...told.values()].toSorted() : []).toEqual(
          isFollowing ? joined(addresses, pods) : [],
        );
      }
      if (steps.length <= late) {
        index.start();
      }
      const all = [...index.values()];
      expect(all.map(({ address, pod }) => show(address, pod)).toSorted()).toEqual(joined(addresses, pods));
      for (const endpoint of all) {
        expect(index.get(endpoint.address)).toEqual(endpoint);
        const uid = (endpoint.reference ?? endpoint.pod)?.uid;
        expect(uid === undefined || index.byPod(uid).some(({ name }) => name === endpoint.name)).toBe(true);
      }
    }),
    { numRuns: 150 },
  );
});
