import { compareText, type ImportedState } from "../ipam/imported-state.ts";
import { formatCidr } from "../net/cidr.ts";
import { formatIpv4 } from "../net/ipv4.ts";
import { readTopology } from "../topology/read-topology.ts";

/** What a document of ours says it is. */
export const STATE_KIND = "romana-state";
/** The version that is written, and the newest that is read. */
export const STATE_VERSION = 1;

/** A route that is recorded as ours; in the document for whoever reads it, an import does not take it. */
export interface ExportedRoute {
  readonly routeTableId: string;
  readonly destination: string;
  readonly target: string;
}

/** Everything that an export holds. Tenants and policies are as the REST API shows them. */
export interface ExportedState {
  /** ISO 8601, UTC. */
  readonly exportedAt: string;
  readonly state: ImportedState;
  readonly tenants: readonly unknown[];
  readonly policies: readonly unknown[];
  readonly routes: readonly ExportedRoute[];
}

/** A piece of the text holds this many records. */
const CHUNK = 1000;

/**
 * The document as JSON text, in pieces, a record on each line. Equal states give equal texts but for `exportedAt`. 250,000 addresses take 35 to 50 MB.
 */
export function* writeStateDocument({
  exportedAt,
  state,
  tenants,
  policies,
  routes,
}: ExportedState): Generator<string, void, undefined> {
  const head = {
    kind: STATE_KIND,
    version: STATE_VERSION,
    exportedAt,
    topologyRevision: state.topologyRevision,
    revisionBase: state.revisionBase,
    topology: state.document,
  };
  const topology = readTopology(state.document, { reserved: [] });
  const masks = new Map(topology.networks.map(({ network }) => [network.name, network.blockMask]));
  yield JSON.stringify(head).slice(0, -1);
  yield* list("hosts", state.hosts, ({ node, ...host }) => ({
    name: host.name,
    ip: host.ip,
    agentPort: host.agentPort,
    tags: host.tags,
    origin: host.origin,
    sequence: host.sequence,
    groups: host.groups.map(({ network, cidr, subnet }) => ({ network, cidr, subnet })),
    misplaced: host.misplaced,
    ...(node === undefined ? {} : { node: { uid: node.uid, instanceId: node.instanceId } }),
  }));
  yield* list("blocks", state.blocks, ({ network, first, owner, revision, sequence }) => ({
    network,
    cidr: formatCidr(first, masks.get(network) ?? 32),
    owner: owner === undefined ? null : { host: owner.host, tenant: owner.tenant, segment: owner.segment },
    revision,
    sequence,
  }));
  yield* list("addresses", state.addresses, ({ name, address, host, tenant, segment, pod }) => {
    const record = { name, address: formatIpv4(address), host, tenant, segment };
    return pod === undefined
      ? record
      : { ...record, pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid } };
  });
  yield* list("blackouts", state.blackouts, ({ network, cidrs }) => ({ network, cidrs }));
  yield* list("tenants", tenants, (tenant) => tenant);
  yield* list("policies", policies, (policy) => policy);
  yield* list("routes", routes.toSorted(byTable), ({ routeTableId, destination, target }) => ({
    routeTableId,
    destination,
    target,
  }));
  yield "}\n";
}

/** The text of a document that was parsed, the same as `writeStateDocument` gave. */
export function* formatStateDocument(document: object): Generator<string, void, undefined> {
  const entries = Object.entries(document) as [string, unknown][];
  yield JSON.stringify(Object.fromEntries(entries.filter(([, value]) => !Array.isArray(value)))).slice(0, -1);
  for (const [key, value] of entries) {
    if (Array.isArray(value)) {
      yield* list(key, value as readonly unknown[], (item) => item);
    }
  }
  yield "}\n";
}

function* list<T>(
  key: string,
  items: readonly T[],
  record: (item: T) => unknown,
): Generator<string, void, undefined> {
  yield `,\n"${key}":[`;
  for (let start = 0; start < items.length; start += CHUNK) {
    const lines = items.slice(start, start + CHUNK).map((item) => JSON.stringify(record(item)));
    yield `${start === 0 ? "\n" : ",\n"}${lines.join(",\n")}`;
  }
  yield "]";
}

function byTable(a: ExportedRoute, b: ExportedRoute): number {
  return compareText(a.routeTableId, b.routeTableId) || compareText(a.destination, b.destination);
}
