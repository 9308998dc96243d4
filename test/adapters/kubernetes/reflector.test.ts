import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { afterEach, describe, expect, it, vi } from "vitest";

import { KubernetesCluster } from "../../../src/adapters/kubernetes/kubernetes-cluster.ts";
import type { ClusterServiceCidr } from "../../../src/core/cluster/objects.ts";
import { ObjectView } from "../../../src/services/cluster/object-view.ts";
import {
  eventLine,
  GONE_LINE,
  rawNamespace,
  ScriptedApi,
  sendJson,
  sendList,
  sendStatus,
  type Script,
} from "../../support/scripted-api.ts";
import { followNamespaces, HurriedClock, keptLog, transportTo } from "./support.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    await cleanup();
  }
});

/** A watch on which nothing comes. */
const quiet: Script = (_, answer) => keepOpen(answer);

function keepOpen(answer: ServerResponse): void {
  answer.writeHead(200);
  answer.flushHeaders();
}

async function world(
  script: { readonly list: Script; readonly watch: Script },
  times: Parameters<typeof followNamespaces>[1] = {},
  maxBodyBytes?: number,
): Promise<{ readonly api: ScriptedApi } & ReturnType<typeof followNamespaces>> {
  const api = await ScriptedApi.start(script);
  cleanups.push(() => api.stop());
  const followed = followNamespaces(api.url, times, maxBodyBytes);
  cleanups.push(followed.stop);
  return { api, ...followed };
}

describe("a list", () => {
  it("is read page by page, and handed over as one", async () => {
    const { api, names, view } = await world({
      list: ({ query }, answer) => {
        const page = Number(query.get("continue") ?? "1");
        sendList(answer, 7, [rawNamespace(`ns-${page}`, page)], page < 3 ? String(page + 1) : "");
      },
      watch: quiet,
    });

    await api.asked({ watches: 1 });

    expect(view.synced).toBe(true);
    expect(names()).toEqual(["ns-1", "ns-2", "ns-3"]);
    expect(api.lists.map(({ query }) => query.get("limit"))).toEqual(["500", "500", "500"]);
    expect(api.watches[0]?.query.get("resourceVersion")).toBe("7");
  });

  it("starts over when a later page answers 410, whatever token comes with it", async () => {
    const { api, names } = await world({
      list: ({ query, index }, answer) => {
        if (query.get("continue") === null) {
          sendList(answer, 7 + index, [rawNamespace("a", 1)], "next");
        } else if (index === 1) {
          sendStatus(answer, 410, "The provided continue parameter is too old", {
            continue: "inconsistent",
          });
        } else {
          sendList(answer, 7 + index, [rawNamespace("b", 2)]);
        }
      },
      watch: quiet,
    });

    await api.asked({ watches: 1 });

    expect(api.lists.map(({ query }) => query.get("continue"))).toEqual([null, "next", null, "next"]);
    expect(names()).toEqual(["a", "b"]);
  });

  it.for<[string, Script]>([
    ["no JSON", (_, answer) => void answer.writeHead(200).end("<html>")],
    ["JSON that is no list", (_, answer) => sendJson(answer, 200, { kind: "Namespace" })],
    ["cut off in the middle", (_, answer) => void answer.writeHead(200, { "content-length": 99 }).write("{")],
    ["an error of the server", (_, answer) => sendStatus(answer, 500, "etcdserver: request timed out")],
    ["a redirection", (_, answer) => void answer.writeHead(302, { location: "/" }).end()],
  ])("that is answered with %s is asked for again, and nothing is handed over", async ([, first]) => {
    const { api, names, view, cluster } = await world({
      list: async (request, answer) => {
        if (request.index > 0) {
          sendList(answer, 7, [rawNamespace("a", 1)]);
          return;
        }
        await first(request, answer);
        if (!answer.writableEnded) {
          setImmediate(() => answer.destroy());
        }
      },
      watch: quiet,
    });

    await api.asked({ lists: 1 });
    expect(view.synced).toBe(false);
    await api.asked({ watches: 1 });

    expect(names()).toEqual(["a"]);
    expect(cluster.state("namespaces").lists).toBe(2);
  });

  it("asks for smaller pages when one is longer than may be taken", async () => {
    const many = Array.from({ length: 500 }, (_, index) => rawNamespace(`ns-${index}`, index + 1));
    const { api, view } = await world(
      {
        list: ({ query }, answer) => {
          const from = Number(query.get("continue") ?? "0");
          const to = from + Number(query.get("limit"));
          sendList(answer, 7, many.slice(from, to), to < many.length ? String(to) : "");
        },
        watch: quiet,
      },
      {},
      20_000,
    );

    await api.asked({ watches: 1 });

    expect(view.size).toBe(500);
    expect(api.lists.at(-1)?.query.get("limit")).toBe("125");
  });

  it("gives what is gone as gone, and what came back under its name as another object", async () => {
    const { api, view, names } = await world({
      list: ({ index }, answer) =>
        index === 0
          ? sendList(answer, 7, [rawNamespace("a", 1), rawNamespace("b", 2)])
          : sendList(answer, 9, [rawNamespace("b", 8, "another-uid")]),
      watch: ({ index }, answer) => void (index === 0 ? answer.end(GONE_LINE) : keepOpen(answer)),
    });
    const changes: string[] = [];
    view.onChange(({ kind, object }) => changes.push(`${kind} ${object.name} ${object.uid}`));

    await api.asked({ watches: 2 });

    expect(names()).toEqual(["b"]);
    expect(changes).toEqual([
      "put a uid-of-a",
      "put b uid-of-b",
      "delete a uid-of-a",
      "delete b uid-of-b",
      "put b another-uid",
    ]);
  });

  it("keeps an object that did not change as the object that it was", async () => {
    const { api, view } = await world({
      list: ({ index }, answer) => sendList(answer, 7 + index, [rawNamespace("a", 1)]),
      watch: ({ index }, answer) => void (index === 0 ? answer.end(GONE_LINE) : keepOpen(answer)),
    });
    await api.asked({ watches: 1 });
    const first = view.get("a");

    await api.asked({ watches: 2 });

    expect(view.get("a")).toBe(first);
  });
});

describe("a watch", () => {
  it("brings what is added, changed and deleted, however its lines are cut", async () => {
    const text = [
      eventLine("ADDED", rawNamespace("größe", 8)),
      eventLine("ADDED", rawNamespace("b", 9)),
      eventLine("MODIFIED", rawNamespace("b", 10)),
      eventLine("DELETED", rawNamespace("a", 11)),
    ].join("");
    const { api, names, view } = await world({
      list: (_, answer) => sendList(answer, 7, [rawNamespace("a", 1)]),
      watch: async ({ index }, answer) => {
        if (index > 0) {
          keepOpen(answer);
          return;
        }
        const bytes = Buffer.from(text);
        answer.writeHead(200);
        // One byte at a time: in the middle of a character and of a line.
        for (const byte of bytes) {
          answer.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
        answer.end();
      },
    });

    await api.asked({ watches: 2 });

    expect(names()).toEqual(["b", "größe"]);
    expect(view.get("b")?.resourceVersion).toBe("10");
    expect(api.watches[1]?.query.get("resourceVersion")).toBe("11");
    expect(api.lists).toHaveLength(1);
  });

  it("asks for bookmarks and for an end after 5 to 10 minutes, and goes on after its end from the last bookmark without a list", async () => {
    const { api } = await world({
      list: (_, answer) => sendList(answer, 7, []),
      watch: ({ index }, answer) =>
        void (index === 0
          ? answer.end(eventLine("BOOKMARK", { metadata: { resourceVersion: "70" } }))
          : keepOpen(answer)),
    });

    await api.asked({ watches: 2 });

    const [first, second] = api.watches;
    expect(first?.query.get("allowWatchBookmarks")).toBe("true");
    expect(first?.query.get("timeoutSeconds")).toBe("450");
    expect(second?.query.get("resourceVersion")).toBe("70");
    expect(api.lists).toHaveLength(1);
  });

  it.for<[string, Script]>([
    ["is cut", (_, answer) => void setImmediate(() => answer.destroy())],
    ["is answered with 500", (_, answer) => sendStatus(answer, 500, "internal")],
    ["is answered with 429", (_, answer) => sendStatus(answer, 429, "storage is (re)initializing")],
    ["ends in the middle of a line", (_, answer) => void answer.end('{"type":"ADDED","object":{"me')],
  ])("that %s goes on from the last version, without a list", async ([, failing]) => {
    const { api, names } = await world({
      list: (_, answer) => sendList(answer, 7, [rawNamespace("a", 1)]),
      watch: async (request, answer) => {
        if (request.index === 0) {
          answer.writeHead(200);
          answer.end(eventLine("ADDED", rawNamespace("b", 8)));
        } else if (request.index === 1) {
          await failing(request, answer);
        } else {
          keepOpen(answer);
        }
      },
    });

    await api.asked({ watches: 3 });

    expect(api.watches[2]?.query.get("resourceVersion")).toBe("8");
    expect(api.lists).toHaveLength(1);
    expect(names()).toEqual(["a", "b"]);
  });

  it.for<[string, Script]>([
    ["a line is no JSON", (_, answer) => void answer.write("not JSON\n")],
    ["a line is no event", (_, answer) => void answer.write('{"kind":"Status"}\n')],
    ["an event is of a kind that is not known", (_, answer) => void answer.write(eventLine("MOVED", {}))],
    [
      "something is deleted that does not say what",
      (_, answer) => void answer.write(eventLine("DELETED", {})),
    ],
    ["it says 410 in an event", (_, answer) => void answer.write(GONE_LINE)],
    ["it says 500 in an event", (_, answer) => void answer.write(eventLine("ERROR", { code: 500 }))],
    ["it is answered with 410", (_, answer) => sendStatus(answer, 410, "too old")],
    ["its version is of a later time than the server's", (_, answer) => sendStatus(answer, 504, "Too large")],
  ])("leads to a list when %s", async ([, failing]) => {
    const { api, names, cluster } = await world({
      list: ({ index }, answer) =>
        sendList(answer, 7 + index, index === 0 ? [rawNamespace("a", 1)] : [rawNamespace("b", 8)]),
      watch: (request, answer) => (request.index === 0 ? failing(request, answer) : keepOpen(answer)),
    });

    await api.asked({ watches: 2 });

    expect(api.lists).toHaveLength(2);
    expect(api.watches[1]?.query.get("resourceVersion")).toBe("8");
    expect(names()).toEqual(["b"]);
    await vi.waitFor(() => expect(cluster.state("namespaces").problem).toBe(""), { timeout: 5000 });
  });

  it("is cut when nothing comes for too long, and goes on without a list", async () => {
    const { api, cluster } = await world(
      { list: (_, answer) => sendList(answer, 7, []), watch: quiet },
      { silenceMs: 50 },
    );

    await api.asked({ watches: 3 });

    expect(api.lists).toHaveLength(1);
    expect(cluster.state("namespaces").watches).toBeGreaterThanOrEqual(3);
    // Where nothing changes, silence is no fault.
    expect(cluster.state("namespaces").problem).toBe("");
  });

  it("is not cut while something comes, if only bookmarks", async () => {
    const { api } = await world(
      {
        list: (_, answer) => sendList(answer, 7, []),
        watch: async (_, answer) => {
          answer.writeHead(200);
          for (let sent = 0; sent < 20 && !answer.destroyed; sent += 1) {
            answer.write(eventLine("BOOKMARK", { metadata: { resourceVersion: "8" } }));
            await sleep(20);
          }
          answer.end();
        },
      },
      { silenceMs: 300 },
    );

    await api.asked({ watches: 2 });

    // 20 bookmarks took longer than the silence that is allowed: the end was the server's.
    expect(api.watches[1]?.query.get("resourceVersion")).toBe("8");
    expect(api.lists).toHaveLength(1);
  });

  it("that ends at once again and again is asked for with growing pauses of at most 2 s", async () => {
    const { api, clock } = await world({
      list: (_, answer) => sendList(answer, 7, []),
      watch: (_, answer) => void answer.end(),
    });

    await api.asked({ watches: 8 });

    expect(clock.pauses.slice(0, 7)).toEqual([75, 150, 300, 600, 1200, 1500, 1500]);
    expect(api.lists).toHaveLength(1);
  });
});

describe("a storm of 410s", () => {
  it("costs one list at a time with growing pauses, and the last state stands throughout", async () => {
    const sizes = new Set<number>();
    const { api, view, clock, lines } = await world({
      list: ({ index }, answer) => {
        if (index > 0) {
          sizes.add(view.size);
        }
        sendList(answer, 7 + index, [rawNamespace("a", 1), rawNamespace("b", 2)]);
      },
      watch: ({ index }, answer) => void (index < 10 ? answer.end(GONE_LINE) : keepOpen(answer)),
    });

    await api.asked({ watches: 11 });

    expect(api.lists).toHaveLength(11);
    expect(api.mostLists).toBe(1);
    expect([...sizes]).toEqual([2]);
    expect(clock.pauses.slice(0, 10)).toEqual([75, 150, 300, 600, 1200, 1500, 1500, 1500, 1500, 1500]);
    // Once, not ten times.
    expect(lines.filter(({ message }) => message.includes("is not followed"))).toHaveLength(1);
    expect(lines.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
  });
});

describe("a role that lacks a verb", () => {
  it("is said by name, once in the log, and the last state stands until it is back", async () => {
    let isAllowed = true;
    const { api, view, cluster, lines, names } = await world({
      list: (_, answer) =>
        isAllowed
          ? sendList(answer, 7, [rawNamespace("a", 1)])
          : sendStatus(answer, 403, 'namespaces is forbidden: User "x" cannot list'),
      watch: ({ index }, answer) => {
        if (index === 0) {
          isAllowed = false;
          answer.end(GONE_LINE);
        } else {
          keepOpen(answer);
        }
      },
    });

    await api.asked({ lists: 4 });
    const refused = cluster.state("namespaces");
    expect(names()).toEqual(["a"]);
    expect(view.synced).toBe(true);
    isAllowed = true;
    await api.asked({ watches: 2 });

    expect(refused.missingVerb).toBe("list namespaces");
    expect(refused.problem).toMatch(/^list namespaces: .*403.*cannot list/);
    await vi.waitFor(
      () => expect(cluster.state("namespaces")).toMatchObject({ problem: "", missingVerb: "" }),
      { timeout: 5000 },
    );
    expect(lines.filter(({ level }) => level === "warn")).toMatchObject([
      { fields: { missingVerb: "list namespaces", code: "CLUSTER_FORBIDDEN" } },
    ]);
    expect(lines.at(-1)?.message).toContain("is followed again");
  });
});

describe("a kind that the server does not have", () => {
  it("is an empty list, said once, and asked for again after a while", async () => {
    const api = await ScriptedApi.start({
      list: ({ index }, answer) =>
        index < 2
          ? sendStatus(answer, 404, "the server could not find the requested resource")
          : sendList(answer, 7, [
              {
                metadata: { name: "kubernetes", uid: "u", resourceVersion: "1" },
                spec: { cidrs: ["10.96.0.0/12"] },
              },
            ]),
      watch: quiet,
    });
    cleanups.push(() => api.stop());
    const clock = new HurriedClock();
    const { log, lines } = keptLog();
    const transport = transportTo(api.url, clock);
    const times = { absentMs: 1000 };
    const cluster = new KubernetesCluster({ transport, clock, log, random: () => 0.5, times });
    const view = new ObjectView<ClusterServiceCidr>();
    const sizes: number[] = [];
    view.onSynced(() => sizes.push(view.size));
    const end = new AbortController();
    const work = cluster.follow("servicecidrs", view, end.signal);

    await api.asked({ watches: 1 });
    end.abort(new Error("the test is over"));
    await work;
    transport.close();

    expect(sizes).toEqual([0, 0, 1]);
    expect(clock.pauses.slice(0, 2)).toEqual([1000, 1000]);
    expect(cluster.state("servicecidrs").problem).toBe("");
    expect(lines.filter(({ message }) => message.includes("does not have this kind"))).toHaveLength(1);
  });

  it("is a problem for one that every server has", async () => {
    const { api, cluster, view } = await world({
      list: ({ index }, answer) =>
        index < 2 ? sendStatus(answer, 404, "nothing here") : sendList(answer, 7, []),
      watch: quiet,
    });

    await api.asked({ lists: 2 });
    expect(view.synced).toBe(false);
    expect(cluster.state("namespaces").problem).toContain("404");
    await api.asked({ watches: 1 });

    expect(view.synced).toBe(true);
  });
});

describe("an object that does not say who it is", () => {
  it("stops none of the others, and is said once and counted until it is gone", async () => {
    const odd = { metadata: { name: "odd" } };
    const { api, cluster, lines, names } = await world({
      list: ({ index }, answer) =>
        sendList(answer, 7 + index, index < 2 ? [odd, rawNamespace("a", 1)] : [rawNamespace("a", 1)]),
      watch: ({ index }, answer) => {
        if (index < 2) {
          answer.write(eventLine("ADDED", odd));
          answer.write(eventLine("ADDED", rawNamespace("b", 9)));
          answer.end(GONE_LINE);
        } else {
          keepOpen(answer);
        }
      },
    });

    await api.asked({ watches: 2 });
    expect(cluster.state("namespaces").unreadable).toBe(1);
    await api.asked({ watches: 3 });

    expect(names()).toEqual(["a"]);
    expect(cluster.state("namespaces").unreadable).toBe(0);
    expect(lines.filter(({ level }) => level === "error")).toMatchObject([{ fields: { name: "?/odd" } }]);
  });
});
