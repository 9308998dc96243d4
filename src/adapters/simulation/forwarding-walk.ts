import type { RouteTarget } from "../../core/cloud/facts.ts";
import type { Cidr } from "../../core/net/cidr.ts";
import { formatIpv4 } from "../../core/net/ipv4.ts";
import { PrefixTable } from "./prefix-table.ts";

/** What a host does with a packet. `via` is another host's address in the same subnet, `default` the subnet's VPC router. */
export type HostAction =
  | { readonly kind: "deliver"; readonly pod: string }
  | { readonly kind: "via"; readonly address: number }
  | { readonly kind: "default" }
  | { readonly kind: "unreachable"; readonly why: string };

export interface HostRoute {
  readonly destination: Cidr;
  readonly action: HostAction;
}

/**
 * A host's routing: table 10 (`neighbours`) is looked up before main; what neither knows takes the default route. Hosts may share one
 * list of neighbours: an entry that leads to the host itself does not count.
 */
export interface HostTables {
  readonly neighbours: readonly HostRoute[];
  readonly main: readonly HostRoute[];
}

/** A machine of the VPC as the packet meets it. */
export interface WalkMachine {
  readonly name: string;
  readonly alive: boolean;
  /** The interface that sends and that holds the node's address. */
  readonly primary: string;
  readonly interfaces: readonly WalkInterface[];
  /** Absent: the machine is no node of ours, it forwards nothing. */
  readonly tables: HostTables | undefined;
}

export interface WalkInterface {
  readonly id: string;
  readonly subnetId: string;
  /** Unsigned values. */
  readonly addresses: readonly number[];
  readonly sourceDestCheck: boolean;
}

export interface WalkWorld {
  readonly machines: readonly WalkMachine[];
  readonly routeTables: readonly {
    readonly id: string;
    readonly routes: readonly { readonly destination: Cidr; readonly target: RouteTarget }[];
  }[];
  /** Subnet id → id of the table that serves it. */
  readonly tableOfSubnet: ReadonlyMap<string, string>;
}

export type Death =
  | "sender-dead"
  | "source-dest-check"
  | "host-unreachable"
  | "no-neighbour"
  | "no-route"
  | "left-vpc"
  | "nobody-at-address"
  | "target-gone"
  | "target-dead"
  | "not-forwarding"
  | "loop";

/** Where a packet ended. `hops` names what it crossed, in order. */
export type WalkResult =
  | { readonly kind: "delivered"; readonly hops: readonly string[] }
  | {
      readonly kind: "dead";
      readonly cause: Death;
      /** The machine or route table at which it died. */
      readonly where: string;
      readonly why: string;
      readonly hops: readonly string[];
    };

interface Machine {
  readonly source: WalkMachine;
  readonly primary: WalkInterface | undefined;
  readonly neighbours: PrefixTable<HostAction>;
  readonly main: PrefixTable<HostAction>;
}

interface Port {
  readonly machine: Machine;
  readonly card: WalkInterface;
}

type Step =
  | { readonly kind: "to"; readonly port: Port; readonly crossed: string | undefined }
  | { readonly kind: "delivered" }
  | { readonly kind: "dead"; readonly cause: Death; readonly where: string; readonly why: string };

/**
 * Follows packets through a VPC as it is at one moment. A packet's way depends on the host where it stands and on its destination alone,
 * so a host that sees it twice will see it for ever: that is a loop.
 *
 *     host: table 10, then main ──deliver──► pod
 *       │ neighbour            │ default
 *       │ (same subnet)        ▼
 *       │              source/dest check of the sending interface (the source is a pod's address)
 *       │                      ▼
 *       │              VPC router: longest prefix of the subnet's table, the local route included
 *       ▼                      ▼
 *     receiving interface: there? alive? its source/dest check (the destination is a pod's address) ──► next host
 */
export class ForwardingWalk {
  readonly #machines = new Map<string, Machine>();
  readonly #ports = new Map<string, Port>();
  readonly #portAt = new Map<number, Port>();
  readonly #routeTables = new Map<
    string,
    { readonly id: string; readonly routes: PrefixTable<RouteTarget> }
  >();
  readonly #tableOfSubnet: ReadonlyMap<string, string>;

  constructor(world: WalkWorld) {
    this.#tableOfSubnet = world.tableOfSubnet;
    for (const { id, routes } of world.routeTables) {
      this.#routeTables.set(id, {
        id,
        routes: new PrefixTable(routes.map(({ destination, target }) => [destination, target])),
      });
    }
    const shared = new Map<readonly HostRoute[] | undefined, PrefixTable<HostAction>>();
    for (const source of world.machines) {
      const list = source.tables?.neighbours;
      const neighbours = shared.get(list) ?? new PrefixTable(entriesOf(list));
      shared.set(list, neighbours);
      const machine: Machine = {
        source,
        primary: source.interfaces.find(({ id }) => id === source.primary),
        neighbours,
        main: new PrefixTable(entriesOf(source.tables?.main)),
      };
      this.#machines.set(source.name, machine);
      for (const card of source.interfaces) {
        const port = { machine, card };
        this.#ports.set(card.id, port);
        for (const address of card.addresses) {
          this.#portAt.set(address, port);
        }
      }
    }
  }

  /** Sends a packet from a pod on the named machine to `destination` (unsigned value). */
  send(from: string, destination: number): WalkResult {
    const hops: string[] = [];
    const seen = new Set<Machine>();
    let machine = this.#machines.get(from);
    if (machine === undefined || !machine.source.alive) {
      return { kind: "dead", cause: "sender-dead", where: from, why: `${from} is not alive`, hops };
    }
    for (;;) {
      hops.push(machine.source.name);
      if (seen.has(machine)) {
        const { name } = machine.source;
        return { kind: "dead", cause: "loop", where: name, why: `the packet came back to ${name}`, hops };
      }
      seen.add(machine);
      const step = this.#forward(machine, destination);
      switch (step.kind) {
        case "delivered":
          return { kind: "delivered", hops };
        case "dead":
          return { ...step, hops };
        case "to":
          if (step.crossed !== undefined) {
            hops.push(step.crossed);
          }
          machine = step.port.machine;
      }
    }
  }

  /** One host's decision, and the way to the next host. */
  #forward(machine: Machine, destination: number): Step {
    const { name } = machine.source;
    if (machine.source.tables === undefined) {
      return dead("not-forwarding", name, `${name} is no node of the cluster and forwards nothing`);
    }
    const action = lookup(machine, destination);
    switch (action.kind) {
      case "deliver":
        return { kind: "delivered" };
      case "unreachable":
        return dead("host-unreachable", name, `${name} has it as unreachable: ${action.why}`);
      case "via":
      case "default":
        break;
    }
    const out = machine.primary;
    if (out === undefined) {
      return dead("target-gone", name, `${name} has lost its network interface`);
    }
    if (out.sourceDestCheck) {
      return dead(
        "source-dest-check",
        name,
        `${out.id} of ${name} drops what does not come from its own address: its source/dest check is on`,
      );
    }
    return action.kind === "via"
      ? this.#toNeighbour(name, out, action.address)
      : this.#throughRouter(out, destination);
  }

  #toNeighbour(name: string, out: WalkInterface, address: number): Step {
    const port = this.#portAt.get(address);
    if (port === undefined || port.card.subnetId !== out.subnetId) {
      const text = formatIpv4(address);
      return dead("no-neighbour", name, `${name} sends it to ${text}, which is not in its subnet`);
    }
    return arrive(port, undefined);
  }

  #throughRouter(out: WalkInterface, destination: number): Step {
    const table = this.#routeTables.get(this.#tableOfSubnet.get(out.subnetId) ?? "");
    if (table === undefined) {
      return dead("no-route", out.subnetId, `subnet ${out.subnetId} has no route table`);
    }
    const target = table.routes.lookup(destination);
    if (target === undefined) {
      return dead("no-route", table.id, `${table.id} has no route for it`);
    }
    switch (target.kind) {
      case "other":
        return dead("left-vpc", table.id, `${table.id} sends it out of the VPC by ${target.id}`);
      case "local": {
        const port = this.#portAt.get(destination);
        return port === undefined
          ? dead("nobody-at-address", table.id, `nobody in the VPC has ${formatIpv4(destination)}`)
          : { kind: "to", port, crossed: table.id };
      }
      case "interface": {
        const port = this.#ports.get(target.id);
        return port === undefined
          ? dead("target-gone", table.id, `${table.id} sends it to ${target.id}, which is gone (a blackhole)`)
          : arrive(port, table.id);
      }
    }
  }
}

function lookup({ neighbours, main, primary }: Machine, destination: number): HostAction {
  const neighbour = neighbours.lookup(destination);
  const isOwn = neighbour?.kind === "via" && primary?.addresses.includes(neighbour.address) === true;
  return (isOwn ? undefined : neighbour) ?? main.lookup(destination) ?? { kind: "default" };
}

/** The packet reaches an interface that has not the packet's destination. */
function arrive(port: Port, crossed: string | undefined): Step {
  const { name, alive } = port.machine.source;
  if (!alive) {
    return dead("target-dead", name, `${name} gets it and is dead`);
  }
  if (port.card.sourceDestCheck) {
    return dead(
      "source-dest-check",
      name,
      `${port.card.id} of ${name} drops what is not for its own address: its source/dest check is on`,
    );
  }
  return { kind: "to", port, crossed };
}

function dead(cause: Death, where: string, why: string): Step {
  return { kind: "dead", cause, where, why };
}

function entriesOf(routes: readonly HostRoute[] | undefined): [Cidr, HostAction][] {
  return (routes ?? []).map(({ destination, action }) => [destination, action]);
}
