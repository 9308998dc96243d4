/** Writes the tables of options in docs/configuration.md anew from the program's own table. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { controllerOptions } from "../src/config/controller-options.ts";
import { renderOptions } from "../src/config/render-options.ts";

const page = fileURLToPath(new URL("../docs/configuration.md", import.meta.url));
const text = readFileSync(page, "utf8");
const marked = /(<!-- options -->\n)[^]*(<!-- \/options -->)/;
if (!marked.test(text)) {
  throw new Error(`${page} has no place for the options (<!-- options --> … <!-- /options -->)`);
}
writeFileSync(
  page,
  text.replace(
    marked,
    (_, start: string, end: string) => `${start}\n${renderOptions(controllerOptions)}\n${end}`,
  ),
);
