import { expect, it } from "vitest";

import { policy } from "../services/watch-support.ts";
import { emptyServer } from "./support.ts";

const json = { "content-type": "application/json" };

/** As the original's Go client encodes what it decoded from a file: in the order of its fields, without what is empty. */
const goPolicy =
  '{"id":"p1","direction":"ingress","description":"d","applied_to":[{"tenant_id":"t","segment_id":"s"}],' +
  '"ingress":[{"peers":[{"peer":"any"},{"cidr":"10.0.0.0/8"},{"tenant_id":"u"}],' +
  '"rules":[{"protocol":"tcp","ports":[80,81],"port_ranges":[[1,5]],"is_stateful":true},{"protocol":"icmp","icmp_type":3,"icmp_code":1}]}]}';

async function serverWith(...bodies: readonly string[]) {
  const { app } = await emptyServer();
  for (const payload of bodies) {
    const { statusCode, body } = await app.inject({
      method: "POST",
      url: "/policies",
      headers: json,
      payload,
    });
    expect([statusCode, body]).toEqual([200, "null"]);
  }
  return app;
}

it("answers GET /policies with an empty list before the first policy", async () => {
  const app = await serverWith();

  const response = await app.inject("/policies");

  expect([response.statusCode, response.headers["content-type"], response.body]).toEqual([
    200,
    "application/json",
    "[]",
  ]);
});

it("gives a policy of the original back byte for byte, in the list and alone", async () => {
  const app = await serverWith(goPolicy);

  expect((await app.inject("/policies")).body).toBe(`[${goPolicy}]`);
  expect((await app.inject("/policies/p1")).body).toBe(goPolicy);
});

it("finds a policy whose id has a slash", async () => {
  const app = await serverWith(JSON.stringify(policy("a/b")));

  expect((await app.inject("/policies/a%2Fb")).json()).toEqual(policy("a/b"));
});

it("reads a policy whatever JSON it is called", async () => {
  const { app } = await emptyServer();
  const types = [
    "application/json",
    "application/json; charset=utf-8",
    "application/vnd.romana.v1+json",
    "application/vnd.romana+json",
  ];

  const statuses = await Promise.all(
    types.map(async (type) => {
      const sent = { headers: { "content-type": type }, payload: goPolicy };
      return (await app.inject({ method: "POST", url: "/policies", ...sent })).statusCode;
    }),
  );

  expect(statuses).toEqual([200, 200, 200, 200]);
});

it("lists every problem of a policy, and keeps none of the document", async () => {
  const { app } = await emptyServer();
  const payload = [policy("good"), { id: "bad", direction: "ingress" }];

  const response = await app.inject({ method: "POST", url: "/policies", payload });

  expect(response.statusCode).toBe(400);
  expect(response.headers["content-type"]).toBe("application/json");
  expect(response.json()).toMatchObject({
    type: "urn:romana:error:invalid:POLICY_INVALID",
    resource_type: "policy",
    details: {
      problems: [
        "[1].applied_to: is empty: name at least one endpoint",
        "[1].ingress: is empty: a policy needs peers and rules that it allows",
      ],
    },
  });
  expect((await app.inject("/policies")).body).toBe("[]");
});

it.for([
  ["no body", undefined, json, 400, "REQUEST_MALFORMED"],
  [
    "a form",
    "id=p",
    { "content-type": "application/x-www-form-urlencoded" },
    415,
    "REQUEST_TYPE_UNSUPPORTED",
  ],
  ["half a document", '{"id"', json, 400, "REQUEST_MALFORMED"],
  ["null", "null", json, 400, "POLICY_INVALID"],
] as const)("refuses a POST with %s", async ([, payload, headers, status, code]) => {
  const { app } = await emptyServer();

  const response = await app.inject({
    method: "POST",
    url: "/policies",
    headers,
    ...(payload === undefined ? {} : { payload }),
  });

  expect([response.statusCode, response.json<{ type: string }>().type.split(":").at(-1)]).toEqual([
    status,
    code,
  ]);
});

it.for([
  ["by its path", "/policies/p1", undefined],
  ["by a body, as the original's client does", "/policies", '{"id":"p1"}'],
  ["by a body with all of it", "/policies", goPolicy],
] as const)("removes a policy %s", async ([, url, payload]) => {
  const app = await serverWith(goPolicy);

  const response = await app.inject({
    method: "DELETE",
    url,
    headers: json,
    ...(payload === undefined ? {} : { payload }),
  });

  expect([response.statusCode, response.headers["content-type"], response.body]).toEqual([
    200,
    "application/json",
    "null",
  ]);
  expect((await app.inject("/policies")).body).toBe("[]");
});

it.for([
  [
    "/policies",
    undefined,
    { status_code: 400, details: "Request must either be to /policies/{policyID} or have a body." },
  ],
  ["/policies", "{}", { status_code: 422, details: "Policy ID not found in input" }],
  ["/policies", '{"id":""}', { status_code: 422, details: "Policy ID not found in input" }],
  ["/policies", "null", { status_code: 422, details: "Policy ID not found in input" }],
  ["/policies", '{"id":', { status_code: 400 }],
  ["/policies", '{"id":"zz"}', { status_code: 404, resource_type: "policy", resource_id: "zz" }],
  ["/policies/zz", undefined, { status_code: 404, resource_type: "policy", resource_id: "zz" }],
] as const)("answers DELETE %s with body %s as the original does", async ([url, payload, expected]) => {
  const app = await serverWith(goPolicy);

  const response = await app.inject({
    method: "DELETE",
    url,
    headers: json,
    ...(payload === undefined ? {} : { payload }),
  });

  expect(response.statusCode).toBe(expected.status_code);
  expect(response.json()).toMatchObject({ see_also: "", ...expected });
  expect((await app.inject("/policies")).body).toBe(`[${goPolicy}]`);
});

it("answers an ambiguous name with 409 and the ids, by path and by body", async () => {
  const named = (id: string) => JSON.stringify({ ...policy(id), name: "n" });
  const app = await serverWith(named("b"), named("a"));

  const answers = await Promise.all([
    app.inject("/policies/n"),
    app.inject({ method: "DELETE", url: "/policies/n" }),
    app.inject({ method: "DELETE", url: "/policies", payload: { id: "n" } }),
  ]);

  for (const answer of answers) {
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ details: { ids: ["a", "b"] } });
  }
});

it("still lets pass whatever body comes with the DELETE of something else", async () => {
  const { app } = await emptyServer();

  const response = await app.inject({ method: "DELETE", url: "/policies/zz", headers: json, payload: "{" });

  expect(response.statusCode).toBe(404);
});
