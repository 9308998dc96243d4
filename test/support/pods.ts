import type { ClusterPod } from "../../src/core/cluster/objects.ts";

let versions = 0;

/** A running Pod `namespace/name`; its UID is `uid-NAME` unless given. Each is another version. */
export function podNamed(key: string, fields: Partial<ClusterPod> = {}): ClusterPod {
  const [namespace = "", name = ""] = key.split("/");
  versions += 1;
  return {
    uid: `uid-${name}`,
    namespace,
    name,
    resourceVersion: String(versions),
    deleting: false,
    labels: {},
    node: "h1",
    ips: [],
    phase: "Running",
    hostNetwork: false,
    namedPorts: [],
    ...fields,
  };
}
