import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { ExplainedIp, ExplainedRoute } from "../../src/api/resources/explain.schemas.ts";
import { ImportReport, StateDocument } from "../../src/api/resources/state.schemas.ts";
import { emptyServer, serverWithOneHost } from "./support.ts";

function sample(name: string): string {
  return readFileSync(`test/fixtures/original/${name}.json`, "utf8");
}

const json = { "content-type": "application/json" };

describe("the whole state over the API", () => {
  it("goes in, out and into another controller, byte for byte", async () => {
    const one = await emptyServer();
    const other = await emptyServer();

    const taken = await one.app.inject({
      method: "POST",
      url: "/import",
      headers: json,
      payload: sample("kops-healthy"),
    });
    const exported = await one.app.inject("/export");
    const again = await other.app.inject({
      method: "POST",
      url: "/import",
      headers: json,
      payload: exported.body,
    });

    expect([taken.statusCode, again.statusCode]).toEqual([200, 200]);
    expect(ImportReport.strict().parse(taken.json())).toMatchObject({
      applied: true,
      addresses: 37,
      hosts: 8,
    });
    expect(StateDocument.strict().parse(exported.json()).addresses).toHaveLength(37);
    expect(exported.headers["content-type"]).toBe("application/json");
    expect((await other.app.inject("/export")).body).toBe(exported.body);
  });

  it.for(["", "?dry_run=true&repair=true"])(
    "says so when there is no document at all: POST /import%s",
    async (query) => {
      const { app } = await emptyServer();

      const response = await app.inject({ method: "POST", url: `/import${query}` });

      expect(response.statusCode).toBe(400);
      expect(response.json()).toMatchObject({
        type: "urn:romana:error:invalid:IMPORT_MALFORMED",
        message: expect.stringContaining("the request has no body"),
      });
    },
  );

  it("refuses a damaged state with 400, tries it on request, and takes the sound part on request", async () => {
    const { app, addressing } = await emptyServer();
    const post = (query: string) =>
      app.inject({
        method: "POST",
        url: `/import${query}`,
        headers: json,
        payload: sample("corrupt-removed-host"),
      });

    const refused = await post("");
    const tried = await post("?dry_run=true");
    const untouched = addressing.exportState().addresses.length;
    const taken = await post("?repair=true");

    expect(refused.statusCode).toBe(400);
    expect(refused.json()).toMatchObject({ type: "urn:romana:error:invalid:IMPORT_UNSOUND" });
    expect(tried.json()).toMatchObject({ applied: false, sound: false });
    expect(ImportReport.parse(tried.json()).findings).toHaveLength(4);
    expect(untouched).toBe(0);
    expect(taken.json()).toMatchObject({ applied: true, addresses: 2 });
  });

  it("answers 409 while addresses are in use, 400 for another document and for a query that it does not know", async () => {
    const { app } = await emptyServer();
    const post = (payload: string, query = "") =>
      app.inject({ method: "POST", url: `/import${query}`, headers: json, payload });
    await post(sample("kops-healthy"));

    const answers = await Promise.all([
      post(sample("kops-healthy")),
      post("{}"),
      post("[]"),
      post("{}", "?repair=perhaps"),
    ]);

    expect(answers.map(({ statusCode }) => statusCode)).toEqual([409, 400, 400, 400]);
    expect(answers[0]?.json()).toMatchObject({ type: "urn:romana:error:conflict:STATE_IN_USE" });
  });

  it("takes a body that is larger than that of any other path", async () => {
    const { app } = await emptyServer({ maxBodyBytes: 1000 });

    const imported = await app.inject({
      method: "POST",
      url: "/import",
      headers: json,
      payload: sample("kops-healthy"),
    });
    const topology = await app.inject({
      method: "POST",
      url: "/topology",
      headers: json,
      payload: sample("kops-healthy"),
    });

    expect([imported.statusCode, topology.statusCode]).toEqual([200, 413]);
  });
});

describe("explanations over the API", () => {
  it("explain addresses and routes without a cloud, as their schemas say", async () => {
    const { app, addressing } = await serverWithOneHost();
    const never = new AbortController().signal;
    const request = { name: "p", host: "node-1", tenant: "t", segment: "s" };
    const address = await addressing.allocate(request, never);

    const ip = await app.inject(`/explain/ip/${address}`);
    const route = await app.inject("/explain/route?cidr=10.0.0.0/24");

    expect(ExplainedIp.strict().parse(ip.json())).toMatchObject({
      kind: "in-use",
      holder: "p",
      tenant: "t",
      segment: "s",
      host: { name: "node-1", state: "placed" },
      block: { cidr: "10.0.0.0/30", state: "owned", inUse: 1 },
      routes: [],
      readAt: null,
    });
    expect(ExplainedRoute.strict().parse(route.json())).toMatchObject({
      kind: "unwanted",
      network: "prod",
      notes: ["No route table was read: there is no cloud, or no pass was made yet"],
    });
  });

  it("answer 400 for what is no address and no network", async () => {
    const { app } = await emptyServer();

    const answers = await Promise.all(
      ["/explain/ip/ten", "/explain/route?cidr=10.0.0.1/24", "/explain/route"].map((url) => app.inject(url)),
    );

    expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400, 400]);
    expect(answers[0]?.json()).toMatchObject({ type: "urn:romana:error:invalid:ADDRESS_INVALID" });
  });
});
