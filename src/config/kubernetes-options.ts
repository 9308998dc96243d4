import { parseCidrOverride, parseKubernetesSource, parseNamespacedName } from "./kubernetes-values.ts";
import { list, withDefault } from "./option.ts";
import { duration, matching, oneOf } from "./values.ts";

const KUBERNETES = "Kubernetes";
/** Beyond it a duration is a mistake of the unit. */
const WEEK_MS = 7 * 24 * 60 * 60_000;

/** The options of `romana controller` that say how it follows a cluster. */
export const kubernetesOptions = {
  kubernetes: withDefault({
    name: "kubernetes",
    section: KUBERNETES,
    placeholder: "auto|in-cluster|off|FILE",
    default: "auto",
    parse: parseKubernetesSource,
    help: "Which cluster is followed: the one that we run in, none, or that of a kubeconfig file. `auto` is `in-cluster` in a pod with a service account, else `off`.",
  }),
  election: withDefault({
    name: "election",
    section: KUBERNETES,
    placeholder: "auto|lease|store",
    default: "auto",
    parse: oneOf("auto", "lease", "store"),
    help: "Where replicas choose their leader: a Lease of the cluster, or a key of the store. `auto` is `lease` where a cluster is followed, else `store`.",
  }),
  lease: withDefault({
    name: "lease",
    section: KUBERNETES,
    placeholder: "NAMESPACE/NAME",
    default: "kube-system/romana-controller",
    parse: parseNamespacedName,
    help: "The Lease of the election.",
  }),
  segmentLabel: withDefault({
    name: "segment-label",
    section: KUBERNETES,
    placeholder: "LABEL",
    default: "romana.io/segment",
    parse: matching(/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9._-]{1,63}$/, "the key of a label"),
    help: "The label of a Pod that names its segment; the tenant is its namespace.",
  }),
  tokenAudience: withDefault({
    name: "token-audience",
    section: KUBERNETES,
    placeholder: "AUDIENCE",
    default: "romana",
    parse: matching(/^[\x21-\x7e]{1,253}$/, "an audience"),
    help: "For whom a token of a service account must be made out to be taken here.",
  }),
  agentServiceAccount: withDefault({
    name: "agent-service-account",
    section: KUBERNETES,
    placeholder: "NAMESPACE/NAME",
    default: "kube-system/romana-agent",
    parse: parseNamespacedName,
    help: "The service account of the agents: its token stands for the node of the Pod that it was made for.",
  }),
  networkCidrOverrides: list({
    name: "network-cidr-overrides",
    section: KUBERNETES,
    placeholder: "NETWORK=CIDR,…",
    parse: parseCidrOverride,
    help: "Another CIDR for a network of the topology that is started with, such as `romana-network=100.96.0.0/11`. A name that it does not have has no effect.",
  }),
  hostGrace: withDefault({
    name: "host-grace",
    section: KUBERNETES,
    placeholder: "DURATION",
    default: "15m",
    parse: duration(0, WEEK_MS),
    help: "Without AWS: how long a Node must be gone before its host goes, with every address on it.",
  }),
  addressGrace: withDefault({
    name: "address-grace",
    section: KUBERNETES,
    placeholder: "DURATION",
    default: "10m",
    parse: duration(1000, WEEK_MS),
    help: "How long an address must be without Pod and without interface before it is released.",
  }),
} as const;
