import { readFileSync } from "node:fs";

import { expect, it } from "vitest";
import type { z } from "zod";

import { emptyServer } from "./support.ts";

const page = readFileSync("docs/rest-api.md", "utf8");

interface Example {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly url: string;
  readonly body: string;
  readonly status: number;
  readonly answer: string;
}

/** The examples of the page, in order. */
function readExamples(): readonly Example[] {
  return [...page.matchAll(/```http\n([^]*?)```/g)].map(([, text = ""]) => {
    const lines = text.trimEnd().split("\n");
    const [request = "", ...body] = linesWith(lines, "> ");
    const [status, ...answer] = linesWith(lines, "< ");
    const [method, url = ""] = request.split(" ");
    return {
      method: method as Example["method"],
      url,
      body: body.join("\n"),
      status: Number(status),
      answer: answer.join("\n"),
    };
  });
}

function linesWith(lines: readonly string[], mark: string): readonly string[] {
  return lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length));
}

it("documents every path that is served, and no other", async () => {
  const { app } = await emptyServer();
  await app.ready();

  const documented = [...page.matchAll(/^### ([A-Z]+ \/\S*)$/gm)].map(([, endpoint]) => endpoint);

  expect(new Set(documented)).toEqual(new Set(app.endpoints));
  expect(documented).toHaveLength(app.endpoints.length);
});

it("has an example for every path", () => {
  const sections = page.split(/^### /m).slice(1);

  expect(
    sections.filter((section) => !section.includes("```http")).map((section) => section.split("\n")[0]),
  ).toEqual([]);
});

it("answers the page's examples in the form that the schemas describe, without a key more", async () => {
  const { app } = await emptyServer();
  const held: unknown[] = [];
  const described: unknown[] = [];
  app.addHook("onSend", (request, reply, payload, done) => {
    const { response } = request.routeOptions.schema ?? {};
    const schema = (response as Readonly<Record<number, z.ZodType>> | undefined)?.[reply.statusCode];
    if (schema !== undefined && request.routeOptions.config.produces === undefined) {
      const answered: unknown = JSON.parse((payload as Buffer).toString());
      held.push(answered);
      described.push(schema.parse(answered));
    }
    done();
  });

  for (const { method, url, body } of readExamples()) {
    await app.inject({
      method,
      url,
      ...(body === "" ? {} : { headers: { "content-type": "application/json" }, payload: body }),
    });
  }

  expect(described).toEqual(held);
  expect(held.length).toBeGreaterThan(25);
});

it("answers the page's examples as the page says", async () => {
  const { app } = await emptyServer();
  const examples = readExamples();
  const shown: unknown[] = [];
  const answered: unknown[] = [];

  for (const { method, url, body, status, answer } of examples) {
    const response = await app.inject({
      method,
      url,
      ...(body === "" ? {} : { headers: { "content-type": "application/json" }, payload: body }),
    });
    const named = `${method} ${url}`;
    shown.push([named, status, answer === "" ? "" : JSON.stringify(JSON.parse(answer))]);
    answered.push([named, response.statusCode, answer === "" ? "" : response.body.trimEnd()]);
  }

  expect(answered).toEqual(shown);
  expect(examples.length).toBeGreaterThan(30);
});
