import { controllerOptions } from "./controller-options.ts";
import { formatDuration } from "./durations.ts";
import { list, optional, toggle, withDefault, type OptionValues } from "./option.ts";
import {
  duration,
  matching,
  oneOf,
  parseListenAddress,
  parseRouteTables,
  parseStoreLocation,
  wholeNumber,
} from "./values.ts";

const GENERAL = "General";
const ROUTES = "Routes";
const PROBES = "Probes and failover";
const DAY_MS = 24 * 3_600_000;
const WEEK_MS = 7 * DAY_MS;

/** As for the controller: stand-ins are probed this often, or as often as gateways where that is less. */
export const STANDBY_INTERVAL_MS = 2000;

const { config, dryRun, logLevel, maxInFlight, region, vpc, routeQuota, routeReserve, ignoreRoutes } =
  controllerOptions;
const {
  probeTimeout,
  fall,
  burst,
  burstInterval,
  burstTimeout,
  rise,
  holdDown,
  holdDownWindow,
  holdDownMax,
} = controllerOptions;
const { ec2Burst, ec2Rate, ec2FailoverReserve, ec2Concurrency, ec2Timeout } = controllerOptions;

const { tlsCert, tlsKey, tlsClientCa, tokenFile, requireAuth } = controllerOptions;

/** The options of `romana vpc-router`, in the order in which they are documented. Those that the controller has too are the same ones. */
export const routerOptions = {
  config,
  routeSpec: optional({
    name: "route-spec",
    section: GENERAL,
    placeholder: "FILE",
    defaultNote: "none: the list is posted, see `--listen`",
    parse: matching(/./, "a file"),
    help: 'The list of routes, JSON with comments: `{"10.1.0.0/16": ["172.20.32.5", "172.20.64.9"]}`. A change is noticed within a second.',
  }),
  listen: list({
    name: "listen",
    section: GENERAL,
    placeholder: "ADDRESS:PORT|https://ADDRESS:PORT|unix:PATH",
    parse: parseListenAddress,
    help: "Where the list is taken (`POST /route_spec`, unless `--route-spec` names a file) and the state is shown (`GET /`). Loopback and sockets are plain HTTP, unless https:// stands in front; any other address is served with TLS.",
  }),
  allowEmpty: toggle({
    name: "allow-empty",
    section: GENERAL,
    help: "Takes a list without routes, and destinations without addresses: their routes go. Without it such a list is refused as a mistake.",
  }),
  store: withDefault({
    name: "store",
    section: GENERAL,
    placeholder: "sqlite:FILE|memory",
    default: "sqlite:/var/lib/romana/vpc-router.db",
    parse: parseStoreLocation,
    help: "Where the record of our routes and the last good list are kept. `memory` forgets both when the program ends.",
  }),
  recheck: withDefault({
    name: "recheck",
    section: GENERAL,
    placeholder: "DURATION",
    default: "30s",
    parse: duration(1000, DAY_MS, true),
    help: "Between two full passes, which read everything and put it right. `0s`: only after a change.",
  }),
  dryRun,
  logLevel,
  maxInFlight,
  region,
  vpc,
  tlsCert,
  tlsKey,
  tlsClientCa,
  tokenFile,
  requireAuth,

  routeTables: withDefault({
    name: "route-tables",
    section: ROUTES,
    placeholder: "cluster|vpc|tag:KEY=VALUE|rtb-…,rtb-…",
    default: "cluster",
    parse: parseRouteTables,
    help: "The route tables to write: those of the subnets that hold a listed address (`cluster`), all of the VPC, those with a tag, or these.",
  }),
  takeOver: toggle({
    name: "take-over",
    section: ROUTES,
    help: "Replaces a route on a listed destination that leads to none of its addresses, and keeps it as ours. Without it such a route is a conflict, reported and left alone.",
  }),
  routeQuota,
  routeReserve,
  ignoreRoutes,

  health: withDefault({
    name: "health",
    section: PROBES,
    placeholder: "icmp|tcp|multi",
    default: "icmp",
    parse: oneOf("icmp", "tcp", "multi"),
    help: "How listed addresses are probed. `icmp` and `multi` need the right to open raw sockets. `multi` asks both ways, and an address must answer both.",
  }),
  tcpPort: withDefault({
    name: "tcp-port",
    section: PROBES,
    aliases: ["probe-port"],
    placeholder: "PORT",
    default: "22",
    parse: wholeNumber(1, 65_535),
    help: "Where TCP probes knock. A refused connection is an answer.",
  }),
  probeInterval: withDefault({
    name: "interval",
    section: PROBES,
    aliases: ["probe-interval"],
    placeholder: "DURATION",
    default: "200ms",
    parse: duration(1, WEEK_MS),
    help: "Between two probes of an address that serves a route, and of one that is coming back.",
  }),
  probeIntervalStandby: optional({
    name: "probe-interval-standby",
    section: PROBES,
    placeholder: "DURATION",
    defaultNote: `\`${formatDuration(STANDBY_INTERVAL_MS)}\`, or \`--interval\` where that is longer`,
    parse: duration(1, WEEK_MS),
    help: "Between two probes of an address that serves no route; at least `--interval`.",
  }),
  probeTimeout,
  fall,
  burst,
  burstInterval,
  burstTimeout,
  rise,
  holdDown,
  holdDownWindow,
  holdDownMax,
  ec2Burst,
  ec2Rate,
  ec2FailoverReserve,
  ec2Concurrency,
  ec2Timeout,
} as const;

/** The values of the options, parsed. */
export type RouterValues = OptionValues<typeof routerOptions>;
