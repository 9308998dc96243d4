import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { CredentialKeeper, type Credentials } from "../../../src/adapters/kubernetes/credentials.ts";
import { KubernetesLease } from "../../../src/adapters/kubernetes/lease.ts";
import { KubernetesTokenReviewer } from "../../../src/adapters/kubernetes/token-review.ts";
import { Transport } from "../../../src/adapters/kubernetes/transport.ts";
import { cutToBytes } from "../../../src/adapters/kubernetes/writer.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { ScriptedApi, sendJson, sendStatus, type Script } from "../../support/scripted-api.ts";
import { silentLog } from "../../support/silent-log.ts";
import { transportTo } from "./support.ts";

const clock = new SystemClock();
const get = { verb: "get", resource: "nodes", path: "/api/v1/nodes/n" };
let api: ScriptedApi;
let script: Script;
let signal: AbortSignal;
beforeEach(async () => {
  signal = new AbortController().signal;
  api = await ScriptedApi.start({
    list: (request, answer) => script(request, answer),
    watch: (_, answer) => void answer.end(),
  });
});
afterEach(() => api.stop());

describe("a call", () => {
  it("says who we are", async () => {
    script = (_, answer) => sendJson(answer, 200, {});
    const transport = transportTo(api.url, clock, { authorization: "Bearer t" });

    await transport.json(get, signal);
    transport.close();

    expect(api.requests[0]?.headers).toMatchObject({
      authorization: "Bearer t",
      "user-agent": "romana-controller/2.0.0",
      accept: "application/json",
    });
  });

  it.for([
    [401, "CLUSTER_UNAUTHENTICATED", "invalid"],
    [403, "CLUSTER_FORBIDDEN", "invalid"],
    [404, "CLUSTER_NOT_FOUND", "not-found"],
    [409, "CLUSTER_CONFLICT", "conflict"],
    [422, "CLUSTER_REFUSED", "invalid"],
    [429, "CLUSTER_UNAVAILABLE", "transient"],
    [500, "CLUSTER_UNAVAILABLE", "transient"],
    [503, "CLUSTER_UNAVAILABLE", "transient"],
  ] as const)("that is answered with %i is %s, with the server's words", async ([status, code, kind]) => {
    script = (_, answer) => sendStatus(answer, status, "words of the server");
    const transport = transportTo(api.url, clock);

    await expect(transport.json(get, signal)).rejects.toMatchObject({
      code,
      kind,
      message: expect.stringContaining("words of the server") as string,
      details: { verb: "get", resource: "nodes", status },
    });
    transport.close();
  });

  it("that is refused because its namespace is being deleted is no matter of roles", async () => {
    script = (_, answer) =>
      sendJson(answer, 403, {
        kind: "Status",
        message: "being terminated",
        details: { causes: [{ reason: "NamespaceTerminating" }] },
      });
    const transport = transportTo(api.url, clock);

    await expect(transport.json(get, signal)).rejects.toMatchObject({ code: "CLUSTER_REFUSED" });
    transport.close();
  });

  it("that is not answered in time is CLUSTER_UNAVAILABLE, and leaves no connection behind", async () => {
    let closed = 0;
    script = (_, answer) => void answer.once("close", () => (closed += 1));
    const transport = transportTo(api.url, clock);

    await expect(transport.json({ ...get, timeoutMs: 30 }, signal)).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
      message: expect.stringContaining("no answer within 30 ms") as string,
    });
    await expect.poll(() => closed).toBe(1);
    transport.close();
  });

  it("whose answer goes on for ever is ended by its time too", async () => {
    script = (_, answer) => void answer.writeHead(200).write("{");
    const transport = transportTo(api.url, clock);

    await expect(transport.json({ ...get, timeoutMs: 50 }, signal)).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
    });
    transport.close();
  });

  it("whose caller gave up rejects with the caller's reason", async () => {
    script = () => undefined;
    const transport = transportTo(api.url, clock);
    const giveUp = new AbortController();
    const call = transport.json(get, giveUp.signal);
    await api.asked({ lists: 1 });

    giveUp.abort(new Error("enough"));

    await expect(call).rejects.toThrow("enough");
    await expect(transport.json(get, giveUp.signal)).rejects.toThrow("enough");
    transport.close();
  });

  it("to nobody is CLUSTER_UNAVAILABLE and names the reason", async () => {
    const { url } = api;
    await api.stop();
    const transport = transportTo(url, clock);

    await expect(transport.json(get, signal)).rejects.toMatchObject({
      code: "CLUSTER_UNAVAILABLE",
      message: expect.stringContaining("ECONNREFUSED") as string,
    });
    transport.close();
    api = await ScriptedApi.start({ list: () => undefined, watch: () => undefined });
  });

  it("after 401 goes out with credentials that were read again", async () => {
    let token = "old";
    script = ({ headers }, answer) =>
      headers.authorization === "Bearer new"
        ? sendJson(answer, 200, {})
        : sendStatus(answer, 401, "Unauthorized");
    const loads: boolean[] = [];
    const load = (anew: boolean): Promise<Credentials> => {
      loads.push(anew);
      return Promise.resolve({ server: api.url, tls: {}, headers: { authorization: `Bearer ${token}` } });
    };
    const credentials = new CredentialKeeper({ load, clock, log: silentLog });
    const transport = new Transport({ credentials, clock, version: "2" });

    await expect(transport.json(get, signal)).rejects.toMatchObject({ code: "CLUSTER_UNAUTHENTICATED" });
    token = "new";
    await transport.json(get, signal);
    await transport.json(get, signal);
    transport.close();

    expect(loads).toEqual([false, true]);
  });
});

describe("a token under review", () => {
  const token = "a-token-that-nobody-may-see";

  it("does not get into the error, even when the server repeats it", async () => {
    script = (_, answer) => sendStatus(answer, 400, `cannot read ${token}`);
    const transport = transportTo(api.url, clock);

    const error = await new KubernetesTokenReviewer(transport)
      .review(token, "romana", signal)
      .catch((failure: unknown) => failure);
    transport.close();

    expect(error).toMatchObject({ code: "CLUSTER_REFUSED" });
    expect(JSON.stringify([error, String(error)])).not.toContain(token);
  });

  it("is refused when the server does not say that it is for our audience", async () => {
    const status = { authenticated: true, user: { username: "u" } };
    script = (_, answer) => sendJson(answer, 201, { status });
    const transport = transportTo(api.url, clock);

    const who = await new KubernetesTokenReviewer(transport).review(token, "romana", signal);
    transport.close();

    expect(who).toBeUndefined();
  });
});

describe("a Lease", () => {
  it("with odd fields is one that nobody holds", async () => {
    script = (_, answer) =>
      sendJson(answer, 200, {
        metadata: { resourceVersion: "1" },
        spec: { holderIdentity: 1, renewTime: "x" },
      });
    const transport = transportTo(api.url, clock);

    const state = await new KubernetesLease({ transport, namespace: "n", name: "l" }).read(signal);
    transport.close();

    expect(state).toMatchObject({ holder: "", renewMs: 0, transitions: 0, url: "" });
  });
});

describe("a note", () => {
  it.for([
    ["short", 10, "short"],
    ["abcdef", 3, "abc"],
    ["aä", 2, "a"],
    ["aä", 3, "aä"],
    ["a€", 3, "a"],
    ["😀😀", 7, "😀"],
  ] as const)("%s in %i bytes is %s", ([text, bytes, cut]) => {
    expect(cutToBytes(text, bytes)).toBe(cut);
  });
});
