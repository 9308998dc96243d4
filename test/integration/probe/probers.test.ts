import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { ProbeTarget } from "../../../src/core/health/state.ts";
import { formatIpv4 } from "../../../src/core/net/ipv4.ts";
import { canMakeNamespaces, type ProbeChild, ProbeNamespace } from "../../support/probe-namespace.ts";
import { skipUnless } from "../../support/skip.ts";

interface Heard {
  readonly heard: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, string>>;
}

interface Snapshot {
  readonly blind: boolean;
  readonly nodes: Readonly<Record<string, string>>;
}

const ALIVE = "127.0.1.1";
const OTHER = "127.0.1.2";
const MANY = Array.from({ length: 40 }, (_, index) => `127.0.2.${index + 1}`);

function target(
  host: string,
  last: number,
  role: ProbeTarget["role"],
  standIns: readonly string[],
): ProbeTarget {
  return {
    host,
    address: formatIpv4(127 * 2 ** 24 + 3 * 2 ** 8 + last),
    role,
    standIns,
    zone: `zone-${last}`,
  };
}

describe.skipIf(skipUnless(canMakeNamespaces(), "root, ip and nft, which make a namespace for the probers"))(
  "probers in a namespace of their own",
  () => {
    let namespace: ProbeNamespace;

    beforeAll(() => {
      namespace = new ProbeNamespace();
    });

    beforeEach(() => {
      namespace.heal();
    });

    afterEach(async () => {
      await namespace.quiet();
    });

    afterAll(async () => {
      await namespace.close();
    });

    async function open(
      settings: { readonly sessionId?: number; readonly port?: number } = {},
    ): Promise<ProbeChild> {
      const child = namespace.child();
      await child.ask({ do: "open", name: "p", ...settings });
      return child;
    }

    function hear(child: ProbeChild, addresses: readonly string[], rounds = 3): Promise<Heard> {
      return child.ask({
        do: "probe",
        names: ["p"],
        addresses: [addresses],
        rounds,
        everyMs: 20,
        listenMs: 1_200,
      });
    }

    describe("ICMP", () => {
      it("hears an answer, silence, an ICMP error and its own failed send apart, and again the answer when all is healed", async () => {
        const child = await open();
        namespace.add("dead", "127.0.1.3");
        namespace.add("rejecting", "127.0.1.4");
        namespace.add("unsendable", "127.0.1.5");
        const addresses = [ALIVE, "127.0.1.3", "127.0.1.4", "127.0.1.5"];

        const { heard, reasons } = await hear(child, addresses);
        namespace.heal();
        const healed = await hear(child, addresses);

        expect(heard).toEqual({
          [`p ${ALIVE} answer`]: 3,
          "p 127.0.1.4 error": 3,
          "p 127.0.1.5 send-failed": 3,
        });
        expect(reasons["p 127.0.1.5 send-failed"]).toContain("not permitted");
        expect(healed.heard).toEqual(
          Object.fromEntries(addresses.map((address) => [`p ${address} answer`, 3])),
        );
      });

      it("is told at once when there is no route to a target", async () => {
        const child = await open();

        const { heard, reasons } = await hear(child, ["192.0.2.1"], 1);

        expect(heard).toEqual({ "p 192.0.2.1 send-failed": 1 });
        expect(reasons["p 192.0.2.1 send-failed"]).toContain("unreachable");
      });

      it("takes no answer that another prober asked for, even under the same identifier and in step", async () => {
        const child = namespace.child();
        await child.ask({ do: "open", name: "p", sessionId: 4_711 });
        await child.ask({ do: "open", name: "q", sessionId: 4_711 });
        namespace.add("dead", OTHER);

        const { heard } = await child.ask<Heard>({
          do: "probe",
          names: ["p", "q"],
          addresses: [[ALIVE], [OTHER]],
          rounds: 50,
          everyMs: 5,
          listenMs: 1_200,
        });

        expect(heard).toEqual({ [`p ${ALIVE} answer`]: 50 });
      });

      it("leaves two probers of one namespace alone with each other", async () => {
        const children = await Promise.all([open(), open()]);
        namespace.add("dead", OTHER);

        const heard = await Promise.all([
          hear(children[0] ?? raise(), [ALIVE], 50),
          hear(children[1] ?? raise(), [OTHER], 50),
        ]);

        expect(heard.map((each) => each.heard)).toEqual([{ [`p ${ALIVE} answer`]: 50 }, {}]);
      });

      it("reads its socket while it has nothing to ask, so that others' ICMP does not fill the buffer", async () => {
        const child = await open();
        await hear(child, [ALIVE], 1);
        const still = await open();
        still.signal("SIGSTOP");
        const noisy = namespace.child();
        await noisy.ask({ do: "open", name: "q" });
        // Three times what a buffer takes, and so slowly that a reader may wait for its turn on a busy machine.
        await noisy.ask({
          do: "probe",
          names: ["q"],
          addresses: [MANY.slice(0, 10)],
          rounds: 50,
          everyMs: 20,
          listenMs: 0,
        });

        // The last column counts what was dropped for want of room (proc_net raw, "drops").
        const sockets = namespace.run("cat", "/proc/net/raw").trim().split("\n").slice(1);
        const dropped = sockets.map((line) => Number(line.split(/\s+/).at(-1))).toSorted((a, b) => a - b);

        expect(dropped).toEqual([0, 0, expect.any(Number)]);
        // Only the one that stands still.
        expect(dropped.at(-1)).toBeGreaterThan(0);
        still.signal("SIGCONT");
      });

      it("hears every answer in a stall of 400 ms, once it has settled", async () => {
        const child = await open();

        const counted = await child.ask<{ readonly before: number; readonly after: number }>({
          do: "stall",
          name: "p",
          addresses: MANY,
          rounds: 5,
          stallMs: 400,
        });

        expect(counted.after).toBe(5 * MANY.length);
        // Without settling they would have been lost: the answers lay unread when the deadline passed.
        expect(counted.before).toBeLessThan(5 * MANY.length);
      });

      it("does not take our own kernel's word, when a neighbour is silent, for an answer of the network", async () => {
        const child = await open();
        namespace.run("ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1");
        namespace.run("ip", "address", "add", "10.9.9.1/24", "dev", "probe0");
        namespace.run("ip", "link", "set", "probe0", "up");
        namespace.run("ip", "link", "set", "probe1", "up");
        const before = namespace.unreachables();

        const { heard } = await child.ask<Heard>({
          do: "probe",
          names: ["p"],
          addresses: [["10.9.9.9"]],
          rounds: 80,
          everyMs: 50,
          listenMs: 500,
        });

        expect(heard).toEqual({});
        // The kernel did complain, about several probes that were still listened for.
        expect(namespace.unreachables() - before).toBeGreaterThan(0);
      });

      it("says what it lacks when the kernel refuses the socket", async () => {
        const child = namespace.child("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw");

        await expect(child.ask({ do: "open", name: "p" })).rejects.toThrow(/^PROBER_FORBIDDEN: .*NET_RAW/);
      });
    });

    describe("TCP", () => {
      it("hears a refusal as an answer, and silence, an ICMP error and its own failed send apart", async () => {
        const child = await open({ port: 9 });
        namespace.add("dead", "127.0.1.3");
        namespace.add("rejecting", "127.0.1.4");
        namespace.add("unsendable", "127.0.1.5");

        const { heard } = await hear(child, [ALIVE, "127.0.1.3", "127.0.1.4", "127.0.1.5", "192.0.2.1"]);

        expect(heard).toEqual({
          [`p ${ALIVE} answer`]: 3,
          "p 127.0.1.4 error": 3,
          "p 192.0.2.1 send-failed": 3,
        });
      });

      it("hears every answer in a stall of 400 ms, once it has settled", async () => {
        const child = await open({ port: 9 });

        const counted = await child.ask<{ readonly after: number }>({
          do: "stall",
          name: "p",
          addresses: MANY,
          rounds: 3,
          stallMs: 400,
        });

        expect(counted.after).toBe(3 * MANY.length);
      });
    });

    describe("the monitor on real packets", () => {
      it("finds a silent gateway, holds it down when it is healed, and does not judge one that it cannot send to", async () => {
        const child = await open();
        const targets = [
          target("g", 1, "gateway", ["s"]),
          target("s", 2, "stand-in", ["g"]),
          target("h", 3, "gateway", ["s"]),
        ];
        const snapshot = (): Promise<Snapshot> => child.ask<Snapshot>({ do: "snapshot" });
        await child.ask({ do: "monitor", name: "p", targets });
        await expect
          .poll(snapshot, { timeout: 10_000 })
          .toEqual({ blind: false, nodes: { g: "up", s: "up", h: "up" } });
        // The verdicts come on a way of their own.
        await expect
          .poll(() => new Set(child.verdicts.map(({ host }) => host)))
          .toEqual(new Set(["g", "h", "s"]));
        child.verdicts.length = 0;

        const silentMs = Date.now();
        namespace.add("dead", "127.0.3.1");
        await expect.poll(() => child.verdicts.length, { timeout: 10_000 }).toBe(1);
        const [verdict] = child.verdicts;
        expect(verdict).toMatchObject({ kind: "down", host: "g" });
        expect(verdict?.answered.toSorted()).toEqual(["h", "s"]);
        expect((verdict?.wallMs ?? 0) - silentMs).toBeGreaterThanOrEqual(549);

        namespace.add("unsendable", "127.0.3.3");
        await expect
          .poll(snapshot, { timeout: 5_000 })
          .toEqual({ blind: false, nodes: { g: "down", s: "up", h: "unmeasured" } });

        namespace.heal();
        await expect
          .poll(snapshot, { timeout: 5_000 })
          .toEqual({ blind: false, nodes: { g: "rising", s: "up", h: "up" } });
        expect(child.verdicts).toHaveLength(1);
      });
    });
  },
);

function raise(): never {
  throw new Error("two probing processes were opened");
}
