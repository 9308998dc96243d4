/** A component of the original Romana, each a program with options of its own. */
export type OriginalComponent = "daemon" | "listener" | "agent" | "aws" | "vpcrouter" | "publisher";

/** An option of the original, and what became of it. */
export interface OriginalOption {
  readonly component: OriginalComponent;
  /** As it was written, without dashes. */
  readonly name: string;
  /** The option of `romana controller` that reads it today, under the same name or as its alias; absent when none does. */
  readonly here?: string;
  /** What replaces it, or why nothing has to; for people, without a full stop. */
  readonly answer: string;
}

const ONE_PROGRAM = "the controller does it all in one program";
const AGENT = "it belongs to the agent, which is not part of the controller and comes later";
const PUBLISHER = "it belongs to the route publisher, which comes later";

/**
 * Every option of the original's components: of its start scripts, which the manual documents (chapters 5 and 8.2), and of the programs that those start. `docs/migration.md`
 * shows them as a table. `romana controller` accepts those with `here` and answers the others with what replaces them.
 */
export const originalOptions: readonly OriginalOption[] = [
  ...accepted("daemon", [
    ["etcd-endpoints", "etcd-endpoints", "the same; with store etcd"],
    ["initial-network", "topology", "the same; also builtin:NAME"],
    ["cloud", "cloud", "the same"],
    ["network-cidr-overrides", "network-cidr-overrides", "the same"],
    ["etcd-prefix", "etcd-prefix", "the same"],
  ]),
  ...replaced("daemon", [
    ["debug", "give log-level debug"],
    ["host", "give listen ADDRESS:PORT"],
    ["port", "give listen ADDRESS:PORT"],
    ["initial-topology-file", "give topology FILE"],
  ]),
  ...accepted("listener", [
    ["etcd-endpoints", "etcd-endpoints", `the same; ${ONE_PROGRAM}`],
    ["etcd-prefix", "etcd-prefix", `the same; ${ONE_PROGRAM}`],
  ]),
  ...replaced("listener", [
    ["debug", "give log-level debug"],
    ["host", "give listen ADDRESS:PORT; the listener's own server had no paths"],
    ["port", "give listen ADDRESS:PORT; the listener's own server had no paths"],
  ]),
  ...accepted("agent", [
    [
      "service-cluster-ip-range",
      "service-range",
      "the same, for the controller; a network that overlaps it is refused",
    ],
  ]),
  ...replaced("agent", [
    [
      "etcd-endpoints",
      "agents ask the controller and never reach etcd; their option goes, the controller's stays",
    ],
    ["debug", "give log-level debug"],
    ["mtu", AGENT],
    ["nat", AGENT],
    ["nat-interface", AGENT],
    ["policies", AGENT],
    ["endpoints", "agents ask the controller and never reach etcd"],
    ["prefix", "agents ask the controller and never reach etcd"],
    ["hostname", AGENT],
    ["link-name", AGENT],
    ["provision-iface", AGENT],
    ["provision-iface-gw-ip", AGENT],
    ["provision-sysctls", AGENT],
    ["route-table-id", AGENT],
    ["multihop-blocks", AGENT],
    ["policy", AGENT],
    ["metrics", AGENT],
  ]),
  ...replaced("vpcrouter", [
    ["etcd_addr", "give etcd-endpoints URL"],
    ["etcd_port", "give etcd-endpoints URL"],
    ["etcd_use_v2", "etcd is spoken to by its v3 API alone"],
    ["etcd_ca_cert", "give etcd-cacert FILE"],
    ["etcd_cert_chain", "give etcd-cert FILE"],
    ["etcd_priv_key", "give etcd-key FILE"],
    [
      "ignore_routes",
      "give ignore-routes CIDR,…; routes outside Romana's networks are left alone without it",
    ],
    ["logfile", "the log goes to standard output"],
    ["mode", "the controller knows its routes itself; fixed lists are the work of romana vpc-router"],
  ]),
  ...replaced("publisher", [
    ["asn", PUBLISHER],
    ["as", PUBLISHER],
    ["template", PUBLISHER],
    ["pid", PUBLISHER],
    ["config-dir", PUBLISHER],
    ["bird-config", PUBLISHER],
    ["publisher-template", PUBLISHER],
  ]),
];

function accepted(
  component: OriginalComponent,
  rows: readonly (readonly [name: string, here: string, answer: string])[],
): readonly OriginalOption[] {
  return rows.map(([name, here, answer]) => ({ component, name, here, answer }));
}

function replaced(
  component: OriginalComponent,
  rows: readonly (readonly [name: string, answer: string])[],
): readonly OriginalOption[] {
  return rows.map(([name, answer]) => ({ component, name, answer }));
}
