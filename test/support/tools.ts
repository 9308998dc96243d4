import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Programs that `scripts/install-servers.sh` builds, and where it puts them below its cache. */
const PLACES = {
  "kube-apiserver": "kubernetes-1.34.4/kube-apiserver",
  kubectl: "kubernetes-1.34.4/kubectl",
  helm: "tools/helm-3.19.2",
  kustomize: "tools/kustomize-5.7.1",
  kubeconform: "tools/kubeconform-0.7.0",
  "kube-score": "tools/kube-score-1.20.0",
  "etcd-3.5": "tools/etcd-3.5.24",
} as const;

export type Tool = keyof typeof PLACES;

/** Where a program stands: in `KUBEBUILDER_ASSETS` (the convention of envtest), or where it was built; `undefined` when it is in neither. */
export function findTool(tool: Tool): string | undefined {
  const assets = process.env["KUBEBUILDER_ASSETS"];
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const places = [
    ...(assets === undefined || assets === "" ? [] : [join(assets, tool)]),
    join(cache, "romana", PLACES[tool]),
  ];
  return places.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      // Not there: the next place.
      return false;
    }
  });
}

/** The same; throws when it is nowhere. */
export function toolPath(tool: Tool): string {
  const path = findTool(tool);
  if (path === undefined) {
    throw new Error(
      `there is no ${tool}: run make test, which builds it, or name a folder with it by KUBEBUILDER_ASSETS`,
    );
  }
  return path;
}
