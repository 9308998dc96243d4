import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";

import { afterEach, expect, it, vi } from "vitest";

import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import { emptyServer } from "../../api/support.ts";
import { policy } from "../../services/watch-support.ts";

const signal = new AbortController().signal;
const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) {
    await close();
  }
});

async function serving() {
  const parts = await emptyServer();
  await parts.app.listen({ host: "127.0.0.1", port: 0 });
  closers.push(() => parts.app.close());
  return { ...parts, port: (parts.app.server.address() as AddressInfo).port };
}

/** A stream on a bare socket: what a thousand clients cost shall not hide what the server costs. */
async function open(port: number, path: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  closers.push(() => {
    socket.destroy();
  });
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
}

it("serves a thousand streams within 100 MB and 100 µs for each event and stream", async () => {
  const { port, policies, feed } = await serving();
  const streams = 1000;
  const rounds = 50;
  const before = process.memoryUsage().rss;
  const ends = Array.from({ length: streams }, () => false);
  for (let index = 0; index < streams; index += 1) {
    const socket = await open(port, "/watch/policy-documents");
    let tail = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      tail = (tail + text).slice(-4000);
      ends[index] ||= tail.includes(`"description":"round ${rounds - 1}"`);
    });
  }
  await vi.waitUntil(() => feed.streams === streams, { timeout: 20_000 });
  const openBytes = process.memoryUsage().rss - before;

  const started = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) {
    await policies.save(policy("p", `round ${round}`), signal);
  }
  await vi.waitUntil(() => ends.every(Boolean), { timeout: 30_000 });
  const { user, system } = process.cpuUsage(started);
  const microseconds = (user + system) / (streams * rounds);

  // Both sides run in this process, so the readers' part is in these figures.
  expect(openBytes).toBeLessThan(100e6);
  expect(microseconds).toBeLessThan(100);
});

it("cuts off a reader that stands still, while another on the same feed gets everything", async () => {
  const { port, policies, feed, log } = await serving();
  const still = await open(port, "/watch/policy-documents");
  await vi.waitUntil(() => feed.streams === 1);
  still.pause();
  const reading = await open(port, "/watch/policy-documents");
  let text = "";
  reading.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-200_000);
  });
  await vi.waitUntil(() => feed.streams === 2);

  // The kernel takes some megabytes before anything waits in the process.
  for (let round = 0; feed.streams === 2 && round < 1000; round += 1) {
    await policies.save(
      Array.from({ length: 20 }, (_, index) => policy(`p${index}`, `${round} `.padEnd(4000, "x"))),
      signal,
    );
    await vi.waitUntil(() => text.includes(`"description":"${round} `), { timeout: 5000, interval: 2 });
  }

  expect(feed.streams).toBe(1);
  expect(log.lines.map(({ message }) => message)).toContain(
    "a reader of a watch stream is too far behind and was cut off",
  );
});

it("lists everything to a slow reader piece by piece, without keeping it all in memory", async () => {
  const { port, addressing, feed } = await serving();
  await addressing.updateTopology(
    {
      networks: [{ name: "n", cidr: "10.0.0.0/16", block_mask: 24 }],
      topologies: [{ networks: ["n"], map: [{ name: "all" }] }],
    },
    signal,
  );
  await addressing.addHost({ name: "h", ip: parseIpv4("192.168.0.1"), tags: {}, origin: "api" }, signal);
  const names = Array.from({ length: 3000 }, (_, index) => `${"pod".padEnd(600, "x")}${index}`);
  await Promise.all(
    names.map((name) => addressing.allocate({ name, host: "h", tenant: "t", segment: "s" }, signal)),
  );
  const socket = await open(port, "/watch/addresses?revision=0");
  socket.pause();
  await vi.waitUntil(() => feed.streams === 1);
  await addressing.release(names[0] ?? "", signal);

  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.resume();
  await vi.waitUntil(() => text.includes("event: bookmark"), { timeout: 20_000 });

  const puts = new Set([...text.matchAll(/"name":"podx+(\d+)"/g)].map(([, index]) => index));
  expect(puts.size).toBe(3000);
});
