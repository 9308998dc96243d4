import { parseCidr } from "../core/net/cidr.ts";
import { list, optional, toggle, withDefault, type OptionValues } from "./option.ts";
import {
  decimalNumber,
  duration,
  matching,
  oneOf,
  parseListenAddress,
  parseRouteTables,
  parseStoreLocation,
  parseTag,
  parseTopologySource,
  wholeNumber,
} from "./values.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Beyond it a duration is a mistake of the unit. */
const WEEK_MS = 7 * 24 * HOUR_MS;
/** After which nobody listens for the answer to a probe any more (`ports/prober.ts`). */
const LONGEST_ANSWER_MS = 1000;

const GENERAL = "General";
const AWS = "AWS";
const ROUTES = "Routes";
const PROBES = "Probes and failover";
const EC2 = "EC2 calls";

/** The options of `romana controller`, in the order in which they are documented. Names of health options are those of `core/health`. */
export const controllerOptions = {
  config: optional({
    name: "config",
    section: GENERAL,
    placeholder: "FILE",
    defaultNote: "none",
    parse: matching(/./, "a file"),
    help: "A YAML file with any of these options, under their names without dashes in front. Flags and variables win over it.",
  }),
  store: withDefault({
    name: "store",
    section: GENERAL,
    placeholder: "sqlite:FILE|memory",
    default: "sqlite:/var/lib/romana/romana.db",
    parse: parseStoreLocation,
    help: "Where state is kept. `memory` forgets everything when the program ends.",
  }),
  listen: withDefault({
    name: "listen",
    section: GENERAL,
    placeholder: "ADDRESS:PORT|unix:PATH",
    default: "127.0.0.1:9600",
    parse: parseListenAddress,
    help: "Where the REST API is served: loopback or a socket. Other addresses are refused until the API has TLS and authentication.",
  }),
  maxInFlight: withDefault({
    name: "max-in-flight",
    section: GENERAL,
    placeholder: "N",
    default: "128",
    parse: wholeNumber(1, 10_000),
    help: "HTTP requests worked on at once; those beyond it are answered 429.",
  }),
  topology: optional({
    name: "topology",
    section: GENERAL,
    aliases: ["initial-network"],
    placeholder: "FILE|builtin:NAME",
    defaultNote: "none: it starts empty, and `POST /topology` brings one",
    parse: parseTopologySource,
    help: "The topology to start with when the store has none.",
  }),
  serviceRange: optional({
    name: "service-range",
    section: GENERAL,
    placeholder: "CIDR",
    defaultNote: "none",
    parse: parseCidr,
    help: "The addresses of Kubernetes services. A network that overlaps them is refused.",
  }),
  interval: withDefault({
    name: "interval",
    section: GENERAL,
    placeholder: "DURATION",
    default: "30s",
    parse: duration(1000, 24 * HOUR_MS, true),
    help: "Between two full passes, which read everything and put it right. `0s`: never by itself, only after a change.",
  }),
  dryRun: toggle({
    name: "dry-run",
    section: GENERAL,
    help: "Plans and reports, and changes nothing in EC2.",
  }),
  logLevel: withDefault({
    name: "log-level",
    section: GENERAL,
    placeholder: "error|warn|info|debug",
    default: "info",
    parse: oneOf("error", "warn", "info", "debug"),
    help: "The least important lines that are logged.",
  }),

  cloud: withDefault({
    name: "cloud",
    section: AWS,
    placeholder: "aws|none",
    default: "none",
    parse: oneOf("aws", "none"),
    help: "`aws` keeps routes and Source/Dest checks of a VPC. `none` needs nothing of AWS, and the options of this section have no effect.",
  }),
  region: optional({
    name: "region",
    section: AWS,
    placeholder: "REGION",
    defaultNote: "that of the instance",
    parse: matching(/^[a-z]{2,}(-[a-z]+)+-\d+$/, "a region such as us-east-1"),
    help: "The region of the VPC.",
  }),
  vpc: optional({
    name: "vpc",
    section: AWS,
    placeholder: "ID",
    defaultNote: "that of the instance",
    parse: matching(/^vpc-[0-9a-f]+$/, "the id of a VPC (vpc-…)"),
    help: "The VPC.",
  }),
  cluster: optional({
    name: "cluster",
    section: AWS,
    placeholder: "NAME",
    defaultNote: "none: every instance of the VPC",
    parse: matching(/^[\p{L}\p{N}+\-=._:/@]{1,100}$/u, "the name of a cluster"),
    help: "Instances of this cluster alone: those with the tag `kubernetes.io/cluster/NAME`.",
  }),
  hostTags: list({
    name: "host-tag",
    section: AWS,
    placeholder: "KEY=VALUE",
    parse: parseTag,
    help: "Instances with this tag become hosts by themselves, where there is no Kubernetes to say so. Given several times, an instance needs all of them.",
  }),

  routeTables: withDefault({
    name: "route-tables",
    section: ROUTES,
    placeholder: "cluster|vpc|tag:KEY=VALUE|rtb-…,rtb-…",
    default: "cluster",
    parse: parseRouteTables,
    help: "The route tables to write: those of the subnets with hosts (`cluster`), all of the VPC, those with a tag, or these.",
  }),
  routeQuota: withDefault({
    name: "route-quota",
    section: ROUTES,
    placeholder: "N",
    default: "500",
    parse: wholeNumber(1, 1000),
    help: "Routes that a route table may hold, foreign ones included (a quota of the AWS account, 1,000 at most).",
  }),
  routeReserve: optional({
    name: "route-reserve",
    section: ROUTES,
    placeholder: "N",
    defaultNote: "5 % of `--route-quota`, at least 2",
    parse: wholeNumber(0, 999),
    help: "Routes of the quota that plans leave free, for changes that need both the old and the new route for a moment.",
  }),
  ignoreRoutes: list({
    name: "ignore-routes",
    section: ROUTES,
    placeholder: "CIDR,…",
    parse: parseCidr,
    help: "Routes inside these networks are neither written nor reported.",
  }),

  probe: withDefault({
    name: "probe",
    section: PROBES,
    placeholder: "icmp|tcp|none",
    default: "icmp",
    parse: oneOf("icmp", "tcp", "none"),
    help: "How hosts are probed. `icmp` needs the right to open raw sockets. `none`: a silent host is not noticed.",
  }),
  probePort: withDefault({
    name: "probe-port",
    section: PROBES,
    placeholder: "PORT",
    default: "10250",
    parse: wholeNumber(1, 65_535),
    help: "Where TCP probes knock: by default at the kubelet, which every node of Kubernetes serves to its control plane. Hosts without one usually serve 22.",
  }),
  probeInterval: withDefault({
    name: "probe-interval",
    section: PROBES,
    placeholder: "DURATION",
    default: "200ms",
    parse: duration(1, WEEK_MS),
    help: "Between two probes of a gateway, and of a host that is coming back.",
  }),
  probeIntervalStandby: withDefault({
    name: "probe-interval-standby",
    section: PROBES,
    placeholder: "DURATION",
    default: "2s",
    parse: duration(1, WEEK_MS),
    help: "Between two probes of a stand-in; at least `--probe-interval`.",
  }),
  probeTimeout: withDefault({
    name: "probe-timeout",
    section: PROBES,
    placeholder: "DURATION",
    default: "150ms",
    parse: duration(1, LONGEST_ANSWER_MS),
    help: "A probe that is unanswered for this long is lost; at most `--probe-interval`.",
  }),
  fall: withDefault({
    name: "fall",
    section: PROBES,
    placeholder: "N",
    default: "2",
    parse: wholeNumber(1, 100),
    help: "Probes lost in a row that make a host suspect.",
  }),
  burst: withDefault({
    name: "burst",
    section: PROBES,
    placeholder: "N",
    default: "5",
    parse: wholeNumber(2, 100),
    help: "Quick probes that then confirm or clear the suspicion: all must be lost.",
  }),
  burstInterval: withDefault({
    name: "burst-interval",
    section: PROBES,
    placeholder: "DURATION",
    default: "25ms",
    parse: duration(1, WEEK_MS),
    help: "Between two probes of the burst; at most `--probe-interval`.",
  }),
  burstTimeout: withDefault({
    name: "burst-timeout",
    section: PROBES,
    placeholder: "DURATION",
    default: "100ms",
    parse: duration(1, LONGEST_ANSWER_MS),
    help: "A probe of the burst that is unanswered for this long is lost.",
  }),
  rise: withDefault({
    name: "rise",
    section: PROBES,
    placeholder: "N",
    default: "5",
    parse: wholeNumber(1, 1000),
    help: "Answers in a row before a host may be chosen as a gateway.",
  }),
  holdDown: withDefault({
    name: "hold-down",
    section: PROBES,
    placeholder: "DURATION",
    default: "10s",
    parse: duration(0, WEEK_MS),
    help: "How long a host that failed may not be chosen, whatever it answers.",
  }),
  holdDownWindow: withDefault({
    name: "hold-down-window",
    section: PROBES,
    placeholder: "DURATION",
    default: "10m",
    parse: duration(0, WEEK_MS),
    help: "A host that fails again within this time waits twice as long as the last time.",
  }),
  holdDownMax: withDefault({
    name: "hold-down-max",
    section: PROBES,
    placeholder: "DURATION",
    default: "5m",
    parse: duration(0, WEEK_MS),
    help: "The longest wait; at least `--hold-down`.",
  }),

  ec2Burst: withDefault({
    name: "ec2-burst",
    section: EC2,
    placeholder: "N",
    default: "50",
    parse: wholeNumber(1, 10_000),
    help: "Changes of one kind that may be sent at once: the size of the account's token bucket for that action.",
  }),
  ec2Rate: withDefault({
    name: "ec2-rate",
    section: EC2,
    placeholder: "N",
    default: "5",
    parse: decimalNumber(0.1, 1000),
    help: "Changes of one kind each second after that: how fast the bucket fills again.",
  }),
  ec2FailoverReserve: withDefault({
    name: "ec2-failover-reserve",
    section: EC2,
    placeholder: "N",
    default: "20",
    parse: wholeNumber(0, 9999),
    help: "Tokens of the bucket that are kept for failover; less than `--ec2-burst`.",
  }),
  ec2Concurrency: withDefault({
    name: "ec2-concurrency",
    section: EC2,
    placeholder: "N",
    default: "8",
    parse: wholeNumber(1, 256),
    help: "Changes under way at once.",
  }),
  ec2Timeout: withDefault({
    name: "ec2-timeout",
    section: EC2,
    placeholder: "DURATION",
    default: "10s",
    parse: duration(100, 5 * MINUTE_MS),
    help: "How long one call may take before it is given up and repeated.",
  }),
} as const;

/** The values of the options, parsed. */
export type ControllerValues = OptionValues<typeof controllerOptions>;
