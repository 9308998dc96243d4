/** Writes anew what follows from other files: schemas, the files for kOps, the table of docs/ports.md, and the single files of `kubectl apply -f` (by kustomize). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { derivedFiles, renderedManifests } from "./deploy-files.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
for (const [path, text] of [...derivedFiles(), ...renderedManifests()]) {
  writeFileSync(join(root, path), text);
}
