import { anything, fields, flag, list, number, optional, record, text, type Shape } from "./shape.ts";

// What the answers of the REST API must have for the CLI to print them (`wire.ts` has the types).

const labels = optional(record(text));

export const host: Shape = fields({
  ip: text,
  name: text,
  agent_port: number,
  tags: labels,
  placed: flag,
  misplaced: flag,
  reason: text,
  origin: text,
  groups: list(fields({ network: text, cidr: text })),
});

export const hostList: Shape = fields({ hosts: list(host), revision: number });

export const networks: Shape = list(fields({ id: text, cidr: text, revision: number }));

export const block: Shape = fields({
  revision: number,
  cidr: text,
  tenant: text,
  segment: text,
  host: text,
  allocated_ip_count: number,
});

export const blockList: Shape = fields({ revision: number, blocks: list(block) });

export const address: Shape = fields({
  name: text,
  address: text,
  host: text,
  tenant: text,
  segment: text,
  network: text,
  pod: optional(fields({ namespace: text, name: text, uid: text })),
});

export const addresses: Shape = list(address);

export const blackouts: Shape = list(fields({ cidr: text }));

export const topology: Shape = fields({
  networks: optional(list(fields({ name: text, cidr: text }))),
  topologies: optional(list(fields({ networks: optional(list(text)), map: optional(list(fields({}))) }))),
});

export const topologyStatus: Shape = fields({
  revision: number,
  warnings: list(fields({ place: text, message: text })),
});

export const tenant: Shape = fields({
  name: text,
  declared: flag,
  segments: list(text),
  networks: list(text),
  addresses: number,
  blocks: number,
});

export const tenants: Shape = list(tenant);

export const segments: Shape = list(
  fields({ name: text, declared: flag, addresses: number, blocks: number }),
);

const endpoints = optional(list(fields({})));

export const policy: Shape = fields({
  id: text,
  applied_to: endpoints,
  peers: endpoints,
  rules: endpoints,
  ingress: optional(list(fields({ peers: endpoints, rules: endpoints }))),
});

export const policies: Shape = list(policy);

const allowances = list(
  fields({ peers: list(fields({ kind: text })), traffic: list(fields({ protocol: text })) }),
);

export const policyModel: Shape = fields({
  id: text,
  source: fields({ kind: text }),
  targets: list(fields({ kind: text })),
  isolates: list(text),
  ingress: allowances,
  egress: allowances,
});

export const policyModels: Shape = list(policyModel);

export const leader: Shape = fields({
  id: text,
  url: optional(text),
  epoch: anything,
  since: anything,
  self: flag,
});

const skipped = list(fields({ routeTableId: text, destination: text, reason: text }));
const alarms = list(fields({ kind: text, subject: text, message: text }));

export const plan: Shape = fields({
  granularity: text,
  operations: list(fields({ kind: text, routeTableId: text, destination: text, target: text, reason: text })),
  sourceDestCheck: list(fields({ interfaceId: text, host: text })),
  skipped,
  alarms,
});

export const route: Shape = fields({
  routeTableId: text,
  destination: text,
  state: text,
  target: text,
  host: text,
});

export const routes: Shape = fields({
  granularity: text,
  tables: list(fields({ id: text, main: flag, routeCount: number, quota: number, owned: number })),
  routes: list(route),
  skipped,
});

export const health: Shape = fields({
  blind: flag,
  nodes: list(
    fields({
      host: text,
      ip: text,
      health: text,
      last: text,
      holdDownSeconds: number,
      gatewayOf: list(text),
    }),
  ),
});

export const status: Shape = fields({
  version: text,
  store: text,
  leader: flag,
  hosts: fields({ total: number, unplaced: number, misplaced: number }),
  routes: fields({ desired: number, active: number }),
  cloudCalls: record(number),
  alarms,
});

/** An object of any keys. */
export const object: Shape = fields({});

/** Of an address or of a route; what is printed of the rest is looked for where it is. */
export const explanation: Shape = fields({ kind: text, summary: text, notes: list(text) });

export const importReport: Shape = fields({
  source: text,
  applied: flag,
  sound: flag,
  networks: number,
  groups: number,
  hosts: number,
  blocks: number,
  addresses: number,
  findings: list(fields({ code: text, severity: text, place: text, message: text, repair: text })),
});
