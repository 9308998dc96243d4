import { describe, expect, it } from "vitest";

import type { ClusterNode } from "../../src/core/cluster/objects.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { signal } from "../services/support.ts";
import { podNamed } from "../support/pods.ts";
import { CollectorWorld, GRACE, MINUTE } from "./collector-world.ts";

const FIRST = "10.0.0.0";
const silentHost = {};
const emptyHost = { h1: {} };

/** One address of a Pod that there is not, and Pods are known. */
async function leaked(name = "web.shop.0f3a9b21", uid: string | null = "u1") {
  const world = await CollectorWorld.create();
  await world.take(name, uid ?? undefined);
  world.pods.replace([]);
  return world;
}

describe("an address without Pod and without interface", () => {
  it("is released once both were so for the grace time, and not before", async () => {
    const world = await leaked();

    await world.pass(GRACE, emptyHost);
    const before = world.names();
    await world.pass(2 * MINUTE, emptyHost);

    expect([before.length, world.names()]).toEqual([1, []]);
    expect(world.lines).toContainEqual({ level: "info", message: "a leaked address was released" });
    expect(world.collector.counts()).toEqual({ leaked: 0, collected: 1 });
  });

  it("is told on its Node", async () => {
    const world = await leaked();
    const node: ClusterNode = {
      uid: "node-uid",
      namespace: "",
      name: "h1",
      resourceVersion: "1",
      deleting: false,
      labels: {},
      internalIps: [],
      providerId: "",
      ready: "true",
      networkUnavailable: "false",
      unschedulable: false,
      taints: [],
    };
    world.nodes.replace([node]);

    await world.pass(GRACE + 2 * MINUTE, emptyHost);

    expect(world.events).toMatchObject([
      {
        subject: { kind: "Node", name: "h1", uid: "node-uid" },
        reason: "AddressReleased",
        note: expect.stringContaining("10.0.0.0") as string,
      },
    ]);
  });

  it("is released with the name that a CNI plugin gives though it names no Pod", async () => {
    const world = await leaked("web-1.a.shop.0f3a9b21", null);

    await world.pass(GRACE + 2 * MINUTE, emptyHost);

    expect(world.names()).toEqual([]);
  });
});

describe("an address is kept", () => {
  it.for([
    [
      "while its Pod is there",
      (w: CollectorWorld): void => w.pods.put(podNamed("shop/web", { uid: "u1", phase: "Pending" })),
    ],
    [
      "while the status of a Pod has it",
      (w: CollectorWorld): void => w.pods.put(podNamed("shop/other", { uid: "u2", ips: [FIRST] })),
    ],
    ["while Pods are not known", (w: CollectorWorld): void => void (w.problem = "list pods: 403")],
  ] as const)("%s", async ([, arrange]) => {
    const world = await leaked();
    arrange(world);

    await world.pass(2 * GRACE, emptyHost);

    expect(world.names()).toHaveLength(1);
  });

  it.for([
    ["while its agent says nothing", silentHost],
    ["while another agent speaks", { h2: {} }],
    ["while its agent has its interface", { h1: { [FIRST]: "" } }],
    ["while its agent has another interface of its Pod", { h1: { "10.0.0.5": "u1" } }],
  ] as const)("%s", async ([, reports]) => {
    const world = await leaked();

    await world.pass(2 * GRACE, reports);

    expect(world.names()).toHaveLength(1);
  });

  it("while its agent is not ready", async () => {
    const world = await leaked();

    for (let at = 0; at < 2 * GRACE; at += 30_000) {
      world.report("h1", {}, false);
      await world.pass(30_000);
    }

    expect(world.names()).toHaveLength(1);
  });

  it("while Pods were never listed", async () => {
    const world = await CollectorWorld.create();
    await world.take("web.shop.0f3a9b21", "u1");

    await world.pass(2 * GRACE, emptyHost);

    expect(world.names()).toHaveLength(1);
  });

  it.for([
    ["names no Pod and was taken by hand", "vm-1", "shop"],
    ["has a name like a Pod's without the container", "web.shop", "shop"],
    ["has a CNI plugin's name and another tenant", "web.shop.0f3a9b21", "t"],
  ] as const)("that %s", async ([, name, tenant]) => {
    const world = await CollectorWorld.create();
    await world.take(name, undefined, "h1", tenant);
    world.pods.replace([]);

    await world.pass(2 * GRACE, emptyHost);

    expect(world.names()).toEqual([name]);
    expect((await world.collector.check(signal)).findings).toMatchObject([{ kind: "unclaimed", name }]);
  });

  it("that names no Pod while a Pod has the name in it", async () => {
    const world = await leaked("web.shop.0f3a9b21", null);
    world.pods.put(podNamed("shop/web", { phase: "Succeeded" }));

    await world.pass(2 * GRACE, emptyHost);

    expect(world.names()).toHaveLength(1);
  });
});

it("takes a Pod that has ended for none, and its agent's word for its sandbox", async () => {
  const world = await leaked();
  world.pods.put(podNamed("shop/web", { uid: "u1", phase: "Succeeded", ips: [FIRST] }));

  await world.pass(2 * GRACE, { h1: { [FIRST]: "u1" } });
  const before = world.names();
  await world.pass(GRACE + 2 * MINUTE, emptyHost);

  expect([before.length, world.names()]).toEqual([1, []]);
});

describe("the grace time begins anew", () => {
  it.for([
    [
      "when a Pod came and went between two looks",
      (w: CollectorWorld): void => {
        const pod = podNamed("shop/web", { uid: "u1" });
        w.pods.put(pod);
        w.pods.remove(pod);
      },
    ],
    [
      "when its agent had the interface between two looks",
      (w: CollectorWorld): void => {
        w.report("h1", { [FIRST]: "u1" });
        w.report("h1");
      },
    ],
    ["when another replica leads", (w: CollectorWorld): Promise<void> => w.changeLeader()],
  ] as const)("%s", async ([, interrupt]) => {
    const world = await leaked();
    await world.pass(GRACE, emptyHost);

    await interrupt(world);
    await world.pass(GRACE - 30_000, emptyHost);
    const before = world.names();
    await world.pass(3 * MINUTE, emptyHost);

    expect([before.length, world.names()]).toEqual([1, []]);
  });

  it("when its agent was silent for longer than 90 s between two looks", async () => {
    const world = await leaked();
    await world.pass(5 * MINUTE, emptyHost);

    // Looks fall at 60 s and 90 s after the last report, and 29 s after the next one.
    await world.clock.advance(61_000);
    world.report("h1");
    await world.clock.advance(29_000);
    await world.pass(GRACE - MINUTE, emptyHost);

    expect(world.names()).toHaveLength(1);
  });

  it("when its name was given anew, be it to the same Pod", async () => {
    const world = await leaked();
    await world.pass(GRACE, emptyHost);

    await world.addresses.release("web.shop.0f3a9b21", signal);
    await world.take("web.shop.0f3a9b21", "u1");
    await world.pass(GRACE, emptyHost);

    expect(world.names()).toHaveLength(1);
  });

  it("when it was not known which Pods there are", async () => {
    const world = await leaked();
    await world.pass(GRACE, emptyHost);

    world.problem = "watch pods: connection refused";
    await world.pass(MINUTE, emptyHost);
    world.problem = "";
    await world.pass(GRACE, emptyHost);

    expect(world.names()).toHaveLength(1);
  });
});

it("keeps what was given to another Pod under the same name while the release was on its way", async () => {
  const world = await CollectorWorld.create();
  const { addresses } = world;
  await world.take("web", "u1");
  world.pods.replace([]);
  const released: unknown[] = [];
  await world.collector.stop();
  const eager = await CollectorWorld.create({
    addresses: {
      eachAddress: (): ReturnType<typeof addresses.eachAddress> => addresses.eachAddress(),
      address: (name) => addresses.address(name),
      addressAt: (value) => addresses.addressAt(value),
      host: (name) => addresses.host(name),
      networks: () => addresses.networks(),
      onBatch: (listener) => addresses.onBatch(listener),
      release: async (name, abort, only): Promise<void> => {
        released.push(name);
        await addresses.release(name, signal);
        await world.take(name, "u2");
        await addresses.release(name, abort, only);
      },
    },
  });
  eager.pods.replace([]);

  await eager.pass(GRACE + 2 * MINUTE, emptyHost);

  expect(released).toEqual(["web"]);
  expect(addresses.address("web")?.pod?.uid).toBe("u2");
  expect(eager.lines).toContainEqual({
    level: "warn",
    message: "a leaked address could not be released; it is tried again",
  });
});

it("releases nothing any more once another leads, and says so", async () => {
  const releases: unknown[] = [];
  const guard = { key: "/romana/leader", modRevision: 7 };
  const other = await leaked();
  await other.take("api.shop.0f3a9b22", "u2");
  const { addresses } = other;
  const world = await CollectorWorld.create({
    guard,
    addresses: {
      eachAddress: (): ReturnType<typeof addresses.eachAddress> => addresses.eachAddress(),
      address: (name) => addresses.address(name),
      addressAt: (value) => addresses.addressAt(value),
      host: (name) => addresses.host(name),
      networks: () => addresses.networks(),
      onBatch: (listener) => addresses.onBatch(listener),
      release: (_name, _signal, only): Promise<void> => {
        releases.push(only);
        return Promise.reject(new NetworkError("transient", "LEADERSHIP_LOST", "another replica leads"));
      },
    },
  });
  world.pods.replace([]);

  await world.pass(GRACE + 30_000, emptyHost);

  expect(releases).toEqual([{ podUid: "u1", address: FIRST, host: "h1", guard }]);
  expect(world.lines.at(-1)).toEqual({
    level: "warn",
    message: "the look for leaked addresses failed; it is repeated",
  });
});

describe("the check", () => {
  it("is clean where every address has its Pod and every Pod its address", async () => {
    const world = await CollectorWorld.create();
    await world.take("web.shop.0f3a9b21", "u1");
    world.pods.replace([
      podNamed("shop/web", { uid: "u1", ips: [FIRST] }),
      podNamed("kube-system/proxy", { hostNetwork: true, ips: ["172.16.0.1"] }),
      podNamed("shop/job", { phase: "Succeeded", ips: ["10.0.0.9"] }),
    ]);
    world.report("h1", { [FIRST]: "u1" });

    expect(await world.collector.check(signal)).toEqual({
      checkedAt: "2026-01-01T00:00:00.000Z",
      clean: true,
      addresses: 1,
      pods: 1,
      podsProblem: "",
      silentHosts: [],
      silentHostCount: 0,
      findings: [],
    });
  });

  it("tells what leaked, since when, and when it will be released", async () => {
    const world = await leaked();

    await world.pass(2 * MINUTE, emptyHost);

    expect(await world.collector.check(signal)).toMatchObject({
      clean: false,
      findings: [
        {
          kind: "leaked",
          address: FIRST,
          name: "web.shop.0f3a9b21",
          host: "h1",
          pod: { uid: "u1" },
          since: "2026-01-01T00:00:00.000Z",
          releaseAt: "2026-01-01T00:10:30.000Z",
          message: "its Pod is gone or has ended, and host h1 has no such interface",
        },
      ],
    });
    expect(world.collector.counts()).toEqual({ leaked: 1, collected: 0 });
  });

  it.for([
    ["silent", silentHost, /agent of host h1 says nothing/],
    ["present", { h1: { [FIRST]: "u1" } }, /host h1 has its interface/],
  ] as const)("tells why a suspect is kept: %s", async ([, reports, message]) => {
    const world = await leaked();

    await world.pass(2 * MINUTE, reports);

    const { findings } = await world.collector.check(signal);
    expect(findings).toMatchObject([
      { kind: "suspected", releaseAt: null, message: expect.stringMatching(message) as string },
    ]);
  });

  it("says nothing of an address whose Pod may be on its way", async () => {
    const world = await leaked();

    await world.pass(MINUTE, emptyHost);

    expect((await world.collector.check(signal)).findings).toEqual([]);
  });

  it("tells an address of a Pod that nobody recorded, and one that is recorded for another Pod", async () => {
    const world = await CollectorWorld.create();
    await world.take("web.shop.0f3a9b21", "u1");
    world.pods.replace([
      podNamed("shop/web", { uid: "u1" }),
      podNamed("shop/thief", { uid: "u2", ips: [FIRST, "fd00::1"] }),
      podNamed("shop/lost", { uid: "u3", ips: ["10.0.0.77"] }),
      podNamed("shop/leaving", { uid: "u4", ips: ["10.0.0.78"], deleting: true }),
      podNamed("shop/elsewhere", { uid: "u5", ips: ["192.0.2.1"] }),
    ]);

    expect((await world.collector.check(signal)).findings).toMatchObject([
      { kind: "contested", address: FIRST, pod: { uid: "u1" } },
      { kind: "unrecorded", address: "10.0.0.77", name: "", pod: { uid: "u3" } },
    ]);
  });

  it("tells several addresses of one Pod, an owner that is not the Pod's, and a host whose Node is gone", async () => {
    const world = await CollectorWorld.create();
    await world.addresses.addHost(
      { name: "n1", ip: "172.16.0.9" as never, tags: { zone: "a" }, origin: "kubernetes" },
      signal,
    );
    await world.take("a", "u1");
    await world.take("b", "u1");
    await world.take("c", "u2", "h1", "elsewhere");
    await world.take("d", "u3", "n1");
    world.pods.replace(["u1", "u2", "u3"].map((uid) => podNamed(`shop/${uid}`, { uid })));
    world.nodes.replace([]);

    const { findings } = await world.collector.check(signal);

    expect(findings.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "doubled a",
      "doubled b",
      "misfiled c",
      "orphaned d",
    ]);
  });

  it("says what is not known", async () => {
    const world = await leaked();
    world.problem = "watch pods: 403";

    expect(await world.collector.check(signal)).toMatchObject({
      clean: false,
      podsProblem: "watch pods: 403",
      silentHosts: ["h1"],
      silentHostCount: 1,
      findings: [],
    });
  });
});

describe("a release that is asked for", () => {
  it("passes over the grace time, and over nothing else", async () => {
    const world = await leaked();
    await world.take("kept.shop.0f3a9b22", "u2", "h2");

    const early = await world.collector.releaseLeaked({ graceMs: 0, dryRun: false }, signal);
    await world.pass(3 * MINUTE, emptyHost);
    const trial = await world.collector.releaseLeaked({ graceMs: 0, dryRun: true }, signal);
    const held = world.names();
    const done = await world.collector.releaseLeaked({ graceMs: 0, dryRun: false }, signal);

    expect(early).toEqual({ dryRun: false, released: [], kept: [], failed: [] });
    expect(trial).toMatchObject({
      dryRun: true,
      released: [{ name: "web.shop.0f3a9b21" }],
      kept: [{ kind: "suspected", name: "kept.shop.0f3a9b22" }],
    });
    expect(held).toHaveLength(2);
    expect(done).toMatchObject({ dryRun: false, released: [{ name: "web.shop.0f3a9b21" }], failed: [] });
    expect(world.names()).toEqual(["kept.shop.0f3a9b22"]);
  });

  it("waits for the grace time without another one", async () => {
    const world = await leaked();
    await world.pass(3 * MINUTE, emptyHost);

    const answer = await world.collector.releaseLeaked({ dryRun: false }, signal);

    expect(answer).toMatchObject({ released: [], kept: [{ kind: "leaked" }] });
  });

  it("is refused while Pods are not known", async () => {
    const world = await leaked();
    world.problem = "watch pods: 403";

    await expect(world.collector.releaseLeaked({ graceMs: 0, dryRun: true }, signal)).rejects.toMatchObject({
      kind: "transient",
      code: "PODS_UNKNOWN",
    });
  });
});

it("does nothing any more once it was stopped", async () => {
  const world = await leaked();
  await world.pass(GRACE, emptyHost);

  await world.collector.stop();
  world.report("h1");
  await world.clock.advance(GRACE);

  expect(world.names()).toHaveLength(1);
  expect(world.clock.pendingTimers).toBe(0);
  await expect(world.collector.check(signal)).rejects.toMatchObject({ code: "LEADERSHIP_LOST" });
});
