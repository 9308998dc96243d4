import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { z } from "zod";

import { originalOptions } from "../src/config/original-options.ts";
import { toolPath } from "../test/support/tools.ts";
import { configSchema } from "./config-schema.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const OVERLAYS = "deploy/kubernetes/overlays";

/** Who may reach whom, as `deploy/ports.json` says it. Without a port: all of the protocol. */
const portsSchema = z
  .array(
    z.strictObject({
      from: z.enum(["node-cidr", "pod-cidr"]),
      to: z.enum(["nodes", "control-plane"]),
      protocol: z.enum(["tcp", "icmp", "all"]),
      port: z.int().min(1).max(65_535).optional(),
      why: z.string(),
    }),
  )
  .readonly();

export type PortRule = z.output<typeof portsSchema>[number];

/** Placeholders of the files for kOps, to be filled in as those of `iam/`. */
const PLACEHOLDERS = { "node-cidr": "${NodeCidr}", "pod-cidr": "${PodCidr}" } as const;

/** What another choice of etcd changes in an installation that stands. */
const ETCD_OBJECTS: ReadonlySet<string> = new Set([
  "ConfigMap romana-etcd",
  "Service romana-etcd",
  "Deployment romana-etcd",
  "Deployment romana-controller",
]);

/** The single files that `kubectl apply -f` takes: the overlay, which of its objects, and what stands above them. */
const RENDERED: readonly {
  readonly name: string;
  readonly overlay: string;
  readonly only?: ReadonlySet<string>;
  readonly words: string;
}[] = [
  {
    name: "romana-kops.yaml",
    overlay: "kops",
    words: "Romana for a kOps cluster on AWS: docs/install/kops.md.",
  },
  {
    name: "romana-kubeadm.yaml",
    overlay: "kubeadm",
    words: "Romana for a kubeadm cluster: docs/install/kubeadm.md.",
  },
  {
    name: "etcd-service.yaml",
    overlay: "kubeadm-etcd-service",
    only: ETCD_OBJECTS,
    words:
      "After romana-kubeadm.yaml: an etcd of your own behind the Service romana-etcd: docs/install/kubeadm.md.",
  },
  {
    name: "etcd-standalone.yaml",
    overlay: "kubeadm-etcd-standalone",
    only: ETCD_OBJECTS,
    words: "After romana-kubeadm.yaml: one etcd in a Pod, for a trial: docs/install/kubeadm.md.",
  },
];

/** Every file below `deploy/` and `docs/` that follows from other files, apart from those that kustomize makes: its path and its text. */
export function derivedFiles(): ReadonlyMap<string, string> {
  const rules = readPorts();
  return new Map([
    ["deploy/config.schema.json", json(configSchema("Configuration of romana controller"))],
    ["deploy/helm/romana/values.schema.json", json(valuesSchema())],
    ["deploy/kops/cluster-spec.yaml", clusterSpec()],
    ["deploy/kops/security-group-control-plane.json", json(permissions(rules, "control-plane"))],
    ["deploy/kops/security-group-nodes.json", json(permissions(rules, "nodes"))],
    ["docs/migration.md", withTable("docs/migration.md", "original-options", originalOptionsTable())],
    ["docs/ports.md", withTable("docs/ports.md", "ports", portsTable(rules))],
  ]);
}

/** The single files, made by kustomize. */
export function renderedManifests(): ReadonlyMap<string, string> {
  return new Map(
    RENDERED.map(({ name, overlay, only, words }) => {
      const all = kustomize(`${OVERLAYS}/${overlay}`);
      const objects = only === undefined ? all : objectsOf(all, only);
      return [
        `deploy/rendered/${name}`,
        `# ${words}\n# Made by scripts/render-deploy.ts from ${OVERLAYS}/${overlay}; change that instead.\n${objects}`,
      ];
    }),
  );
}

/** What `kustomize build` makes of a folder of this repository. */
export function kustomize(folder: string): string {
  return execFileSync(toolPath("kustomize"), ["build", join(ROOT, folder)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

export function readPorts(): readonly PortRule[] {
  return portsSchema.parse(JSON.parse(read("deploy/ports.json")));
}

function objectsOf(text: string, names: ReadonlySet<string>): string {
  const chosen = text.split(/^---\n/m).filter((each) => {
    const [, kind = ""] = /^kind: (\S+)$/m.exec(each) ?? [];
    const [, name = ""] = /^metadata:\n(?: .*\n)*?  name: (\S+)$/m.exec(each) ?? [];
    return names.has(`${kind} ${name}`);
  });
  return chosen.join("---\n");
}

/** For `aws ec2 authorize-security-group-ingress --ip-permissions`. */
function permissions(rules: readonly PortRule[], to: PortRule["to"]): readonly unknown[] {
  return rules
    .filter((rule) => rule.to === to)
    .map(({ from, protocol, port }) => ({
      IpProtocol: protocol === "all" ? "-1" : protocol,
      // -1: every type of ICMP. With all protocols there are no ports.
      ...(protocol === "all" ? {} : { FromPort: port ?? -1, ToPort: port ?? -1 }),
      IpRanges: [{ CidrIp: PLACEHOLDERS[from], Description: "romana, see docs/ports.md" }],
    }));
}

function portsTable(rules: readonly PortRule[]): string {
  const names = {
    "node-cidr": "the nodes' address range",
    "pod-cidr": "the pods' address range",
    nodes: "nodes",
    "control-plane": "control-plane nodes",
  };
  const what = ({ protocol, port }: PortRule): string =>
    protocol === "all" ? "all protocols" : `${protocol.toUpperCase()}${port === undefined ? "" : ` ${port}`}`;
  return [
    "| from | to | what | why |",
    "|---|---|---|---|",
    ...rules.map((rule) => `| ${names[rule.from]} | ${names[rule.to]} | ${what(rule)} | ${rule.why} |`),
  ].join("\n");
}

/** The parts of a kOps cluster's specification that Romana needs. */
function clusterSpec(): string {
  const { Statement } = z
    .looseObject({ Statement: z.array(z.unknown()) })
    .parse(JSON.parse(read("iam/controller.json")));
  const statements = JSON.stringify(Statement, undefined, 2).replaceAll(/^/gm, "      ");
  return `# Made by scripts/render-deploy.ts. Merge it into \`kops edit cluster\`; the placeholders are those of docs/iam.md, and ADDONS is where addons.yaml lies.
apiVersion: kops.k8s.io/v1alpha2
kind: Cluster
spec:
  # kOps brings no network of its own.
  networking:
    cni: {}
  # Romana writes the routes; two controllers would fight over them.
  cloudControllerManager:
    configureCloudRoutes: false
  # iam/controller.json. Nodes need no policy: they never call EC2.
  additionalPolicies:
    master: |
${statements}
  addons:
    - manifest: \${ADDONS}/addons.yaml
`;
}

/** The schema of the chart's values, with that of the configuration in its place. */
function valuesSchema(): unknown {
  const name = { type: "string", pattern: "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" };
  const address = { type: "string", pattern: String.raw`^(\d{1,3}(\.\d{1,3}){3})?$` };
  const image = object({ repository: { type: "string", minLength: 1 }, tag: { type: "string" } });
  const resources = { type: "object" };
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of the chart romana",
    ...object({
      platform: { enum: ["kops", "kubeadm"] },
      image,
      controller: object({
        replicas: { type: "integer", minimum: 1 },
        serviceIP: address,
        args: { type: "array", items: { type: "string", pattern: "^--" } },
        resources,
      }),
      config: configSchema("The configuration file of the controller"),
      tls: object({ install: { type: "boolean" }, secretName: name, caConfigMapName: name }),
      etcd: object({
        mode: { enum: ["cluster", "service", "standalone"] },
        serviceIP: address,
        clientSecretName: name,
        serverSecretName: name,
        image,
      }),
      network: object({ configMapName: { anyOf: [name, { const: "" }] } }),
      agent: object({ enabled: { type: "boolean" }, resources }),
      serviceMonitor: object({ enabled: { type: "boolean" }, clientSecretName: name }),
      // Helm's own.
      global: { type: "object" },
    }),
  };
}

function object(properties: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { type: "object", additionalProperties: false, properties };
}

/** Every option of the original with what became of it. */
function originalOptionsTable(): string {
  return [
    "| component | option | | here |",
    "|---|---|---|---|",
    ...originalOptions.map(
      ({ component, name, here, answer }) =>
        `| ${component} | \`--${name}\` | ${here === undefined ? "replaced" : "read"} | ${here === undefined ? "" : `\`--${here}\`: `}${answer} |`,
    ),
  ].join("\n");
}

function withTable(page: string, mark: string, table: string): string {
  const text = read(page);
  const marked = new RegExp(`(<!-- ${mark} -->\\n)[^]*(<!-- /${mark} -->)`);
  if (!marked.test(text)) {
    throw new Error(`${page} has no place for the table (<!-- ${mark} --> … <!-- /${mark} -->)`);
  }
  return text.replace(marked, (_, start: string, end: string) => `${start}\n${table}\n\n${end}`);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}
