import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";

import type { Session } from "net-ping";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { createProber } from "../../../src/adapters/probe/create-prober.ts";
import { createIcmpProber } from "../../../src/adapters/probe/icmp-prober.ts";
import { createTcpProber } from "../../../src/adapters/probe/tcp-prober.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import type { Prober, ProbeOutcome } from "../../../src/ports/prober.ts";

const HOME = parseIpv4("127.0.0.1");

function outcomeOf(prober: Prober): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    prober.probe(HOME, resolve);
  });
}

describe("ICMP", () => {
  it("says how to build net-ping's native part, and that TCP probes do without, where it is not built", async () => {
    const missing = new Error("Cannot find module './build/Release/raw.node'");

    await expect(createIcmpProber({ load: () => Promise.reject(missing) })).rejects.toMatchObject({
      kind: "invalid",
      code: "PROBER_UNAVAILABLE",
      message: expect.stringMatching(/make deps.*--probe tcp/) as string,
      cause: missing,
    });
  });

  it("says that NET_RAW is lacking where the socket is refused", async () => {
    const createSession = (): Session => {
      throw new Error("Operation not permitted");
    };

    await expect(createIcmpProber({ load: () => Promise.resolve({ createSession }) })).rejects.toMatchObject({
      code: "PROBER_FORBIDDEN",
    });
  });
});

describe("TCP", () => {
  let server: Server;
  let port = 0;
  let accepted = 0;

  beforeEach(async () => {
    accepted = 0;
    server = createServer((socket) => {
      accepted += 1;
      socket.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve) => {
      server.listen(0, HOME, resolve);
    });
    const address = server.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });

  afterEach(async () => {
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });

  it("takes an open port and a closed one for an answer", async () => {
    const prober = await createProber({ kind: "tcp", port });
    const open = await outcomeOf(prober);
    await new Promise((resolve) => {
      server.close(resolve);
    });
    const closed = await outcomeOf(prober);
    prober.close();

    expect([open, closed]).toEqual([{ kind: "answer" }, { kind: "answer" }]);
  });

  it("leaves no connection behind in TIME_WAIT, and none open", async () => {
    const suffix = port.toString(16).toUpperCase().padStart(4, "0");
    const sockets = async (): Promise<ReadonlyMap<string, string>> => {
      const table = (await readFile("/proc/net/tcp", "utf8"))
        .split("\n")
        .map((line) => line.trim().split(/\s+/));
      return new Map(
        table.flatMap(([, local = "", remote = "", state = ""]) =>
          local.endsWith(`:${suffix}`) || remote.endsWith(`:${suffix}`)
            ? [[`${local} ${remote}`, state]]
            : [],
        ),
      );
    };
    // The kernel gives out ports on which somebody's connections stay in TIME_WAIT: those are none of ours.
    const before = await sockets();
    // 0A is LISTEN, 06 would be TIME_WAIT (include/net/tcp_states.h).
    expect([...before.values()]).toContain("0A");

    const prober = createTcpProber({ port });
    for (let round = 0; round < 20; round += 1) {
      expect(await outcomeOf(prober)).toEqual({ kind: "answer" });
    }

    await expect.poll(() => accepted).toBe(20);
    await expect.poll(async () => [...(await sockets())].filter(([pair]) => !before.has(pair))).toEqual([]);
    prober.close();
  });

  it("has sent what was probed before and heard the answers when it has settled", async () => {
    const prober = createTcpProber({ port });
    let answers = 0;
    for (let count = 0; count < 50; count += 1) {
      prober.probe(HOME, ({ kind }) => {
        answers += kind === "answer" ? 1 : 0;
      });
    }
    await new Promise<void>((resolve) => {
      setTimeout(() => prober.settle(resolve), 20);
    });
    prober.close();

    expect(answers).toBe(50);
  });

  it("opens no more connections at once than it may: the next probe could not be sent", async () => {
    const prober = createTcpProber({ port, maxSockets: 1 });
    const first = outcomeOf(prober);
    const second = await outcomeOf(prober);

    expect(second).toEqual({ kind: "send-failed", reason: "1 connections are being opened already" });
    expect(await first).toEqual({ kind: "answer" });
    expect(await outcomeOf(prober)).toEqual({ kind: "answer" });
    prober.close();
  });

  it("sends nothing after it was closed, and tells no more of what it had sent", async () => {
    const prober = createTcpProber({ port });
    const heard: ProbeOutcome[] = [];
    prober.probe(HOME, (outcome) => heard.push(outcome));
    prober.close();
    const after = await outcomeOf(prober);
    await new Promise<void>((resolve) => {
      prober.settle(resolve);
    });

    expect(after.kind).toBe("send-failed");
    expect(heard).toEqual([]);
  });

  it.for([0, 65_536, 1.5])("refuses port %d", (wrong) => {
    expect(() => createTcpProber({ port: wrong })).toThrow("must be from 1 to 65535");
  });

  it("refuses to have no sockets", () => {
    expect(() => createTcpProber({ port: 1, maxSockets: 0 })).toThrow("must be from 1 to 60000");
  });
});
