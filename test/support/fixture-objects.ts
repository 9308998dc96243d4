import { createHash } from "node:crypto";

import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { CREATED, NODE_FIELDS, POD_FIELDS } from "./fixture-fields.ts";
import { POLICY_SHAPES, Words, type Vocabulary } from "./fixture-policies.ts";
import { condition, namespace, networkPolicy, node, pod, type KubeObject } from "./kube-objects.ts";

export interface FixtureSize {
  readonly nodes: number;
  readonly pods: number;
  readonly namespaces: number;
  /** Different keys of labels that pods have; each pod has five of them. */
  readonly labelKeys: number;
  readonly policies: number;
  /** The same seed gives the same objects, to the last byte. */
  readonly seed: number;
}

/** The cluster that the controller is measured on. */
export const FULL_FIXTURE: FixtureSize = {
  nodes: 5000,
  pods: 20_000,
  namespaces: 100,
  labelKeys: 30,
  policies: 1000,
  seed: 6,
};

/** An object as it lies in etcd. */
export interface StoredObject {
  /** `/registry/pods/NAMESPACE/NAME` */
  readonly key: string;
  readonly object: KubeObject;
}

export const FIXTURE_ZONES = ["us-west-2a", "us-west-2b", "us-west-2c"] as const;
const LABELS_PER_POD = 5;
const IMAGES_PER_NODE = 25;
const TEAMS = ["blue", "green", "red", "amber"];

/**
 * A cluster of that size, each object with what the API server would have given it (UID, times, defaults), to be written into etcd before the API server starts. Objects are as
 * large as those of clusters are: a Node with its images 7 kB, a Pod with its mounts and the record of who wrote its fields 4.5 kB; 125 MB in all.
 */
export function* fixtureObjects(size: FixtureSize): Generator<StoredObject> {
  for (let index = 0; index < size.namespaces; index += 1) {
    yield { key: `/registry/namespaces/${namespaceName(index)}`, object: namespaceOf(index, size) };
  }
  for (let index = 0; index < size.nodes; index += 1) {
    yield { key: `/registry/minions/${nodeName(index)}`, object: nodeOf(index, size) };
  }
  const random = new SeededRandom(size.seed);
  const labels = random.fork("labels");
  for (let index = 0; index < size.pods; index += 1) {
    const inside = namespaceName(index % size.namespaces);
    yield {
      key: `/registry/pods/${inside}/${podName(index)}`,
      object: podOf(index, size, podLabels(labels, size)),
    };
  }
  const words = new Words(random.fork("policies"), vocabularyOf(size));
  const shapes = Object.values(POLICY_SHAPES);
  for (let index = 0; index < size.policies; index += 1) {
    const inside = namespaceName(index % size.namespaces);
    const name = policyName(index);
    const spec = shapes[index % shapes.length]?.(words) ?? {};
    const object = standing(networkPolicy(inside, name, withPortDefaults(spec)), size, 1);
    yield { key: `/registry/networkpolicies/${inside}/${name}`, object };
  }
}

/** `ip-10-32-0-1.us-west-2.compute.internal` */
export function nodeName(index: number): string {
  return `ip-${nodeIp(index).replaceAll(".", "-")}.us-west-2.compute.internal`;
}

/** One for each node, in 10.32.0.0/11. */
export function nodeIp(index: number): string {
  return dotted(0x0a20_0000 + 1 + index);
}

/** One for each pod, in 100.96.0.0/11. */
export function podIp(index: number): string {
  return dotted(0x6460_0000 + 1 + index);
}

export function podName(index: number): string {
  return `app-${Math.floor(index / 10)}-${index % 10}`;
}

export function namespaceName(index: number): string {
  return `team-${index}`;
}

export function policyName(index: number): string {
  return `policy-${index}`;
}

/** What the selectors of the fixture's policies are made of. */
export function vocabularyOf(size: Pick<FixtureSize, "labelKeys">): Vocabulary {
  return {
    podKeys: Array.from({ length: size.labelKeys }, (_, index) => `example.com/label-${index}`),
    podValues: Array.from({ length: 8 }, (_, index) => `value-${index}`),
    namespaceKeys: ["team", "stage"],
    namespaceValues: [...TEAMS, "production", "staging"],
    portNames: ["http", "metrics"],
  };
}

function namespaceOf(index: number, size: FixtureSize): KubeObject {
  const name = namespaceName(index);
  const plain = namespace(name, {
    "kubernetes.io/metadata.name": name,
    team: TEAMS[index % TEAMS.length] ?? "",
    stage: index % 2 === 0 ? "production" : "staging",
  });
  return {
    ...standing(plain, size),
    spec: { finalizers: ["kubernetes"] },
    status: { phase: "Active" },
  };
}

function nodeOf(index: number, size: FixtureSize): KubeObject {
  const zone = FIXTURE_ZONES[index % FIXTURE_ZONES.length] ?? FIXTURE_ZONES[0];
  const name = nodeName(index);
  const ip = nodeIp(index);
  const plain = node({
    name,
    ip,
    zone,
    instance: instanceId(index),
    labels: {
      "beta.kubernetes.io/arch": "amd64",
      "beta.kubernetes.io/os": "linux",
      "failure-domain.beta.kubernetes.io/region": "us-west-2",
      "failure-domain.beta.kubernetes.io/zone": zone,
      "kubernetes.io/arch": "amd64",
      "node-role.kubernetes.io/node": "",
      "node.kubernetes.io/instance-type": "m5.2xlarge",
    },
  });
  const resources = { cpu: "8", "ephemeral-storage": "101430960Ki", memory: "32284140Ki", pods: "110" };
  return {
    ...standing(plain, size, undefined, NODE_FIELDS),
    status: {
      ...plain.status,
      capacity: resources,
      allocatable: resources,
      conditions: [
        condition("MemoryPressure", false, "KubeletHasSufficientMemory"),
        condition("DiskPressure", false, "KubeletHasNoDiskPressure"),
        condition("PIDPressure", false, "KubeletHasSufficientPID"),
        condition("NetworkUnavailable", false, "RouteCreated"),
        condition("Ready", true, "KubeletReady"),
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
      images: Array.from({ length: IMAGES_PER_NODE }, (_, image) => ({
        names: [`registry.example/team/image-${image}@sha256:${digest("image", image)}`],
        sizeBytes: 40_000_000 + image * 1_000_000,
      })),
      nodeInfo: {
        architecture: "amd64",
        bootID: uid(size, "boot", name),
        containerRuntimeVersion: "containerd://1.7.28",
        kernelVersion: "6.8.0-1040-aws",
        kubeProxyVersion: "v1.34.4",
        kubeletVersion: "v1.34.4",
        machineID: digest("machine", index).slice(0, 32),
        operatingSystem: "linux",
        osImage: "Ubuntu 24.04.3 LTS",
        systemUUID: uid(size, "system", name),
      },
    },
  };
}

function podOf(index: number, size: FixtureSize, labels: Readonly<Record<string, string>>): KubeObject {
  const inside = namespaceName(index % size.namespaces);
  const name = podName(index);
  const at = index % size.nodes;
  const ip = podIp(index);
  const plain = pod({ namespace: inside, name, node: nodeName(at), ip, labels });
  return {
    ...standing(plain, size, undefined, POD_FIELDS),
    spec: {
      ...plain.spec,
      containers: [
        {
          name: "main",
          image: "registry.example/team/image-1:1.0.0",
          imagePullPolicy: "IfNotPresent",
          ports: [
            { name: "http", containerPort: 8080, protocol: "TCP" },
            { name: "metrics", containerPort: 9090, protocol: "TCP" },
          ],
          env: Array.from({ length: 8 }, (_, variable) => ({
            name: `SETTING_${variable}`,
            value: `value of setting ${variable}`,
          })),
          resources: {
            limits: { cpu: "500m", memory: "512Mi" },
            requests: { cpu: "100m", memory: "128Mi" },
          },
          volumeMounts: [
            {
              mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
              name: "kube-api-access",
              readOnly: true,
            },
          ],
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
        },
      ],
      dnsPolicy: "ClusterFirst",
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
      priority: 0,
      restartPolicy: "Always",
      schedulerName: "default-scheduler",
      securityContext: {},
      serviceAccount: "default",
      serviceAccountName: "default",
      tolerations: ["not-ready", "unreachable"].map((key) => ({
        effect: "NoExecute",
        key: `node.kubernetes.io/${key}`,
        operator: "Exists",
        tolerationSeconds: 300,
      })),
      volumes: [
        {
          name: "kube-api-access",
          projected: {
            defaultMode: 420,
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
              {
                configMap: { items: [{ key: "ca.crt", path: "ca.crt" }], name: "kube-root-ca.crt" },
              },
            ],
          },
        },
      ],
    },
    status: {
      phase: "Running",
      conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({
        type,
        status: "True",
        lastProbeTime: null,
        lastTransitionTime: CREATED,
      })),
      containerStatuses: [
        {
          containerID: `containerd://${digest("container", index)}`,
          image: "registry.example/team/image-1:1.0.0",
          imageID: `registry.example/team/image-1@sha256:${digest("image", 1)}`,
          lastState: {},
          name: "main",
          ready: true,
          restartCount: 0,
          started: true,
          state: { running: { startedAt: CREATED } },
        },
      ],
      hostIP: nodeIp(at),
      podIP: ip,
      podIPs: [{ ip }],
      qosClass: "Burstable",
      startTime: CREATED,
    },
  };
}

function podLabels(random: SeededRandom, size: FixtureSize): Readonly<Record<string, string>> {
  const { podKeys, podValues } = vocabularyOf(size);
  const first = random.integer(podKeys.length);
  const labels: Record<string, string> = { "romana.io/segment": `segment-${random.integer(4)}` };
  for (let index = 0; index < Math.min(LABELS_PER_POD, podKeys.length); index += 1) {
    labels[podKeys[(first + index * 7) % podKeys.length] ?? ""] = random.pick(podValues) ?? "";
  }
  return labels;
}

/** The object as if the API server had taken it: who it is, since when, and who wrote which of its fields. */
function standing(
  object: KubeObject,
  size: FixtureSize,
  generation?: number,
  writers: readonly object[] = [],
): KubeObject {
  const { metadata } = object;
  return {
    ...object,
    metadata: {
      ...metadata,
      uid: uid(size, object.kind, `${metadata.namespace ?? ""}/${metadata.name}`),
      creationTimestamp: CREATED,
      ...(generation === undefined ? {} : { generation }),
      ...(writers.length === 0 ? {} : { managedFields: writers }),
    },
  };
}

/** The API server fills in the protocol when a policy is written, not when it is read. */
function withPortDefaults(spec: object): object {
  return JSON.parse(JSON.stringify(spec), (key, value: unknown) =>
    key === "ports" && Array.isArray(value)
      ? value.map((port: object) => ({ protocol: "TCP", ...port }))
      : value,
  ) as object;
}

/** `i-` and 17 digits, one for each node. */
function instanceId(index: number): string {
  return `i-${(0x0a000 + index).toString(16).padStart(17, "0")}`;
}

function uid(size: FixtureSize, kind: string, name: string): string {
  const hex = digest(`${size.seed}/${kind}/${name}`, 0);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function digest(what: string, index: number): string {
  return createHash("sha256").update(`${what}/${index}`).digest("hex");
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
