import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { stripComments } from "../../src/config/strip-comments.ts";
import { emptyServer } from "./support.ts";

const FOLDER = "docs/examples/topologies/";

interface Shown {
  readonly name: string;
  readonly cidr?: string;
  readonly groups?: readonly Shown[];
  readonly ip?: string;
}

interface Document {
  readonly networks: readonly { readonly name: string; readonly cidr: string }[];
  readonly topologies: readonly { readonly networks: readonly string[]; readonly map: readonly Shown[] }[];
}

/** CIDRs of the groups without groups below them; GET shows those of an entry's first network. */
function leaves(groups: readonly Shown[]): string[] {
  return groups.flatMap((group) => {
    const below = (group.groups ?? []).filter(({ ip }) => ip === undefined);
    return below.length === 0 ? [group.cidr ?? ""] : leaves(below);
  });
}

/** The CIDRs that the file's comments promise, reserve apart, which GET hides. */
function promised(text: string): string[] {
  return [...text.matchAll(/# expect: (?!.*reserve)(?:.* )?(\d[\d./]+)$/gm)].map((match) => match[1] ?? "");
}

describe("every example of the manual, posted", () => {
  it.for(readdirSync(FOLDER))(
    "%s is taken, shows the CIDRs that it promises, and can be posted back",
    async (file) => {
      const text = readFileSync(FOLDER + file, "utf8");
      const { app } = await emptyServer();
      const post = (payload: string) =>
        app.inject({
          method: "POST",
          url: "/topology",
          payload,
          headers: { "content-type": "application/json" },
        });
      const get = async () => (await app.inject("/topology")).body;

      const posted = await post(stripComments(text));
      const shown = await get();
      const again = await post(shown);

      expect([posted.statusCode, posted.body]).toEqual([200, "null"]);
      expect([again.statusCode, await get()]).toEqual([200, shown]);
      const found = new Set((JSON.parse(shown) as Document).topologies.flatMap(({ map }) => leaves(map)));
      const wanted = promised(text);
      expect(wanted.length).toBeGreaterThan(0);
      expect([...found].filter((cidr) => !wanted.includes(cidr))).toEqual([]);
      await app.close();
    },
  );
});
