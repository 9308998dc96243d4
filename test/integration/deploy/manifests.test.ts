import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";
import { z } from "zod";

import { kustomize, renderedManifests } from "../../../scripts/deploy-files.ts";
import { toolPath } from "../../support/tools.ts";
import { comparable, helmTemplate, nameOf, readManifests, requireTools, type Manifest } from "./manifests.ts";

const overlays = [
  "kops",
  "kubeadm",
  "kops-etcd-service",
  "kubeadm-etcd-service",
  "kubeadm-etcd-standalone",
  "custom-network",
] as const;

describe.skipIf(requireTools("kustomize"))("the single files", () => {
  it("are what kustomize makes of the overlays (node scripts/render-deploy.ts)", () => {
    const made = renderedManifests();

    expect(new Map([...made.keys()].map((path) => [path, readFileSync(path, "utf8")]))).toEqual(made);
  });
});

describe.skipIf(requireTools("kustomize", "helm"))("the chart", () => {
  it.for([
    ["kops", ["platform=kops"]],
    ["kubeadm", ["platform=kubeadm"]],
    ["kops-etcd-service", ["platform=kops", "etcd.mode=service"]],
    ["kubeadm-etcd-service", ["etcd.mode=service"]],
    ["kubeadm-etcd-standalone", ["etcd.mode=standalone"]],
    ["custom-network", ["network.configMapName=romana-network-conf"]],
  ] as const)("makes the objects of the overlay %s", ([overlay, values]) => {
    const ours = readManifests(kustomize(`deploy/kubernetes/overlays/${overlay}`))
      // The chart takes the ConfigMap of a topology as it finds it.
      .filter((manifest) => nameOf(manifest) !== "ConfigMap kube-system/romana-network-conf");
    const charts = readManifests(helmTemplate(...values));

    expect(charts.map(nameOf).toSorted()).toEqual(ours.map(nameOf).toSorted());
    const byName = (manifests: readonly Manifest[]) =>
      Object.fromEntries(manifests.map((manifest) => [nameOf(manifest), comparable(manifest)]));
    expect(byName(charts)).toEqual(byName(ours));
  });

  it("makes the ServiceMonitor of the component", () => {
    const [ours] = readManifests(
      readFileSync("deploy/kubernetes/components/service-monitor/service-monitor.yaml", "utf8"),
    );
    const monitor = readManifests(helmTemplate("serviceMonitor.enabled=true")).find(
      ({ kind }) => kind === "ServiceMonitor",
    );

    expect(monitor === undefined ? undefined : comparable(monitor)).toEqual(
      ours === undefined ? "there is none" : comparable(ours),
    );
  });

  it("leaves the Job for certificates out on demand, with all that it needs", () => {
    const named = (...values: readonly string[]): readonly string[] =>
      readManifests(helmTemplate(...values)).flatMap((manifest) =>
        manifest.metadata.name === "romana-certs" ? [manifest.kind] : [],
      );

    expect(named()).toContain("Job");
    expect(named("tls.install=false")).toEqual([]);
  });

  it("lets the Job make a Secret of another name, and no other one", () => {
    const text = JSON.stringify(
      readManifests(helmTemplate("tls.secretName=mine", "tls.caConfigMapName=trusted")),
    );

    expect(text).toContain('"--secret=mine"');
    expect(text).toContain('object.metadata.name == \\"mine\\"');
    expect(text).toContain('"resourceNames":["trusted"]');
    expect(text).not.toContain("romana-tls");
  });

  it("leaves the agent out on demand", () => {
    expect(
      readManifests(helmTemplate("agent.enabled=false")).filter(({ kind }) => kind === "DaemonSet"),
    ).toEqual([]);
  });

  it.for([
    "platform=gke",
    "config.cloud=azure",
    "etcd.mode=embedded",
    "controler.replicas=3",
    "controller.replicas=0",
  ])("refuses %s by the schema of its values", (value) => {
    expect(() => helmTemplate(value)).toThrow(/values don't meet the specifications of the schema/);
  });
});

/** Findings of kube-score that we live with: object, check, reason. Another one fails the test, and so does one that is not found any more. */
const accepted: readonly (readonly [object: string, check: string, reason: string])[] = [
  ...[
    "Deployment romana-controller",
    "Deployment romana-etcd",
    "DaemonSet romana-agent",
    "Job romana-uninstall-routes",
  ].flatMap(
    (object) =>
      [
        [object, "pod-networkpolicy", "a NetworkPolicy does not hold for Pods of the host's network"],
        [
          object,
          "container-security-context-user-group-id",
          "UID 0 without root's capabilities: docs/adr/0023-raw-icmp-in-a-pod.md; etcd's folder is root's",
        ],
        [
          object,
          "container-image-pull-policy",
          "the tag names one image; a node that comes up while the registry is away needs its network all the same",
        ],
        [
          object,
          "container-resources",
          "no CPU limit: who is throttled reads answers late, and a silent host looks like a dead one",
        ],
      ] as const,
  ),
  ["Job romana-certs", "pod-networkpolicy", "a NetworkPolicy does not hold for Pods of the host's network"],
  [
    "Job romana-certs",
    "container-image-pull-policy",
    "the tag names one image, that of the controller beside it",
  ],
  [
    "Deployment romana-controller",
    "deployment-has-host-podantiaffinity",
    "a topology spread with DoNotSchedule says the same, and so does the port of the host",
  ],
  [
    "Service romana-etcd",
    "service-targets-pod",
    "the cluster's own etcd, and one of your own, are Pods that others make",
  ],
  [
    "Deployment romana-etcd",
    "deployment-strategy",
    "its data lies on the node: the old one ends before the new one opens it",
  ],
  ["Deployment romana-etcd", "deployment-replicas", "the stand-alone etcd is one by definition"],
];

const scoreSchema = z.array(
  z.looseObject({
    type_meta: z.looseObject({ kind: z.string() }),
    object_meta: z.looseObject({ name: z.string() }),
    checks: z.array(
      z.looseObject({ check: z.looseObject({ id: z.string() }), grade: z.number(), skipped: z.boolean() }),
    ),
  }),
);
/** kube-score's grade for "nothing to say". */
const ALL_GOOD = 10;

describe.skipIf(requireTools("kustomize", "kube-score"))("kube-score", () => {
  it("finds nothing but what we live with", () => {
    const found = [
      ...overlays.flatMap((overlay) => findingsIn(kustomize(`deploy/kubernetes/overlays/${overlay}`))),
      ...findingsIn(readFileSync("deploy/kops/uninstall-routes.yaml", "utf8")),
    ];

    expect([...new Set(found)].toSorted()).toEqual(
      accepted.map(([object, check]) => `${object}: ${check}`).toSorted(),
    );
  });

  it("has a reason for each", () => {
    expect(accepted.filter(([, , reason]) => reason.length < 20)).toEqual([]);
  });
});

function findingsIn(text: string): readonly string[] {
  const { stdout, stderr } = spawnSync(
    toolPath("kube-score"),
    ["score", "--kubernetes-version", "v1.34", "--output-format", "json", "-"],
    { input: text, encoding: "utf8" },
  );
  const objects = scoreSchema.parse(JSON.parse(stdout === "" ? stderr : stdout));
  return objects.flatMap(({ type_meta: { kind }, object_meta: { name }, checks }) =>
    checks
      .filter(({ grade, skipped }) => !skipped && grade < ALL_GOOD)
      .map(({ check }) => `${kind} ${name}: ${check.id}`),
  );
}
