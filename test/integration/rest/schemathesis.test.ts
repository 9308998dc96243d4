import type { FastifyReply } from "fastify";
import { describe, expect, it } from "vitest";
import { z } from "zod";

import { answer } from "../../../src/api/answers.ts";
import { listen } from "../../../src/api/listen.ts";
import type { Resource } from "../../../src/api/resource.ts";
import { serverWithOneHost } from "../../api/support.ts";
import { requireSchemathesis, runSchemathesis } from "../../support/schemathesis.ts";

/** Routes that break their descriptions, each in a way of its own. */
const planted: Resource = (app, _options, done) => {
  const schema = { summary: "planted", tags: ["planted"], response: { 200: z.object({ n: z.int() }) } };
  app.get("/planted/bug", { schema }, () => {
    throw new TypeError("planted");
  });
  app.get("/planted/status", { schema }, (_request, reply: FastifyReply) =>
    answer(reply.status(418), { n: 1 }),
  );
  app.get("/planted/type", { schema }, (_request, reply) => reply.type("text/csv").send("n\n1\n"));
  app.get("/planted/schema", { schema }, (_request, reply) => answer(reply, { n: "one" }));
  done();
};

describe.skipIf(requireSchemathesis())("requests made from the description of the API", () => {
  it("are answered as the description says, and never with a bug", { timeout: 120_000 }, async () => {
    const { app, log } = await serverWithOneHost();
    const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
    try {
      const described = app.endpoints.filter((endpoint) => !/ \/watch\b/.test(endpoint)).length;

      const { code, output } = await runSchemathesis(`http://${address}`, 20, 110_000);

      expect(log.lines.filter(({ level }) => level === "error")).toEqual([]);
      expect(output).not.toMatch(/unresolv|could not resolve/i);
      expect([code, code === 0 ? "" : output]).toEqual([0, ""]);
      expect(output).toContain(`Operations:       ${described} selected`);
      expect(Number(/(\d+) generated/.exec(output)?.[1])).toBeGreaterThan(500);
    } finally {
      await app.close();
    }
  });

  it("find every planted fault", { timeout: 60_000 }, async () => {
    const { app } = await serverWithOneHost();
    app.register(planted);
    const address = await listen(app, { kind: "tcp", host: "127.0.0.1", port: 0 });
    try {
      const { code, output } = await runSchemathesis(`http://${address}`, 2, 50_000, "^/planted");

      const found = [...output.matchAll(/ GET \/planted\/(\w+) _+\n([^]*?)(?=\n_{5}|\n={5})/g)].map(
        ([, name, text = ""]) => [name, text.match(/ST\d+/g)],
      );
      expect(code).toBe(1);
      expect(Object.fromEntries(found)).toEqual({
        bug: ["ST101", "ST103"],
        schema: ["ST108"],
        status: ["ST103"],
        type: ["ST105"],
      });
    } finally {
      await app.close();
    }
  });
});
