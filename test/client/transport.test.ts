import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import { RomanaClient } from "../../src/client/client.ts";
import { distrusted } from "../../src/client/distrusted.ts";
import { parseEndpoint } from "../../src/client/http.ts";
import { Transport, type ExchangeNote } from "../../src/client/transport.ts";

const closers: (() => Promise<unknown>)[] = [];
const never = new AbortController().signal;

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) {
    await close();
  }
});

/** A server that remembers what it was asked, on one of the machine's own addresses. */
async function serve(answer: RequestListener, address = "127.0.0.1") {
  const requests: Pick<IncomingMessage, "method" | "url" | "headers">[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, address, resolve);
  });
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return { url: `http://${address}:${(server.address() as AddressInfo).port}`, requests };
}

function pointTo(location: string): RequestListener {
  return (_request, response) => {
    response.writeHead(307, { location, "content-type": "application/problem+json" });
    response.end(
      JSON.stringify({
        status_code: 307,
        message: "ask the leader",
        type: "urn:romana:error:transient:NOT_LEADER",
      }),
    );
  };
}

const done: RequestListener = (request, response) => {
  request.pipe(response);
};

function transportTo(url: string, token?: string) {
  const notes: ExchangeNote[] = [];
  const transport = new Transport({
    endpoint: parseEndpoint(url, 9600),
    credentials: token === undefined ? {} : { token },
    signal: never,
    observe: (note) => void notes.push(note),
  });
  return { notes, transport };
}

describe("a follower that points to the leader", () => {
  it("is left for it, with the same method, body and token, and the path that it gave", async () => {
    const leader = await serve(done);
    const follower = await serve(pointTo(`${leader.url}/rebalance?x=1`));
    const { transport, notes } = transportTo(follower.url, "secret");

    const answer = await transport.request({
      method: "POST",
      path: "/rebalance",
      body: { a: 1 },
      deadlineMs: 5000,
    });

    expect(answer).toEqual({ a: 1 });
    expect(leader.requests).toMatchObject([
      { method: "POST", url: "/rebalance?x=1", headers: { authorization: "Bearer secret" } },
    ]);
    expect(notes.map(({ place, outcome }) => [place, outcome])).toEqual([
      [follower.url, "NOT_LEADER"],
      [leader.url, "ok"],
    ]);
  });

  it("is followed once only", async () => {
    const second = await serve(pointTo("http://127.0.0.1:1/plan"));
    const first = await serve(pointTo(`${second.url}/plan`));

    const answer = transportTo(first.url).transport.request({
      method: "GET",
      path: "/plan",
      deadlineMs: 5000,
    });

    await expect(answer).rejects.toMatchObject({
      kind: "transient",
      code: "NOT_LEADER",
      message: "ask the leader",
    });
  });

  it("gets no token sent to another host without TLS", async () => {
    const leader = await serve(done, "127.0.0.2");
    const follower = await serve(pointTo(`${leader.url}/plan`));
    const request = { method: "GET", path: "/plan", deadlineMs: 5000 } as const;

    await expect(transportTo(follower.url, "secret").transport.request(request)).rejects.toMatchObject({
      kind: "invalid",
      code: "REDIRECT_REFUSED",
      message: expect.not.stringContaining("secret"),
    });
    expect(leader.requests).toEqual([]);
    await transportTo(follower.url)
      .transport.request({ ...request, body: 1 })
      .then((answer) => expect(answer).toBe(1));
  });

  it.for(["/plan", "ftp://127.0.0.1/plan", "nonsense"])("is not followed to %s", async (location) => {
    const follower = await serve(pointTo(location));

    const answer = transportTo(follower.url).transport.request({
      method: "GET",
      path: "/plan",
      deadlineMs: 5000,
    });

    await expect(answer).rejects.toMatchObject({ code: "REDIRECT_REFUSED" });
  });
});

describe("a server that says not now", () => {
  /** Refuses the first requests, then answers. */
  function busy(times: number, status: number): RequestListener {
    let left = times;
    return (_request, response) => {
      left -= 1;
      response.writeHead(left >= 0 ? status : 200, { "retry-after": "0" });
      response.end(left >= 0 ? JSON.stringify({ message: "wait" }) : "[]");
    };
  }

  it.for([429, 503])("is asked to read once more after %i", async (status) => {
    const { url, requests } = await serve(busy(1, status));

    const answer = await transportTo(url).transport.request({
      method: "GET",
      path: "/hosts",
      deadlineMs: 5000,
    });

    expect([answer, requests.length]).toEqual([[], 2]);
  });

  it("is not asked a third time", async () => {
    const { url, requests } = await serve(busy(9, 503));

    const answer = transportTo(url).transport.request({ method: "GET", path: "/hosts", deadlineMs: 5000 });

    await expect(answer).rejects.toMatchObject({ kind: "transient", message: "wait" });
    expect(requests).toHaveLength(2);
  });

  it.for(["POST", "PUT", "DELETE"] as const)(
    "is never asked twice to change something: %s",
    async (method) => {
      const { url, requests } = await serve(busy(1, 503));

      const answer = transportTo(url).transport.request({ method, path: "/hosts", deadlineMs: 5000 });

      await expect(answer).rejects.toMatchObject({ kind: "transient" });
      expect(requests).toHaveLength(1);
    },
  );

  it("does not hold up a program that is told to end", async () => {
    const stop = new AbortController();
    const { url } = await serve((_request, response) => {
      response.writeHead(503, { "retry-after": "600" });
      response.end("{}", () => stop.abort(new Error("enough")));
    });
    const transport = new Transport({
      endpoint: parseEndpoint(url, 9600),
      credentials: {},
      signal: stop.signal,
      observe: () => undefined,
    });

    await expect(transport.request({ method: "GET", path: "/hosts", deadlineMs: 5000 })).rejects.toThrow(
      "enough",
    );
  });
});

describe("an answer", () => {
  const client = async (body: unknown) => {
    const { url } = await serve((_request, response) => response.end(JSON.stringify(body)));
    return new RomanaClient({ endpoint: parseEndpoint(url, 9600), signal: never });
  };

  it("may say more than this version knows", async () => {
    const network = { id: "prod", cidr: "10.0.0.0/24", revision: 1, kind: "vip" };

    expect(await (await client([network])).networks()).toEqual([network]);
  });

  it.for([
    [{}, "the answer is of another kind"],
    [null, "the answer is of another kind"],
    [[{ id: "prod", cidr: 5 }], '"[0].cidr" is missing or of another kind'],
    [[{ id: "prod" }], '"[0].cidr" is missing'],
  ] as const)("that lacks what is relied on is refused with its place: %j", async ([body, message]) => {
    await expect((await client(body)).networks()).rejects.toMatchObject({
      kind: "invalid",
      code: "ANSWER_MALFORMED",
      message: expect.stringContaining(message),
    });
  });
});

it("explains failures of TLS and leaves others alone", () => {
  const failure = (code: string) => Object.assign(new Error("failed"), { code });

  expect(distrusted("https://a:1", failure("CERT_HAS_EXPIRED"))).toMatchObject({
    kind: "invalid",
    code: "SERVER_UNTRUSTED",
    message: expect.stringMatching(/^no safe connection to https:\/\/a:1: its certificate has expired/),
  });
  expect(distrusted("https://a:1", failure("ECONNREFUSED"))).toBeUndefined();
  expect(distrusted("https://a:1", failure("toString"))).toBeUndefined();
});
