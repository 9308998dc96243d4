import { readFileSync } from "node:fs";

import { NetworkError } from "../core/errors.ts";
import { type ConfigFile, readConfigFile } from "./config-file.ts";
import { controllerOptions, type ControllerValues } from "./controller-options.ts";
import { formatDuration } from "./durations.ts";
import type { CidrOverride, KubernetesSource, NamespacedName } from "./kubernetes-values.ts";
import type { OptionTable, OptionValues } from "./option.ts";
import { resolveOptions, type Environment, type Flags } from "./resolve-options.ts";

/** How hosts are probed. `port` is for TCP. */
export interface ProbeConfig {
  readonly kind: "icmp" | "tcp" | "none";
  readonly port: number;
}

/** When silence becomes a verdict; the names are those of the health options of `core/health`. */
export interface HealthConfig {
  readonly intervalMs: number;
  readonly standbyIntervalMs: number;
  readonly timeoutMs: number;
  readonly fall: number;
  readonly burst: number;
  readonly burstIntervalMs: number;
  readonly burstTimeoutMs: number;
  readonly rise: number;
  readonly holdDownMs: number;
  readonly holdDownWindowMs: number;
  readonly holdDownMaxMs: number;
}

/** Limits for changes in EC2. `burst` and `ratePerSecond` hold for each action by itself. */
export interface Ec2Config {
  readonly burst: number;
  readonly ratePerSecond: number;
  readonly failoverReserve: number;
  readonly concurrency: number;
  readonly timeoutMs: number;
}

/** How etcd is reached; has no effect with another store. */
export interface EtcdConfig {
  readonly endpoints: readonly string[];
  /** Root of all keys, without a slash at its end. */
  readonly prefix: string;
  /** Paths of PEM files. Absent: plain HTTP. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly login?: { readonly user: string; readonly passwordFile: string };
}

/** Files of TLS, and how callers are known. `cert` and `key` are both given or both not. */
export interface SecurityConfig {
  readonly tls:
    | { readonly cert: string; readonly key: string; readonly clientCa: string | undefined }
    | undefined;
  readonly tokenFile: string | undefined;
  readonly requireAuth: boolean;
}

/** How a cluster is followed, and what it decides. */
export interface KubernetesConfig {
  readonly source: KubernetesSource;
  readonly election: "auto" | "lease" | "store";
  readonly lease: NamespacedName;
  readonly segmentLabel: string;
  readonly tokenAudience: string;
  readonly agentServiceAccount: NamespacedName;
  readonly cidrOverrides: readonly CidrOverride[];
  readonly hostGraceMs: number;
  readonly addressGraceMs: number;
}

/** Everything that `romana controller` can be told, parsed and consistent. */
export type ControllerConfig = Pick<
  ControllerValues,
  | "store"
  | "listen"
  | "maxInFlight"
  | "replicaId"
  | "advertiseUrl"
  | "maxStreams"
  | "topology"
  | "serviceRange"
  | "dryRun"
  | "logLevel"
  | "cloud"
  | "region"
  | "vpc"
  | "cluster"
  | "hostTags"
  | "routeTables"
  | "routeQuota"
  | "ignoreRoutes"
> & {
  readonly routeReserve: number;
  /** Between two full passes; 0: never by itself. */
  readonly intervalMs: number;
  /** Time to live of the leader's lease. */
  readonly leaderTtlMs: number;
  readonly probe: ProbeConfig;
  readonly health: HealthConfig;
  readonly ec2: Ec2Config;
  readonly etcd: EtcdConfig;
  readonly security: SecurityConfig;
  readonly kubernetes: KubernetesConfig;
};

type HealthValues = Pick<
  ControllerValues,
  | "probeInterval"
  | "probeIntervalStandby"
  | "probeTimeout"
  | "fall"
  | "burst"
  | "burstInterval"
  | "burstTimeout"
  | "rise"
  | "holdDown"
  | "holdDownWindow"
  | "holdDownMax"
>;
type Ec2Values = Pick<
  ControllerValues,
  "ec2Burst" | "ec2Rate" | "ec2FailoverReserve" | "ec2Concurrency" | "ec2Timeout"
>;

type SecurityValues = Pick<
  ControllerValues,
  "listen" | "tlsCert" | "tlsKey" | "tlsClientCa" | "tokenFile" | "requireAuth"
>;

/** Values of which some could not be read. */
type Known<Values> = { readonly [Name in keyof Values]?: Values[Name] | undefined };

/** What a configuration is loaded from. `readFile` is for tests. */
export interface LoadOptions {
  readonly flags: Flags;
  readonly environment: Environment;
  readonly readFile?: (path: string) => string;
}

/**
 * The configuration of `romana controller`: each option from its flag, else from its variable, else from the file that `--config` names, else its default.
 * Throws `NetworkError` `CONFIG_INVALID`, kind `invalid`, with every problem, one a line in the message and as a list in `details.problems`.
 */
export function loadControllerConfig({
  flags,
  environment,
  readFile = readText,
}: LoadOptions): ControllerConfig {
  const problems = (values: Partial<ControllerValues>): readonly string[] => [
    ...etcdContradictions(values),
    ...contradictions(values, reviewsTokens(values, environment)),
  ];
  return assemble(resolveAll(controllerOptions, { flags, environment, readFile }, problems));
}

/**
 * The values of every option of a table, each from the first source that has it. `check` says what does not fit together; options that could not be read are
 * missing in what it is given. Throws `CONFIG_INVALID` with every problem.
 */
export function resolveAll<Table extends OptionTable>(
  table: Table,
  { flags, environment, readFile = readText }: LoadOptions,
  check: (values: Partial<OptionValues<Table>>) => readonly string[],
): OptionValues<Table> {
  const path = resolveOptions(
    { config: controllerOptions.config },
    { flags: pick(flags, "config"), environment },
  );
  const file = path.values.config === undefined ? undefined : readConfig(path.values.config, readFile);
  const sources = { flags, environment, ...(file === undefined ? {} : { file }) };
  const { values, problems } = resolveOptions(table, sources);
  const all = [
    ...problems,
    ...(file?.texts.has("config") ? [`${file.path}: config: a file cannot name another`] : []),
    ...check(values),
  ];
  if (all.length > 0) {
    throw new NetworkError("invalid", "CONFIG_INVALID", describe(all), { problems: all });
  }
  return values as OptionValues<Table>;
}

function assemble(values: ControllerValues): ControllerConfig {
  const { routeQuota } = values;
  return {
    store: values.store,
    listen: values.listen,
    maxInFlight: values.maxInFlight,
    replicaId: values.replicaId,
    advertiseUrl: values.advertiseUrl,
    leaderTtlMs: values.leaderTtl,
    maxStreams: values.maxStreams,
    topology: values.topology,
    serviceRange: values.serviceRange,
    intervalMs: values.interval,
    dryRun: values.dryRun,
    logLevel: values.logLevel,
    cloud: values.cloud,
    region: values.region,
    vpc: values.vpc,
    cluster: values.cluster,
    hostTags: values.hostTags,
    routeTables: values.routeTables,
    routeQuota,
    routeReserve: values.routeReserve ?? defaultReserve(routeQuota),
    ignoreRoutes: values.ignoreRoutes,
    probe: { kind: values.probe, port: values.probePort },
    health: healthConfig(values),
    security: securityConfig(values),
    ec2: ec2Config(values),
    etcd: assembleEtcd(values),
    kubernetes: {
      source: values.kubernetes,
      election: values.election,
      lease: values.lease,
      segmentLabel: values.segmentLabel,
      tokenAudience: values.tokenAudience,
      agentServiceAccount: values.agentServiceAccount,
      cidrOverrides: values.networkCidrOverrides,
      hostGraceMs: values.hostGrace,
      addressGraceMs: values.addressGrace,
    },
  };
}

/** The options of probes and failover under the names of `core/health`. */
export function healthConfig(values: HealthValues): HealthConfig {
  return {
    intervalMs: values.probeInterval,
    standbyIntervalMs: values.probeIntervalStandby,
    timeoutMs: values.probeTimeout,
    fall: values.fall,
    burst: values.burst,
    burstIntervalMs: values.burstInterval,
    burstTimeoutMs: values.burstTimeout,
    rise: values.rise,
    holdDownMs: values.holdDown,
    holdDownWindowMs: values.holdDownWindow,
    holdDownMaxMs: values.holdDownMax,
  };
}

/** Files of TLS, and how callers are known. */
export function securityConfig(values: Omit<SecurityValues, "listen">): SecurityConfig {
  return {
    tls:
      values.tlsCert === undefined || values.tlsKey === undefined
        ? undefined
        : { cert: values.tlsCert, key: values.tlsKey, clientCa: values.tlsClientCa },
    tokenFile: values.tokenFile,
    requireAuth: values.requireAuth,
  };
}

/** The limits of calls to EC2. */
export function ec2Config(values: Ec2Values): Ec2Config {
  return {
    burst: values.ec2Burst,
    ratePerSecond: values.ec2Rate,
    failoverReserve: values.ec2FailoverReserve,
    concurrency: values.ec2Concurrency,
    timeoutMs: values.ec2Timeout,
  };
}

function assembleEtcd(values: ControllerValues): EtcdConfig {
  const { etcdEndpoints, etcdCacert, etcdCert, etcdKey, etcdUser, etcdPasswordFile } = values;
  const secure = etcdEndpoints.some(isSecure);
  const files = {
    ...(etcdCacert === undefined ? {} : { ca: etcdCacert }),
    ...(etcdCert === undefined ? {} : { cert: etcdCert }),
    ...(etcdKey === undefined ? {} : { key: etcdKey }),
  };
  return {
    endpoints: etcdEndpoints,
    prefix: values.etcdPrefix,
    ...(secure ? { tls: files } : {}),
    ...(etcdUser === undefined || etcdPasswordFile === undefined
      ? {}
      : { login: { user: etcdUser, passwordFile: etcdPasswordFile } }),
  };
}

function isSecure(endpoint: string): boolean {
  return endpoint.startsWith("https:");
}

/** What is wrong with the options of etcd together. */
function etcdContradictions(values: Partial<ControllerValues>): readonly string[] {
  const { store, etcdEndpoints = [], etcdCacert, etcdCert, etcdKey, etcdUser, etcdPasswordFile } = values;
  if (store?.kind !== "etcd") {
    return [];
  }
  const plain = etcdEndpoints.filter((endpoint) => !isSecure(endpoint));
  const exposed = plain.filter((endpoint) => !/^http:\/\/(127\.|localhost:|\[::1\]:)/.test(endpoint));
  const given: readonly (readonly [boolean, string])[] = [
    [values.etcdEndpoints?.length === 0, "store etcd needs etcd-endpoints: say where it serves its clients"],
    [
      plain.length > 0 && plain.length < etcdEndpoints.length,
      "etcd-endpoints: some are http and some https: make them all one or the other",
    ],
    [
      plain.length > 0 && [etcdCacert, etcdCert, etcdKey].some((file) => file !== undefined),
      "etcd-cacert, etcd-cert and etcd-key need etcd-endpoints with https",
    ],
    [
      (etcdCert === undefined) !== (etcdKey === undefined),
      "etcd-cert and etcd-key need each other: give both or none",
    ],
    [
      (etcdUser === undefined) !== (etcdPasswordFile === undefined),
      "etcd-user and etcd-password-file need each other: give both or none",
    ],
    [
      etcdUser !== undefined && exposed.length > 0,
      `etcd-user: its password would go over the network in the clear to ${exposed.join(", ")}: use https`,
    ],
  ];
  return given.filter(([wrong]) => wrong).map(([, problem]) => problem);
}

/** 5 % of the quota, at least 2. */
export function defaultReserve(quota: number): number {
  return Math.max(2, Math.ceil(quota * 0.05));
}

/** Whether a cluster is followed, which knows the tokens of its service accounts. */
function reviewsTokens({ kubernetes }: Partial<ControllerValues>, environment: Environment): boolean {
  return kubernetes?.kind === "auto" || kubernetes === undefined
    ? (environment["KUBERNETES_SERVICE_HOST"] ?? "") !== ""
    : kubernetes.kind !== "off";
}

/**
 * Options that are good by themselves and do not fit together. Those that could not be read are left out. `knowsTokens`: callers are known by something else than
 * the options of security.
 */
export function contradictions(
  values: Known<
    HealthValues & Ec2Values & SecurityValues & Pick<ControllerValues, "routeQuota" | "routeReserve">
  >,
  knowsTokens = false,
): string[] {
  const problems: string[] = [];
  const { probeInterval, probeIntervalStandby, probeTimeout, burstInterval, holdDown, holdDownMax } = values;
  const { routeQuota, routeReserve, ec2Burst, ec2FailoverReserve } = values;
  // The other way round, losses would not come one by one.
  atMost(problems, "probe-timeout", probeTimeout, "probe-interval", probeInterval);
  atMost(problems, "probe-interval", probeInterval, "probe-interval-standby", probeIntervalStandby);
  atMost(problems, "burst-interval", burstInterval, "probe-interval", probeInterval);
  atMost(problems, "hold-down", holdDown, "hold-down-max", holdDownMax);
  if (routeQuota !== undefined) {
    const reserve = routeReserve ?? defaultReserve(routeQuota);
    if (reserve >= routeQuota) {
      problems.push(
        `route-reserve (${reserve}) leaves no route of route-quota (${routeQuota}): make it smaller`,
      );
    }
  }
  if (ec2FailoverReserve !== undefined && ec2Burst !== undefined && ec2FailoverReserve >= ec2Burst) {
    problems.push(
      `ec2-failover-reserve (${ec2FailoverReserve}) leaves no token of ec2-burst (${ec2Burst}) for all else: make it smaller`,
    );
  }
  problems.push(...securityProblems(values, knowsTokens));
  return problems;
}

/** TLS wants its files, and an address on which nobody could be known is of no use. */
function securityProblems(values: Known<SecurityValues>, knowsTokens: boolean): string[] {
  const { listen = [], tlsCert, tlsKey, tlsClientCa, tokenFile, requireAuth } = values;
  const problems: string[] = [];
  const secure = listen.find((address) => address.kind === "tcp" && address.tls);
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    problems.push("tls-cert and tls-key belong together: give both or none");
  } else if (secure?.kind === "tcp" && tlsCert === undefined) {
    problems.push(
      `listen (${secure.host}:${secure.port}) is served with TLS, which wants tls-cert and tls-key: "romana certs init" makes them for a trial; or listen on loopback (127.0.0.1:${secure.port}) or on a socket (unix:PATH)`,
    );
  } else if (secure?.kind === "tcp" && tlsClientCa === undefined && tokenFile === undefined && !knowsTokens) {
    problems.push(
      `listen (${secure.host}:${secure.port}) would let nobody in: give tls-client-ca, token-file or both, or follow a cluster with kubernetes`,
    );
  }
  if (tlsClientCa !== undefined && tlsCert === undefined) {
    problems.push("tls-client-ca has no effect without tls-cert and tls-key: give them too");
  }
  if (requireAuth === true && secure === undefined && tokenFile === undefined && !knowsTokens) {
    problems.push(
      "require-auth would let nobody in: give token-file, or listen on https:// with tls-client-ca",
    );
  }
  return problems;
}

function atMost(
  problems: string[],
  name: string,
  value: number | undefined,
  limitName: string,
  limit: number | undefined,
): void {
  if (value !== undefined && limit !== undefined && value > limit) {
    problems.push(
      `${name} (${formatDuration(value)}) must be at most ${limitName} (${formatDuration(limit)})`,
    );
  }
}

function readConfig(
  path: string,
  readFile: (path: string) => string,
): ConfigFile & { readonly path: string } {
  try {
    return { ...readConfigFile(readFile(path), path), path };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { texts: new Map(), problems: [`--config: cannot read ${path}: ${reason}`], path };
  }
}

function readText(path: string): string {
  return readFileSync(path, "utf8");
}

function pick(flags: Flags, name: string): Flags {
  return { [name]: flags[name] };
}

function describe(problems: readonly string[]): string {
  const [first = ""] = problems;
  return problems.length === 1
    ? `the configuration is not valid: ${first}`
    : `the configuration has ${problems.length} problems:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`;
}
