/** Writes the tables of options in docs/configuration.md and docs/vpc-router.md anew from the programs' own tables. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { controllerOptions } from "../src/config/controller-options.ts";
import { renderOptions } from "../src/config/render-options.ts";
import { routerOptions } from "../src/config/router-options.ts";

for (const [file, mark, options] of [
  ["configuration.md", "options", controllerOptions],
  ["vpc-router.md", "router-options", routerOptions],
] as const) {
  const page = fileURLToPath(new URL(`../docs/${file}`, import.meta.url));
  const text = readFileSync(page, "utf8");
  const marked = new RegExp(`(<!-- ${mark} -->\n)[^]*(<!-- /${mark} -->)`);
  if (!marked.test(text)) {
    throw new Error(`${page} has no place for the options (<!-- ${mark} --> … <!-- /${mark} -->)`);
  }
  writeFileSync(
    page,
    text.replace(marked, (_, start: string, end: string) => `${start}\n${renderOptions(options)}\n${end}`),
  );
}
