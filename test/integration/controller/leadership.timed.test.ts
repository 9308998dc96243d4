import { setTimeout as sleep } from "node:timers/promises";

import { ReplaceRouteCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { requireEtcd } from "../../support/etcd.ts";
import { LeaderLab, type LabReplica } from "../../support/leader-lab.ts";
import { until } from "../../support/moto-lab.ts";
import { requireMoto } from "../../support/moto.ts";
import { canMakeNamespaces } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";
import { WatchedRoutes } from "../../support/told-routes.ts";

const withoutLab =
  requireMoto() || requireEtcd() || skipUnless(canMakeNamespaces(), "network namespaces and nftables (root)");

/** `--leader-ttl` of these replicas. */
const TTL_MS = 3_000;

describe.skipIf(withoutLab)("replicas of romana controller on one etcd", { timeout: 60_000 }, () => {
  let lab: LeaderLab;
  const watching: WatchedRoutes[] = [];

  beforeAll(async () => {
    lab = await LeaderLab.start(
      { zones: 2, instancesPerZone: 4, groupsPerZone: 2, reachable: true },
      `--leader-ttl=${TTL_MS}ms`,
      "--interval=2s",
      "--hold-down=1s",
      "--hold-down-max=1s",
    );
    await lab.launch();
    await lab.launch();
    await lab.launch();
    await lab.led(3);
    await lab.settled();
  }, 120_000);
  afterEach(async () => {
    await Promise.all(watching.splice(0).map((watched) => watched.stop()));
    lab.moto.heal();
    lab.moto.proxy.delay("DescribeRouteTables", 0);
    await lab.etcd.kill("SIGCONT");
    lab.replicas.forEach(({ controller, relay }) => {
      controller.signal("SIGCONT");
      relay.release();
    });
    while (lab.replicas.length < 3) {
      await lab.launch();
    }
    await lab.led(3);
    await lab.settled();
    await journalled();
    noStrays();
  }, 60_000);
  afterAll(async () => {
    await lab?.close();
  });

  /** Every write so far came in while its sender led. */
  function noStrays(): void {
    const strays = lab.strays();
    if (strays.length > 0) {
      throw new Error(`writes by who does not lead: ${JSON.stringify({ strays, terms: lab.terms })}`);
    }
  }

  /** What is recorded as ours is what stands in the tables. */
  async function journalled(): Promise<void> {
    let differ = "";
    await until("the journal equals the tables", async () => {
      const [recorded, stands] = [JSON.stringify(await lab.journal()), JSON.stringify(await lab.standing())];
      differ = `recorded ${recorded}, standing ${stands}`;
      return recorded === stands;
    }).catch((error: unknown) => {
      throw new Error(differ, { cause: error });
    });
  }

  /** A watch of routes that asks a follower. */
  async function watchedRoutes(): Promise<WatchedRoutes> {
    const leader = await lab.led();
    const follower = lab.replicas.find(({ name }) => name !== leader.name) as LabReplica;
    const watched = new WatchedRoutes(lab, follower);
    watching.push(watched);
    await until("all routes are listed", () => watched.isRight());
    return watched;
  }

  /** The watch has found the next leader, and told of these destinations' routes: each once in each table, and of nothing else. */
  async function toldOf(watched: WatchedRoutes, destinations: readonly string[]): Promise<void> {
    await until("the watch tells of the failover", () => watched.isRight());
    const told = watched.lines.filter(({ event }) => event !== "list");
    expect(told.map(({ event, object }) => `${event} ${object.destination}`).toSorted()).toEqual(
      destinations.flatMap((each) => lab.moto.tables.map(() => `put ${each}`)).toSorted(),
    );
    expect(watched.notes).toContain("listing all again");
  }

  /** What `replica` has asked of EC2 so far. */
  function callsOf({ name }: LabReplica): number {
    return lab.moto.proxy.calls().filter(({ keyId }) => keyId === name).length;
  }

  function writesOf({ name }: LabReplica): number {
    return lab.writes().filter(({ keyId }) => keyId === name).length;
  }

  it("choose one: it alone asks EC2 anything, and says so with its epoch", async () => {
    const leader = await lab.led();
    const asked = new Set(lab.moto.proxy.calls().map(({ keyId }) => keyId));
    const said = lab.replicas.map(({ name, controller }) => ({
      name,
      epochs: controller
        .log()
        .filter(({ msg }) => msg === "this replica leads")
        .map(({ epoch }) => epoch),
    }));

    expect([...asked]).toEqual([leader.name]);
    expect(said.filter(({ epochs }) => epochs.length > 0)).toEqual([
      { name: leader.name, epochs: [lab.terms.at(-1)?.epoch] },
    ]);
  });

  it("let only the leader probe the nodes", async () => {
    const leader = await lab.led();
    const { namespace } = lab.moto;
    const first = namespace.probes();
    await until("nodes are probed", () => namespace.probes() > first);
    leader.controller.signal("SIGSTOP");
    const stopped = namespace.probes();
    // Shorter than what the lease has left at the least.
    await sleep(TTL_MS / 3);

    expect(namespace.probes()).toBe(stopped);
    expect(lab.leader()?.name).toBe(leader.name);
  });

  it("send those who ask a follower about routes to the leader", async () => {
    const leader = await lab.led();
    const follower = lab.replicas.find(({ name }) => name !== leader.name);
    const answer = await lab.raw(follower as LabReplica, "/routes");
    const { tables } = await leader.controller.client.routes();

    expect(answer).toMatchObject({ status: 307, location: `${lab.urlOf(leader.name)}/routes` });
    expect(answer.body).toContain("NOT_LEADER");
    expect(tables.map(({ owned }) => owned)).toEqual(lab.moto.tables.map(() => lab.prefixes));
  });

  it("move the routes of a node that fell silent together with a leader that was killed", async () => {
    const leader = await lab.led();
    const { node, destinations } = await lab.gateway();
    const before = await lab.standing();
    const watched = await watchedRoutes();
    lab.moto.silence(node.address);
    await lab.remove(leader);
    await lab.moved(node);
    await toldOf(watched, destinations);

    const changed = (await lab.standing()).filter(({ target }, index) => target !== before[index]?.target);
    expect(changed).toHaveLength(destinations.length * lab.moto.tables.length);
    expect((await lab.successorOf(leader)).name).not.toBe(leader.name);
  });

  it("hand over at once when the leader is told to end, and go on where it stopped", async () => {
    const leader = await lab.led();
    const { node, destinations } = await lab.gateway();
    const watched = await watchedRoutes();
    // So that the next leader does not know of any route for a while.
    lab.moto.proxy.delay("DescribeRouteTables", 1_500);
    lab.moto.silence(node.address);
    const started = performance.now();
    expect(await leader.controller.stop()).toBe(0);
    await lab.successorOf(leader);
    const { startedMs } = lab.terms.at(-1) as { startedMs: number };
    const { endedMs } = lab.terms.at(-2) as { endedMs: number };
    await lab.remove(leader);
    await lab.moved(node);
    await toldOf(watched, destinations);

    expect(leader.controller.log().filter(({ msg }) => msg === GIVEN_UP)).toMatchObject([
      { level: "info", epoch: lab.terms.at(-2)?.epoch },
    ]);
    // Nobody waited for a lease to end.
    expect(startedMs - endedMs).toBeLessThan(TTL_MS / 3);
    expect(startedMs - started).toBeLessThan(TTL_MS);
  });

  it("are not disturbed by a leader that stood still for 10 s: it wakes up, writes nothing and follows", async () => {
    const leader = await lab.led();
    const { node } = await lab.gateway();
    leader.controller.signal("SIGSTOP");
    const written = writesOf(leader);
    lab.moto.silence(node.address);
    const next = await lab.successorOf(leader);
    await lab.moved(node);
    const stood = performance.now() - (lab.terms.at(-1)?.startedMs ?? 0);
    await sleep(Math.max(0, 10_000 - TTL_MS - stood));
    leader.controller.signal("SIGCONT");
    await until(
      "it says that it leads no longer",
      async () => !(await leader.controller.client.status()).leader,
    );
    const calls = callsOf(next);
    await until("the new leader goes on", () => callsOf(next) >= calls + 2);

    expect(writesOf(leader)).toBe(written);
    expect(lab.leader()?.name).toBe(next.name);
  });

  it("write nothing for a leader that was stopped between its journal entry and its call", async () => {
    const leader = await lab.led();
    const { node } = await lab.gateway();
    const written = writesOf(leader);
    const stopping = new AbortController();
    const { revision } = await lab.store.list("/romana/journal/", stopping.signal);
    const recorded = lab.nextChange("/romana/journal/", revision, stopping.signal);
    // The journal's commit gets through, its answer does not: the leader waits, 200 ms at most, before it writes.
    leader.relay.hold("answers");
    lab.moto.silence(node.address);
    await recorded;
    leader.controller.signal("SIGSTOP");
    stopping.abort();
    expect(writesOf(leader)).toBe(written);
    leader.relay.release();
    await lab.successorOf(leader);
    await lab.moved(node);
    leader.controller.signal("SIGCONT");
    await until(
      "it says that it leads no longer",
      async () => !(await leader.controller.client.status()).leader,
    );

    expect(writesOf(leader)).toBe(written);
  });

  it("write nothing for a leader that was stopped while its calls waited for a connection", async () => {
    const leader = await lab.led();
    const { node } = await lab.gateway();
    const written = writesOf(leader);
    const stopping = new AbortController();
    const { revision } = await lab.store.list("/romana/journal/", stopping.signal);
    const recorded = lab.nextChange("/romana/journal/", revision, stopping.signal);
    lab.moto.loseConnects();
    lab.moto.silence(node.address);
    await recorded;
    stopping.abort();
    await until("its calls wait for connections", () => lab.moto.connecting() >= 2, 5_000, 10);
    leader.controller.signal("SIGSTOP");
    lab.moto.heal();
    lab.moto.silence(node.address);
    // The kernel goes on connecting for the process that stands still.
    await until("they are connected", () => lab.moto.connecting() === 0, 10_000, 50);
    await lab.successorOf(leader);
    await lab.moved(node);
    leader.controller.signal("SIGCONT");
    await until(
      "it says that it leads no longer",
      async () => !(await leader.controller.client.status()).leader,
    );

    expect(writesOf(leader)).toBe(written);
  });

  it("repair the one call of a former leader that reaches EC2 after its term", async () => {
    const leader = await lab.led();
    const { node, destinations } = await lab.gateway();
    const [destination = ""] = destinations;
    const [table = ""] = lab.moto.tables;
    await lab.writesSettled();
    // Somebody leads a route elsewhere; the call that leads it back is held on its way, and its sender stopped. Then the node that it leads to dies.
    const late = lab.moto.proxy.hold("ReplaceRoute", leader.name);
    const stranger = lab.moto.instances.find(({ zone }) => zone !== node.zone);
    await lab.moto.hand.send(
      new ReplaceRouteCommand({
        RouteTableId: table,
        DestinationCidrBlock: destination,
        NetworkInterfaceId: stranger?.interfaceId,
      }),
    );
    await late.caught;
    leader.controller.signal("SIGSTOP");
    lab.moto.silence(node.address);
    const next = await lab.successorOf(leader);
    await lab.moved(node);
    await until(
      "the successor leads it to a stand-in",
      async () => (await lab.moto.routes(table)).get(destination) !== stranger?.interfaceId,
    );
    const right = (await lab.moto.routes(table)).get(destination);
    await late.release();
    expect((await lab.moto.routes(table)).get(destination)).toBe(node.interfaceId);
    const written = writesOf(leader);
    leader.controller.signal("SIGCONT");
    await until(
      "it leads where the new leader wants it",
      async () => (await lab.moto.routes(table)).get(destination) === right,
    );

    expect(writesOf(leader)).toBe(written);
    expect(lab.writes().at(-1)?.keyId).toBe(next.name);
  });

  it("write nothing while etcd is silent for longer than the lease, leave the routes alone, and lead again after it", async () => {
    await lab.writesSettled();
    const before = await lab.standing();
    const { node } = await lab.gateway();
    const leader = await lab.led();
    const gaveUp = () =>
      leader.controller.log().filter(({ msg, reason }) => msg === GIVEN_UP && reason === NOT_RENEWED).length;
    const times = gaveUp();
    await lab.etcd.kill("SIGSTOP");
    await until("the leader gave up", () => gaveUp() > times, 4 * TTL_MS);
    const written = lab.writes().length;
    lab.moto.silence(node.address);
    await sleep(2_000);

    expect(lab.writes()).toHaveLength(written);
    expect(await lab.standing()).toEqual(before);
    await lab.etcd.kill("SIGCONT");
    await lab.moved(node, 30_000);

    expect(lab.writes().length).toBeGreaterThan(written);
  });
});

const GIVEN_UP = "this replica leads no longer";
const NOT_RENEWED = "the store did not renew the lease in time";
