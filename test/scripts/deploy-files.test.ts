import { existsSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";

import { configSchema } from "../../scripts/config-schema.ts";
import { derivedFiles, readPorts } from "../../scripts/deploy-files.ts";
import { controllerOptions } from "../../src/config/controller-options.ts";
import { loadControllerConfig } from "../../src/config/load.ts";
import type { Option } from "../../src/config/option.ts";
import { camelCase } from "../../src/config/resolve-options.ts";
import { deployedController } from "../support/deployed-controller.ts";

/** What the tests look at in a Kubernetes object. */
const objectSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()) }),
});

/** What a Job and a Deployment have in common. */
const jobSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({
        serviceAccountName: z.string(),
        volumes: z.array(z.unknown()),
        containers: z.array(
          z.looseObject({
            image: z.string(),
            args: z.array(z.string()),
            envFrom: z.array(z.unknown()),
            volumeMounts: z.array(z.unknown()),
          }),
        ),
      }),
    }),
  }),
});

const singleFiles = ["romana-kops.yaml", "romana-kubeadm.yaml"] as const;

describe("files that follow from others (node scripts/render-deploy.ts)", () => {
  it.for([...derivedFiles()])("are as their script makes them: %s", ([path, text]) => {
    expect(read(path)).toBe(text);
  });
});

describe("deploy/config.schema.json", () => {
  const schema = z.fromJSONSchema(configSchema("test"));
  const accepts = (text: string): boolean => schema.safeParse(parse(text)).success;

  it("takes every option at its default, and the controller reads what it takes", () => {
    const lines = Object.values<Option<unknown>>(controllerOptions).flatMap(({ name, defaultText }) =>
      defaultText === undefined ? [] : [`${name}: ${defaultText}`],
    );

    expect(lines.length).toBeGreaterThan(30);
    expect(lines.filter((line) => !accepts(line))).toEqual([]);
    expect(() => load(lines.join("\n"), [])).not.toThrow();
  });

  it.for([
    ["a name that the controller does not have", "probe-intervall: 1s"],
    ["the name of another file", "config: other.yaml"],
    ["a word that the option does not take", "cloud: azure"],
    ["a duration without a unit", "interval: 30"],
    ["a text for a number", "route-quota: many"],
    ["a fraction for a whole number", "fall: 1.5"],
    ["a text for a switch", "dry-run: often"],
    ["an empty value", "lease: ''"],
  ] as const)("refuses %s, as the controller does", ([, text]) => {
    expect(accepts(text)).toBe(false);
    expect(() => load(text, [])).toThrow("the configuration is not valid");
  });

  it("takes lists where an option may be given several times, and only there", () => {
    expect(accepts("listen: [0.0.0.0:9600, unix:/run/romana/api.sock]")).toBe(true);
    expect(accepts("listen: 0.0.0.0:9600")).toBe(true);
    expect(accepts("store: [etcd]")).toBe(false);
  });
});

describe.each(singleFiles)("the controller of %s", (file) => {
  const { account, args, environment, config } = deployedController(`deploy/rendered/${file}`, {
    name: "romana-controller-abc",
    ip: "10.0.1.7",
  });

  it("has a configuration that fits the schema and that the program reads", () => {
    expect(z.fromJSONSchema(configSchema("test")).safeParse(parse(config)).success).toBe(true);
    expect(account).toEqual({ namespace: "kube-system", name: "romana-controller" });
    expect(args[0]).toBe("controller");
    expect(load(config, args, environment)).toMatchObject({
      store: { kind: "etcd" },
      listen: [
        { kind: "tcp", host: "0.0.0.0", port: 9600, tls: true },
        { kind: "unix", path: "/run/romana/api.sock" },
      ],
      advertiseUrl: "https://10.0.1.7:9600",
      replicaId: "romana-controller-abc",
      cloud: file === "romana-kops.yaml" ? "aws" : "none",
      etcd: { tls: { ca: "/etc/romana/etcd/ca.crt", cert: "/etc/romana/etcd/tls.crt" } },
      kubernetes: {
        source: { kind: "in-cluster" },
        election: "lease",
        lease: { namespace: "kube-system", name: "romana-controller" },
        tokenAudience: "romana",
        agentServiceAccount: { namespace: "kube-system", name: "romana-agent" },
      },
    });
  });
});

describe("the chart's values", () => {
  it("hold the configuration of deploy/kubernetes/base/config.yaml", () => {
    const { config } = parse(read("deploy/helm/romana/values.yaml")) as { readonly config: unknown };
    const base = parse(read("deploy/kubernetes/base/config.yaml")) as {
      readonly data: { readonly "controller.yaml": string };
    };

    expect(config).toEqual(parse(base.data["controller.yaml"]));
  });
});

describe("the addon for kOps", () => {
  const [addon] = (
    parse(read("deploy/kops/addons.yaml")) as {
      readonly spec: {
        readonly addons: readonly {
          readonly manifest: string;
          readonly version: string;
          readonly selector: Readonly<Record<string, string>>;
        }[];
      };
    }
  ).spec.addons;

  it("selects every object of its manifest", () => {
    expect(addon?.selector).toEqual({ "k8s-addon": "romana.addons.k8s.io" });
    expect(existsSync(`deploy/rendered/${addon?.manifest ?? ""}`)).toBe(true);
    expect(
      objectsOf("romana-kops.yaml").filter(({ metadata }) => metadata.labels["k8s-addon"] === undefined),
    ).toEqual([]);
  });

  it("has the version of the image, of the chart and of its app", () => {
    const chart = parse(read("deploy/helm/romana/Chart.yaml")) as Readonly<Record<string, unknown>>;

    expect(read(`deploy/rendered/${addon?.manifest ?? ""}`)).toContain(
      `romana/romana:v${addon?.version ?? ""}`,
    );
    expect(chart).toMatchObject({ version: addon?.version, appVersion: `v${addon?.version ?? ""}` });
  });

  it("gives the control plane the statements of iam/controller.json", () => {
    const spec = z
      .object({ spec: z.looseObject({ additionalPolicies: z.strictObject({ master: z.string() }) }) })
      .parse(parse(read("deploy/kops/cluster-spec.yaml")));

    expect(JSON.parse(spec.spec.additionalPolicies.master)).toEqual(
      (JSON.parse(read("iam/controller.json")) as { readonly Statement: unknown }).Statement,
    );
  });
});

describe("deploy/kops/uninstall-routes.yaml", () => {
  const specOf = (text: string, kind: string) =>
    parseAllDocuments(text)
      .map((document) => jobSchema.safeParse(document.toJS()))
      .flatMap(({ data }) => (data?.kind === kind ? [data] : []))
      .find(({ metadata }) => metadata.name.startsWith("romana-"))?.spec.template.spec;

  it("runs the controller's image with its account, its configuration and its etcd", () => {
    const job = specOf(read("deploy/kops/uninstall-routes.yaml"), "Job");
    const controller = specOf(read("deploy/rendered/romana-kops.yaml"), "Deployment");
    const [mine, its] = [job?.containers[0], controller?.containers[0]];

    expect(job?.serviceAccountName).toBe(controller?.serviceAccountName);
    expect(mine?.image).toBe(its?.image);
    expect(its?.args).toEqual(
      expect.arrayContaining((mine?.args ?? ["none"]).filter((arg) => arg.includes("="))),
    );
    expect(its?.envFrom).toEqual(mine?.envFrom);
    expect(its?.volumeMounts).toEqual(expect.arrayContaining([...(mine?.volumeMounts ?? ["none"])]));
    expect(controller?.volumes).toEqual(expect.arrayContaining([...(job?.volumes ?? ["none"])]));
  });
});

describe("deploy/ports.json", () => {
  it("names the port of the Service, and none of etcd", () => {
    const ports = readPorts().flatMap(({ port }) => (port === undefined ? [] : [port]));

    expect(ports).toEqual([9600]);
    expect(read("deploy/rendered/romana-kops.yaml")).toContain("port: 9600");
  });

  it("lets ICMP through both ways between nodes and control plane, and pods reach pods", () => {
    const ways = readPorts().map(({ from, to, protocol }) => `${protocol} ${from} > ${to}`);

    expect(ways).toEqual(
      expect.arrayContaining([
        "icmp node-cidr > control-plane",
        "icmp node-cidr > nodes",
        "all node-cidr > nodes",
        "all pod-cidr > nodes",
        "all pod-cidr > control-plane",
      ]),
    );
  });
});

/** The configuration as the Pod gives it: its file, its flags and the variables of etcd. */
function load(file: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const flags = args
    .filter((arg) => arg.startsWith("--"))
    .map((arg) => /^--([a-z-]+)=(.*)$/.exec(arg))
    .map((match) => [camelCase(match?.[1] ?? ""), match?.[2] ?? ""] as const);
  return loadControllerConfig({
    flags: { config: "controller.yaml", ...Object.fromEntries(flags) },
    environment,
    readFile: () => file,
  });
}

function objectsOf(file: string) {
  return parseAllDocuments(read(`deploy/rendered/${file}`)).map((document) =>
    objectSchema.parse(document.toJS()),
  );
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
