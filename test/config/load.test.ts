import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { controllerOptions } from "../../src/config/controller-options.ts";
import { loadControllerConfig } from "../../src/config/load.ts";
import { variableName } from "../../src/config/option.ts";
import { declareFlags, renderOptions } from "../../src/config/render-options.ts";
import type { Environment, Flags } from "../../src/config/resolve-options.ts";
import { NetworkError } from "../../src/core/errors.ts";

interface Given {
  readonly flags?: Flags;
  readonly environment?: Environment;
  /** The text of the file; it is named by --config. */
  readonly file?: string;
}

function load({ flags = {}, environment = {}, file }: Given = {}) {
  return loadControllerConfig({
    flags: file === undefined ? flags : { config: "romana.yaml", ...flags },
    environment,
    readFile: (path) => {
      if (file === undefined || path !== "romana.yaml") {
        throw new Error(`ENOENT: no such file, open '${path}'`);
      }
      return file;
    },
  });
}

/** The problems with which a configuration is refused. */
function problems(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof NetworkError && error.code === "CONFIG_INVALID" && error.kind === "invalid") {
      return error.details["problems"] as readonly string[];
    }
    throw error;
  }
  return [];
}

describe("loadControllerConfig", () => {
  it("has a default for everything", () => {
    expect(load()).toEqual({
      store: { kind: "sqlite", file: "/var/lib/romana/romana.db" },
      listen: [{ kind: "tcp", host: "127.0.0.1", port: 9600, tls: false }],
      maxInFlight: 128,
      replicaId: undefined,
      advertiseUrl: undefined,
      leaderTtlMs: 5000,
      maxStreams: 6000,
      topology: undefined,
      serviceRange: undefined,
      intervalMs: 30_000,
      dryRun: false,
      logLevel: "info",
      cloud: "none",
      region: undefined,
      vpc: undefined,
      cluster: undefined,
      hostTags: [],
      routeTables: { kind: "cluster" },
      routeQuota: 500,
      routeReserve: 25,
      ignoreRoutes: [],
      probe: { kind: "icmp", port: 10_250 },
      health: {
        intervalMs: 200,
        standbyIntervalMs: 2000,
        timeoutMs: 150,
        fall: 2,
        burst: 5,
        burstIntervalMs: 25,
        burstTimeoutMs: 100,
        rise: 5,
        holdDownMs: 10_000,
        holdDownWindowMs: 600_000,
        holdDownMaxMs: 300_000,
      },
      ec2: { burst: 50, ratePerSecond: 5, failoverReserve: 20, concurrency: 8, timeoutMs: 10_000 },
      etcd: { endpoints: [], prefix: "/romana" },
      security: { tls: undefined, tokenFile: undefined, requireAuth: false },
      kubernetes: {
        source: { kind: "auto" },
        election: "auto",
        lease: { namespace: "kube-system", name: "romana-controller" },
        segmentLabel: "romana.io/segment",
        tokenAudience: "romana",
        agentServiceAccount: { namespace: "kube-system", name: "romana-agent" },
        cidrOverrides: [],
        hostGraceMs: 900_000,
        addressGraceMs: 600_000,
      },
    });
  });

  it("takes a flag before a variable, that before the file, and that before the default", () => {
    const file = "fall: 3\nrise: 3\nburst: 3";
    const environment = { ROMANA_FALL: "4", ROMANA_RISE: "4" };
    const flags = { fall: "6" };

    expect(load({ flags, environment, file }).health).toMatchObject({
      fall: 6,
      rise: 4,
      burst: 3,
      burstTimeoutMs: 100,
    });
  });

  it("does not look at a value that another one wins over", () => {
    expect(load({ flags: { fall: "6" }, environment: { ROMANA_FALL: "nonsense" } }).health.fall).toBe(6);
  });

  it("takes the variable for the file's name too, and a flag before it", () => {
    expect(
      loadControllerConfig({
        flags: {},
        environment: { ROMANA_CONFIG: "b.yaml" },
        readFile: (path) => `cluster: from-${path}`,
      }).cluster,
    ).toBe("from-b.yaml");
    expect(
      loadControllerConfig({
        flags: { config: "a.yaml" },
        environment: { ROMANA_CONFIG: "b.yaml" },
        readFile: (path) => `cluster: from-${path}`,
      }).cluster,
    ).toBe("from-a.yaml");
  });

  it("reads a file from the disk", () => {
    const folder = mkdtempSync(join(tmpdir(), "romana-config-"));
    writeFileSync(join(folder, "romana.yaml"), "cluster: prod\n");

    const { cluster } = loadControllerConfig({
      flags: { config: join(folder, "romana.yaml") },
      environment: {},
    });

    rmSync(folder, { recursive: true });
    expect(cluster).toBe("prod");
  });

  it("counts an empty variable as not set", () => {
    expect(load({ environment: { ROMANA_FALL: "", ROMANA_REGION: "" } })).toEqual(load());
  });

  it("leaves alone what other programs and Kubernetes put into ROMANA_ variables", () => {
    expect(
      load({ environment: { ROMANA_SERVICE_HOST: "10.0.0.1", ROMANA_PORT: "tcp://10.0.0.1:80" } }),
    ).toEqual(load());
  });

  it("reads every option the same from a flag, a variable and a file", () => {
    const texts = {
      store: "memory",
      listen: "unix:/run/romana.sock,10.0.0.1:9601",
      "tls-cert": "server.crt",
      "tls-key": "server.key",
      "tls-client-ca": "ca.crt",
      "token-file": "tokens.csv",
      "require-auth": "true",
      "max-in-flight": "64",
      "replica-id": "romana-1",
      "advertise-url": "https://10.0.0.5:9600",
      "leader-ttl": "10s",
      "max-watch-streams": "500",
      topology: "builtin:kubeadm",
      "service-range": "10.96.0.0/12",
      interval: "0s",
      "dry-run": "true",
      "log-level": "debug",
      cloud: "aws",
      region: "us-gov-west-1",
      vpc: "vpc-0123456789abcdef0",
      cluster: "prod.example.com",
      "host-tag": "role=node,env=a=b",
      "route-tables": "rtb-0a,rtb-0b",
      "route-quota": "100",
      "route-reserve": "7",
      "ignore-routes": "10.0.0.0/8,172.31.0.0/16",
      probe: "tcp",
      "probe-port": "22",
      "probe-interval": "1s",
      "probe-interval-standby": "4s",
      "probe-timeout": "500ms",
      fall: "3",
      burst: "4",
      "burst-interval": "50ms",
      "burst-timeout": "250ms",
      rise: "6",
      "hold-down": "20s",
      "hold-down-window": "20m",
      "hold-down-max": "6m",
      "ec2-burst": "100",
      "ec2-rate": "2.5",
      "ec2-failover-reserve": "30",
      "ec2-concurrency": "4",
      "ec2-timeout": "5s",
      "etcd-endpoints": "https://10.0.0.1:2379,https://10.0.0.2:2379",
      "etcd-prefix": "/clusters/a",
      "etcd-cacert": "/ca.crt",
      "etcd-cert": "/client.crt",
      "etcd-key": "/client.key",
      "etcd-user": "romana",
      "etcd-password-file": "/password",
      kubernetes: "/etc/romana/kubeconfig",
      election: "store",
      lease: "romana/leader",
      "segment-label": "example.com/segment",
      "token-audience": "pods.example.com",
      "agent-service-account": "romana/agent",
      "network-cidr-overrides": "romana-network=100.96.0.0/11,other=10.0.0.0/8",
      "host-grace": "1h",
      "address-grace": "5m",
    };
    const names = Object.keys(texts);
    const camelCase = (name: string): string =>
      name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    const entries = Object.entries(texts);

    const fromFlags = load({
      flags: Object.fromEntries(entries.map(([name, text]) => [camelCase(name), text])),
    });
    const fromVariables = load({
      environment: Object.fromEntries(entries.map(([name, text]) => [variableName(name), text])),
    });
    const fromFile = load({ file: entries.map(([name, text]) => `${name}: ${text}`).join("\n") });

    expect(names.toSorted()).toEqual(
      Object.values(controllerOptions)
        .map(({ name }) => name)
        .filter((name) => name !== "config")
        .toSorted(),
    );
    expect(fromFlags).toEqual({
      store: { kind: "memory" },
      listen: [
        { kind: "unix", path: "/run/romana.sock" },
        { kind: "tcp", host: "10.0.0.1", port: 9601, tls: true },
      ],
      maxInFlight: 64,
      replicaId: "romana-1",
      advertiseUrl: "https://10.0.0.5:9600",
      leaderTtlMs: 10_000,
      maxStreams: 500,
      topology: { kind: "builtin", name: "kubeadm" },
      serviceRange: "10.96.0.0/12",
      intervalMs: 0,
      dryRun: true,
      logLevel: "debug",
      cloud: "aws",
      region: "us-gov-west-1",
      vpc: "vpc-0123456789abcdef0",
      cluster: "prod.example.com",
      hostTags: [
        { key: "role", value: "node" },
        { key: "env", value: "a=b" },
      ],
      routeTables: { kind: "ids", ids: ["rtb-0a", "rtb-0b"] },
      routeQuota: 100,
      routeReserve: 7,
      ignoreRoutes: ["10.0.0.0/8", "172.31.0.0/16"],
      probe: { kind: "tcp", port: 22 },
      health: {
        intervalMs: 1000,
        standbyIntervalMs: 4000,
        timeoutMs: 500,
        fall: 3,
        burst: 4,
        burstIntervalMs: 50,
        burstTimeoutMs: 250,
        rise: 6,
        holdDownMs: 20_000,
        holdDownWindowMs: 1_200_000,
        holdDownMaxMs: 360_000,
      },
      ec2: { burst: 100, ratePerSecond: 2.5, failoverReserve: 30, concurrency: 4, timeoutMs: 5000 },
      etcd: {
        endpoints: ["https://10.0.0.1:2379", "https://10.0.0.2:2379"],
        prefix: "/clusters/a",
        tls: { ca: "/ca.crt", cert: "/client.crt", key: "/client.key" },
        login: { user: "romana", passwordFile: "/password" },
      },
      security: {
        tls: { cert: "server.crt", key: "server.key", clientCa: "ca.crt" },
        tokenFile: "tokens.csv",
        requireAuth: true,
      },
      kubernetes: {
        source: { kind: "kubeconfig", path: "/etc/romana/kubeconfig" },
        election: "store",
        lease: { namespace: "romana", name: "leader" },
        segmentLabel: "example.com/segment",
        tokenAudience: "pods.example.com",
        agentServiceAccount: { namespace: "romana", name: "agent" },
        cidrOverrides: [
          { network: "romana-network", cidr: "100.96.0.0/11" },
          { network: "other", cidr: "10.0.0.0/8" },
        ],
        hostGraceMs: 3_600_000,
        addressGraceMs: 300_000,
      },
    });
    expect(fromVariables).toEqual(fromFlags);
    expect(fromFile).toEqual(fromFlags);
  });

  it("takes a list as repeated flags, as one text with commas and as a YAML list", () => {
    const expected = [
      { key: "a", value: "1" },
      { key: "b", value: "2" },
    ];

    expect(load({ flags: { hostTag: ["a=1", "b=2"] } }).hostTags).toEqual(expected);
    expect(load({ environment: { ROMANA_HOST_TAG: "a=1, b=2" } }).hostTags).toEqual(expected);
    expect(load({ file: "host-tag:\n  - a=1\n  - b=2" }).hostTags).toEqual(expected);
  });

  it("takes values from a file as they are written there", () => {
    expect(load({ file: "cluster: 0010" }).cluster).toBe("0010");
    expect(load({ file: "cluster: '1e3' # quoted" }).cluster).toBe("1e3");
    expect(load({ file: "cluster: no" }).cluster).toBe("no");
  });

  it("calls --topology --initial-network too", () => {
    const topology = { kind: "file", path: "net.json" };

    expect(load({ flags: { initialNetwork: "net.json" } }).topology).toEqual(topology);
    expect(load({ environment: { ROMANA_INITIAL_NETWORK: "net.json" } }).topology).toEqual(topology);
    expect(load({ file: "initial-network: net.json" }).topology).toEqual(topology);
    expect(problems({ flags: { initialNetwork: "a", topology: "b" } })).toEqual([
      "--topology: is the same option as --initial-network: give one of them",
    ]);
  });

  it.for([
    [500, 25],
    [100, 5],
    [50, 3],
    [20, 2],
    [10, 2],
    [3, 2],
  ] as const)("keeps 5 %% of a quota of %d, at least 2, as reserve: %d", ([quota, reserve]) => {
    expect(load({ flags: { routeQuota: String(quota) } }).routeReserve).toBe(reserve);
  });

  it("reports every problem at once, each with its place", () => {
    const file =
      "fall: 0\nfrobnicate: 1\nprobe-intervall: 1s\nburst: [1, 2]\nrise:\nec2: {burst: 3}\nconfig: other.yaml";

    expect(
      problems({
        flags: { listen: "http://0.0.0.0:9600", logLevel: "loud", probeTimeout: "300ms" },
        environment: { ROMANA_INTERVAL: "30", ROMANA_IGNORE_ROUTES: "10.0.0.1/8" },
        file,
      }),
    ).toEqual([
      "romana.yaml:5: rise: expected one value, or a list of values",
      "romana.yaml:6: ec2: expected one value, or a list of values",
      'romana.yaml: unknown option "frobnicate"',
      'romana.yaml: unknown option "probe-intervall"; did you mean "probe-interval"?',
      '--listen: "http://0.0.0.0:9600" would open the API to the network without TLS, which is not done: ' +
        "write https://0.0.0.0:9600 (with --tls-cert and --tls-key), or listen on loopback",
      'ROMANA_INTERVAL: not a duration: "30" (expected a whole number with its unit, such as 200ms, 30s, 5m or 1h; write 30s or 30ms)',
      '--log-level: expected one of error, warn, info, debug, not "loud"',
      'ROMANA_IGNORE_ROUTES: not an IPv4 network: "10.0.0.1/8" (write it as 10.0.0.0/8)',
      'romana.yaml: fall: expected a whole number from 1 to 100, not "0"',
      "romana.yaml: burst: expected one value, not 2",
      "romana.yaml: config: a file cannot name another",
      "probe-timeout (300ms) must be at most probe-interval (200ms)",
    ]);
  });

  it("puts all problems into the message, one a line", () => {
    expect(() => load({ flags: { fall: "x", rise: "y" } })).toThrow(
      "the configuration has 2 problems:\n" +
        '  - --fall: expected a whole number from 1 to 100, not "x"\n' +
        '  - --rise: expected a whole number from 1 to 1000, not "y"',
    );
    expect(() => load({ flags: { fall: "x" } })).toThrow("the configuration is not valid: --fall: expected");
  });

  it.for([
    ["probeIntervall", "probeInterval"],
    ["host_tag", "hostTag"],
    ["ec2burst", "ec2Burst"],
    ["Interval", "interval"],
  ] as const)("names the option that %s was probably meant to be", ([given, meant]) => {
    expect(problems({ flags: { [given]: "1s" } })).toEqual([
      `flags: unknown option "${given}"; did you mean "${meant}"?`,
    ]);
  });

  it.for([
    [{ probeTimeout: "201ms" }, "probe-timeout (201ms) must be at most probe-interval (200ms)"],
    [
      { probeIntervalStandby: "100ms" },
      "probe-interval (200ms) must be at most probe-interval-standby (100ms)",
    ],
    [{ burstInterval: "1s" }, "burst-interval (1s) must be at most probe-interval (200ms)"],
    [{ holdDown: "6m" }, "hold-down (6m) must be at most hold-down-max (5m)"],
    [{ routeReserve: "500" }, "route-reserve (500) leaves no route of route-quota (500): make it smaller"],
    [{ routeQuota: "2" }, "route-reserve (2) leaves no route of route-quota (2): make it smaller"],
    [
      { ec2Burst: "20" },
      "ec2-failover-reserve (20) leaves no token of ec2-burst (20) for all else: make it smaller",
    ],
    [{ store: "etcd" }, "store etcd needs etcd-endpoints: say where it serves its clients"],
    [
      { store: "etcd", etcdEndpoints: ["http://127.0.0.1:1,https://127.0.0.1:2"] },
      "etcd-endpoints: some are http and some https: make them all one or the other",
    ],
    [
      { store: "etcd", etcdEndpoints: ["http://127.0.0.1:1"], etcdCacert: "ca" },
      "etcd-cacert, etcd-cert and etcd-key need etcd-endpoints with https",
    ],
    [
      { store: "etcd", etcdEndpoints: ["https://10.0.0.1:1"], etcdCert: "c" },
      "etcd-cert and etcd-key need each other: give both or none",
    ],
    [
      { store: "etcd", etcdEndpoints: ["https://10.0.0.1:1"], etcdUser: "u" },
      "etcd-user and etcd-password-file need each other: give both or none",
    ],
    [
      { store: "etcd", etcdEndpoints: ["http://10.0.0.1:1"], etcdUser: "u", etcdPasswordFile: "p" },
      "etcd-user: its password would go over the network in the clear to http://10.0.0.1:1: use https",
    ],
  ] as const)("refuses what does not fit together: %j", ([flags, problem]) => {
    expect(problems({ flags })).toEqual([problem]);
  });

  it("reaches etcd with certificates and a login where its endpoints are secure", () => {
    const flags = {
      store: "etcd",
      etcdEndpoints: ["https://10.0.0.1:2379,https://[fd00::2]:2379", "https://etcd-3.internal:2379"],
      etcdPrefix: "/clusters/a",
      etcdCacert: "/ca",
      etcdCert: "/cert",
      etcdKey: "/key",
      etcdUser: "romana",
      etcdPasswordFile: "/password",
    };

    const { store, etcd } = load({ flags });

    expect(store).toEqual({ kind: "etcd" });
    expect(etcd).toEqual({
      endpoints: ["https://10.0.0.1:2379", "https://[fd00::2]:2379", "https://etcd-3.internal:2379"],
      prefix: "/clusters/a",
      tls: { ca: "/ca", cert: "/cert", key: "/key" },
      login: { user: "romana", passwordFile: "/password" },
    });
  });

  it.for([
    ["store", ["sqlite:", "sqlite", "etcd:x", "", "Memory"]],
    [
      "etcd-endpoints",
      ["10.0.0.1:2379", "http://u:p@10.0.0.1:2379", "http://10.0.0.1", "https://10.0.0.1:2379/", "ftp://a:1"],
    ],
    ["etcd-prefix", ["romana", "/", "/romana/", "/a//b", "/a b", ""]],
    [
      "listen",
      [
        "9600",
        ":9600",
        "0.0.0.0:1",
        "10.0.0.1:80",
        "[::]:80",
        "127.0.0.1",
        "127.0.0.1:70000",
        "unix:",
        "a:b",
        "127.1:80",
      ],
    ],
    ["topology", ["", "builtin:"]],
    ["serviceRange", ["10.96.0.0", "10.96.0.1/12", "::/0"]],
    ["interval", ["999ms", "25h", "30", "never"]],
    ["region", ["us", "US-EAST-1", "us-east", ""]],
    ["vpc", ["vpc-", "vpc-XYZ", "subnet-1"]],
    ["cluster", ["", "a b", "x".repeat(101)]],
    ["hostTag", ["role", "=x", `${"k".repeat(129)}=1`, `k=${"v".repeat(257)}`]],
    ["routeTables", ["all", "tag:", "tag:x", "rtb-", "rtb-0a,", "rtb-0a,vpc"]],
    ["routeQuota", ["0", "1001", "-1", "1.5", "1e2", ""]],
    ["ignoreRoutes", ["10.0.0.0/33", "x"]],
    ["probe", ["udp", ""]],
    ["probePort", ["0", "65536"]],
    ["probeTimeout", ["0ms", "1001ms"]],
    ["fall", ["0", "101"]],
    ["burst", ["1", "101"]],
    ["ec2Rate", ["0", "5/s", "-1", "1001", "."]],
    ["ec2Timeout", ["99ms", "6m"]],
    ["dryRun", ["yes", "1"]],
    ["maxInFlight", ["0", "10001"]],
    ["maxStreams", ["0", "100001"]],
  ] as const)("refuses for %s: %j", ([name, texts]) => {
    const accepted = texts.filter((text) => problems({ flags: { [name]: text } }).length === 0);

    expect(accepted).toEqual([]);
  });

  it.for([
    ["127.0.0.1:0", [{ kind: "tcp", host: "127.0.0.1", port: 0, tls: false }]],
    ["127.0.0.53:80", [{ kind: "tcp", host: "127.0.0.53", port: 80, tls: false }]],
    ["localhost:9600", [{ kind: "tcp", host: "127.0.0.1", port: 9600, tls: false }]],
    ["http://[::1]:9600", [{ kind: "tcp", host: "::1", port: 9600, tls: false }]],
    ["https://127.0.0.1:9600", [{ kind: "tcp", host: "127.0.0.1", port: 9600, tls: true }]],
    ["0.0.0.0:9600", [{ kind: "tcp", host: "0.0.0.0", port: 9600, tls: true }]],
    ["https://[2001:db8::1]:9600", [{ kind: "tcp", host: "2001:db8::1", port: 9600, tls: true }]],
    ["[::]:9600", [{ kind: "tcp", host: "::", port: 9600, tls: true }]],
    ["unix:run/api.sock", [{ kind: "unix", path: "run/api.sock" }]],
    [
      "127.0.0.1:9600, 10.0.0.1:9600",
      [
        { kind: "tcp", host: "127.0.0.1", port: 9600, tls: false },
        { kind: "tcp", host: "10.0.0.1", port: 9600, tls: true },
      ],
    ],
  ] as const)("listens on %s", ([text, address]) => {
    const flags = { listen: text, tlsCert: "c", tlsKey: "k", tokenFile: "t" };

    expect(load({ flags }).listen).toEqual(address);
  });

  it.for([
    [
      { listen: "0.0.0.0:9600" },
      'listen (0.0.0.0:9600) is served with TLS, which wants tls-cert and tls-key: "romana certs init" makes them for a trial; ' +
        "or listen on loopback (127.0.0.1:9600) or on a socket (unix:PATH)",
    ],
    [
      { listen: "0.0.0.0:9600", tlsCert: "c", tlsKey: "k" },
      "listen (0.0.0.0:9600) would let nobody in: give tls-client-ca, token-file or both, or follow a cluster with kubernetes",
    ],
    [{ tlsCert: "c" }, "tls-cert and tls-key belong together: give both or none"],
    [{ tlsClientCa: "c" }, "tls-client-ca has no effect without tls-cert and tls-key: give them too"],
    [
      { requireAuth: true },
      "require-auth would let nobody in: give token-file, or listen on https:// with tls-client-ca",
    ],
  ] as const)("refuses TLS and authentication that cannot be: %j", ([flags, problem]) => {
    expect(problems({ flags })).toEqual([problem]);
  });

  it("knows that a cluster's tokens let callers in", () => {
    const flags = { listen: "0.0.0.0:9600", tlsCert: "c", tlsKey: "k", requireAuth: true };

    expect(problems({ flags: { ...flags, kubernetes: "in-cluster" } })).toEqual([]);
    expect(problems({ flags, environment: { KUBERNETES_SERVICE_HOST: "10.96.0.1" } })).toEqual([]);
    expect(problems({ flags: { ...flags, kubernetes: "off" } })).not.toEqual([]);
    expect(problems({ flags })).not.toEqual([]);
  });

  it.for([
    [{ lease: "romana" }, '--lease: expected NAMESPACE/NAME, not "romana"'],
    [
      { agentServiceAccount: "Kube/agent" },
      '--agent-service-account: expected NAMESPACE/NAME, not "Kube/agent"',
    ],
    [
      { networkCidrOverrides: "romana-network" },
      '--network-cidr-overrides: expected NETWORK=CIDR, not "romana-network"',
    ],
    [{ kubernetes: "" }, '--kubernetes: expected auto, in-cluster, off or a kubeconfig file, not ""'],
  ] as const)("refuses what no option of a cluster can be: %j", ([flags, problem]) => {
    expect(problems({ flags })).toEqual([problem]);
  });

  it.for([
    ["vpc", { kind: "vpc" }],
    ["tag:a=b=c", { kind: "tag", tag: { key: "a", value: "b=c" } }],
    ["tag:a=", { kind: "tag", tag: { key: "a", value: "" } }],
    ["rtb-0a, rtb-0b,rtb-0a", { kind: "ids", ids: ["rtb-0a", "rtb-0b"] }],
  ] as const)("chooses the route tables %s", ([text, choice]) => {
    expect(load({ flags: { routeTables: text } }).routeTables).toEqual(choice);
  });

  it.for([
    ["", []],
    ["# nothing but a comment", []],
    ["- a", ['romana.yaml: expected options, one a line, such as "probe-interval: 200ms"']],
    ["just text", ['romana.yaml: expected options, one a line, such as "probe-interval: 200ms"']],
  ] as const)("reads a file without options: %j", ([file, expected]) => {
    expect(problems({ file })).toEqual(expected);
  });

  it("says where a file is no YAML, or names an option twice", () => {
    expect(problems({ file: "fall: 2\nfall: 3" })).toEqual(["romana.yaml:2: Map keys must be unique"]);
    expect(problems({ file: "fall: 2\nrise: [1" })[0]).toMatch(/^romana\.yaml:2: /);
  });

  it("says that a file cannot be read, beside all other problems", () => {
    expect(problems({ flags: { config: "missing.yaml", fall: "0" } })).toEqual([
      "--config: cannot read missing.yaml: ENOENT: no such file, open 'missing.yaml'",
      '--fall: expected a whole number from 1 to 100, not "0"',
    ]);
  });
});

describe("the flags of the controller", () => {
  it("are declared once each, aliases included", () => {
    const declared = declareFlags(controllerOptions);

    expect(new Set(declared.map(({ key }) => key)).size).toBe(declared.length);
    expect(declared.find(({ key }) => key === "hostTag")).toEqual({
      flags: "--host-tag <KEY=VALUE>",
      key: "hostTag",
      description: expect.stringContaining("become hosts"),
      isList: true,
      isAlias: false,
    });
    expect(declared.find(({ key }) => key === "dryRun")?.flags).toBe("--dry-run");
    expect(declared.find(({ key }) => key === "initialNetwork")).toMatchObject({ isAlias: true });
    expect(declared.find(({ key }) => key === "interval")?.description).toContain("(default: 30s)");
  });

  it("are documented as they are (node scripts/render-configuration.ts writes the page anew)", () => {
    const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
    const tables = /<!-- options -->\n\n([^]*)\n<!-- \/options -->/.exec(page)?.[1];

    expect(tables).toBe(renderOptions(controllerOptions));
  });

  it("have defaults that are valid and stand in the documentation", () => {
    const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

    for (const option of Object.values(controllerOptions)) {
      expect(() => option.read(undefined)).not.toThrow();
      expect(page).toContain(`| \`${variableName(option.name)}\` | ${option.defaultNote} |`);
    }
  });
});
