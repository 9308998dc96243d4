import type { ActualRoute, CloudInstance, CloudRouteTable, CloudSubnet } from "../../core/cloud/facts.ts";
import { networkOf, type Cidr } from "../../core/net/cidr.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CloudAction } from "../../ports/cloud.ts";
import { Ec2Error, type SimulatedInstance, type SimulatedRouteTable } from "./region-state.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedRegion } from "./simulated-region.ts";

export type DescribeAction =
  | "DescribeAvailabilityZones"
  | "DescribeInstances"
  | "DescribeRouteTables"
  | "DescribeSubnets"
  | "DescribeVpcs";
export type Ec2Action = CloudAction | DescribeAction;

/** A call takes `minMs` plus an exponentially distributed rest with the mean `restMs`; half of it on the way there. */
export interface Latency {
  readonly minMs: number;
  readonly restMs: number;
}

/** Tokens of one action: at most `capacity`, `perSecond` come back. */
export interface Bucket {
  readonly capacity: number;
  readonly perSecond: number;
}

export interface Ec2Settings {
  readonly write: Latency;
  readonly describe: Latency;
  /** A describe sees the region as it was up to so many milliseconds ago, another moment with each call. */
  readonly lagMs: number;
  readonly buckets: Readonly<Record<Ec2Action, Bucket>>;
}

/** Most objects of one page, per action (EC2 API: MaxResults); zones come in one. */
const PAGE_SIZE: Readonly<Record<DescribeAction, number>> = {
  DescribeAvailabilityZones: 1_000,
  DescribeInstances: 1_000,
  DescribeRouteTables: 100,
  DescribeSubnets: 1_000,
  DescribeVpcs: 1_000,
};

const MUTATING: Bucket = { capacity: 50, perSecond: 5 };
const DESCRIBING: Bucket = { capacity: 100, perSecond: 20 };

/** Buckets as AWS documents them (EC2 API, request throttling). The latencies are an assumption, not measured. */
export const AWS_SETTINGS: Ec2Settings = {
  write: { minMs: 20, restMs: 20 },
  describe: { minMs: 40, restMs: 60 },
  lagMs: 1_000,
  buckets: {
    CreateRoute: MUTATING,
    ReplaceRoute: MUTATING,
    DeleteRoute: MUTATING,
    ModifyNetworkInterfaceAttribute: { capacity: 100, perSecond: 5 },
    DescribeAvailabilityZones: DESCRIBING,
    DescribeInstances: DESCRIBING,
    DescribeRouteTables: DESCRIBING,
    DescribeSubnets: DESCRIBING,
    DescribeVpcs: DESCRIBING,
  },
};

export interface RouteRequest {
  readonly routeTableId: string;
  /** EC2 clears host bits. */
  readonly destinationCidrBlock: string;
  readonly networkInterfaceId?: string;
  readonly instanceId?: string;
  readonly gatewayId?: string;
  readonly dryRun?: boolean;
}

export interface PageRequest {
  readonly nextToken?: string | undefined;
  /** At most what EC2 allows for the action. */
  readonly maxResults?: number | undefined;
}

/** What a call can be made to fail with: before it takes effect, or (`answer-lost`) after it. */
export type Ec2Failure = "throttled" | "unavailable" | "unauthorized" | "answer-lost";

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken: string | undefined;
}

/** The EC2 API in front of a simulated region: latency, token buckets, permissions, dry runs, pages, reports that lag. */
export class SimulatedEc2 {
  settings: Ec2Settings;
  readonly #region: SimulatedRegion;
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #calls = new Map<string, number>();
  readonly #tokens = new Map<Ec2Action, { left: number; at: number }>();
  readonly #denied = new Map<Ec2Action, Set<string>>();
  readonly #failures = new Map<Ec2Action, Ec2Failure[]>();

  constructor(options: {
    readonly region: SimulatedRegion;
    readonly clock: Clock;
    readonly random: SeededRandom;
    readonly settings?: Ec2Settings;
  }) {
    this.#region = options.region;
    this.#clock = options.clock;
    this.#random = options.random;
    this.settings = options.settings ?? AWS_SETTINGS;
  }

  /** IAM refuses this action from now on, on one resource id or on `*`. */
  deny(action: Ec2Action, resource = "*"): void {
    this.#denied.set(action, new Set([...(this.#denied.get(action) ?? []), resource]));
  }

  /** Takes all refusals of this action back. */
  allow(action: Ec2Action): void {
    this.#denied.delete(action);
  }

  /** Makes the next `times` calls of this action fail. */
  failNext(action: Ec2Action, failure: Ec2Failure, times: number): void {
    const failures = Array.from({ length: times }, () => failure);
    this.#failures.set(action, [...(this.#failures.get(action) ?? []), ...failures]);
  }

  /** Calls that arrived, refused and throttled ones included; pages beyond the first are counted as `<Action>:page`. */
  calls(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#calls].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  createRoute(request: RouteRequest, signal: AbortSignal): Promise<void> {
    return this.#mutate("CreateRoute", request.routeTableId, request.dryRun ?? false, signal, () => {
      this.#region.createRoute(request.routeTableId, destinationOf(request), this.#target(request));
    });
  }

  replaceRoute(request: RouteRequest, signal: AbortSignal): Promise<void> {
    return this.#mutate("ReplaceRoute", request.routeTableId, request.dryRun ?? false, signal, () => {
      this.#region.replaceRoute(request.routeTableId, destinationOf(request), this.#target(request));
    });
  }

  deleteRoute(request: RouteRequest, signal: AbortSignal): Promise<void> {
    return this.#mutate("DeleteRoute", request.routeTableId, request.dryRun ?? false, signal, () => {
      this.#region.deleteRoute(request.routeTableId, destinationOf(request));
    });
  }

  modifyNetworkInterfaceAttribute(
    request: {
      readonly networkInterfaceId: string;
      readonly sourceDestCheck: boolean;
      readonly dryRun?: boolean;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { networkInterfaceId, sourceDestCheck, dryRun = false } = request;
    return this.#mutate("ModifyNetworkInterfaceAttribute", networkInterfaceId, dryRun, signal, () => {
      this.#region.setSourceDestCheck(networkInterfaceId, sourceDestCheck);
    });
  }

  /** Instances of the VPC that carry the tag or have the id, by id; all without. Terminated ones stay for an hour. */
  describeInstances(
    request: PageRequest & { readonly tagKey?: string | undefined; readonly instanceId?: string | undefined },
    signal: AbortSignal,
  ): Promise<Page<CloudInstance>> {
    return this.#describe("DescribeInstances", request, signal, (at) => {
      const instances: CloudInstance[] = [];
      for (const instance of this.#region.instances.values()) {
        const tagged = request.tagKey === undefined || request.tagKey in instance.tags;
        const named = request.instanceId === undefined || request.instanceId === instance.id;
        if (
          tagged &&
          named &&
          instance.launchedAt <= at &&
          (instance.goneAt ?? Number.POSITIVE_INFINITY) > at
        ) {
          instances.push(instanceAt(instance, at));
        }
      }
      return instances;
    });
  }

  describeSubnets(request: PageRequest, signal: AbortSignal): Promise<Page<CloudSubnet>> {
    return this.#describe("DescribeSubnets", request, signal, () => [...this.#region.subnets.values()]);
  }

  describeRouteTables(request: PageRequest, signal: AbortSignal): Promise<Page<CloudRouteTable>> {
    return this.#describe("DescribeRouteTables", request, signal, (at) =>
      [...this.#region.routeTables.values()].map((table) => this.#tableAt(table, at)),
    );
  }

  describeVpcs(
    request: PageRequest,
    signal: AbortSignal,
  ): Promise<Page<{ readonly id: string; readonly cidrs: readonly Cidr[] }>> {
    return this.#describe("DescribeVpcs", request, signal, () => [
      { id: this.#region.vpcId, cidrs: this.#region.vpcCidrs },
    ]);
  }

  /** Availability zones by name, whose `id` it is here. */
  describeAvailabilityZones(signal: AbortSignal): Promise<Page<{ readonly id: string }>> {
    return this.#describe("DescribeAvailabilityZones", {}, signal, () =>
      this.#region.zones().map((id) => ({ id })),
    );
  }

  async #mutate(
    action: CloudAction,
    resource: string,
    dryRun: boolean,
    signal: AbortSignal,
    effect: () => void,
  ): Promise<void> {
    const ms = await this.#arrive(action, action, this.settings.write, signal);
    const planned = this.#failures.get(action)?.shift();
    let failure = attempt(() => {
      failBefore(planned, action, resource);
      this.#authorize(action, resource);
      if (dryRun) {
        throw new Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
      }
      effect();
    });
    if (planned === "answer-lost") {
      failure = new Ec2Error("AnswerLost", "The connection was closed before the answer came.");
    }
    await this.#wait(ms, signal);
    if (failure !== undefined) {
      throw failure;
    }
  }

  async #describe<T extends { readonly id: string }>(
    action: DescribeAction,
    { nextToken, maxResults = Number.POSITIVE_INFINITY }: PageRequest,
    signal: AbortSignal,
    look: (at: number) => readonly T[],
  ): Promise<Page<T>> {
    const counter = nextToken === undefined ? action : `${action}:page`;
    const ms = await this.#arrive(action, counter, this.settings.describe, signal);
    const failure = attempt(() => {
      this.#authorize(action, "*");
    });
    const lag = this.settings.lagMs === 0 ? 0 : this.#random.next() * this.settings.lagMs;
    const all = look(this.#clock.monotonic() - lag).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    await this.#wait(ms, signal);
    if (failure !== undefined) {
      throw failure;
    }
    const from = Number(nextToken ?? 0);
    const to = from + Math.min(maxResults, PAGE_SIZE[action]);
    return { items: all.slice(from, to), nextToken: to < all.length ? String(to) : undefined };
  }

  /** Counts the call, lets it travel and takes its token. Returns how long the answer travels. */
  async #arrive(action: Ec2Action, counter: string, latency: Latency, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    this.#calls.set(counter, (this.#calls.get(counter) ?? 0) + 1);
    const half = (latency.minMs + this.#random.exponential(latency.restMs)) / 2;
    await this.#wait(half, signal);
    if (!this.#takeToken(action)) {
      await this.#wait(half, signal);
      throw throttled();
    }
    return half;
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    if (ms > 0) {
      await this.#clock.sleep(ms, signal);
    }
  }

  #takeToken(action: Ec2Action): boolean {
    const { capacity, perSecond } = this.settings.buckets[action];
    const now = this.#clock.monotonic();
    const bucket = this.#tokens.get(action) ?? { left: capacity, at: now };
    const left = Math.min(capacity, bucket.left + ((now - bucket.at) / 1_000) * perSecond);
    const taken = left >= 1;
    this.#tokens.set(action, { left: taken ? left - 1 : left, at: now });
    return taken;
  }

  #authorize(action: Ec2Action, resource: string): void {
    const denied = this.#denied.get(action);
    if (denied?.has("*") === true || denied?.has(resource) === true) {
      throw unauthorized(action, resource);
    }
  }

  #target(request: RouteRequest) {
    if (request.networkInterfaceId !== undefined) {
      return { kind: "interface", id: request.networkInterfaceId } as const;
    }
    if (request.gatewayId !== undefined) {
      return { kind: "other", id: request.gatewayId } as const;
    }
    const instance = this.#region.instances.get(request.instanceId ?? "");
    const [primary, ...others] = instance?.interfaces ?? [];
    if (primary === undefined) {
      throw new Ec2Error(
        "InvalidInstanceID.NotFound",
        `The instance ID '${request.instanceId}' does not exist`,
      );
    }
    if (others.length > 0) {
      throw new Ec2Error(
        "InvalidInstanceID",
        `There are multiple interfaces attached to instance '${request.instanceId}'. Please specify an interface ID for the operation instead.`,
      );
    }
    return { kind: "interface", id: primary.id } as const;
  }

  #tableAt(table: SimulatedRouteTable, at: number): CloudRouteTable {
    const routes = this.#region.routesAt(table, at).map(({ destination, target }): ActualRoute => ({
      destination,
      target,
      state: this.#region.routeState(target, at),
    }));
    return {
      id: table.id,
      main: table.main,
      subnetIds: [...table.subnetIds].toSorted(),
      tags: table.tags,
      routes,
      routeCount: this.#region.countRoutes(table, at),
    };
  }
}

function failBefore(failure: Ec2Failure | undefined, action: string, resource: string): void {
  switch (failure) {
    case "throttled":
      throw throttled();
    case "unavailable":
      throw new Ec2Error("Unavailable", "The server is overloaded and can't handle the request.");
    case "unauthorized":
      throw unauthorized(action, resource);
    case "answer-lost":
    case undefined:
  }
}

function throttled(): Ec2Error {
  return new Ec2Error("RequestLimitExceeded", "Request limit exceeded.");
}

function unauthorized(action: string, resource: string): Ec2Error {
  return new Ec2Error(
    "UnauthorizedOperation",
    `You are not authorized to perform this operation. User is not authorized to perform: ec2:${action} on resource: ${resource}`,
  );
}

function destinationOf(request: RouteRequest): Cidr {
  try {
    return networkOf(request.destinationCidrBlock);
  } catch (error) {
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value (${request.destinationCidrBlock}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.`,
      error,
    );
  }
}

function instanceAt(instance: SimulatedInstance, at: number): CloudInstance {
  const state = instance.state.at(at);
  return {
    id: instance.id,
    state,
    zone: instance.zone,
    tags: instance.tags,
    interfaces:
      state === "terminated"
        ? []
        : instance.interfaces.map((card) => ({
            id: card.id,
            subnetId: card.subnetId,
            addresses: card.addresses,
            sourceDestCheck: card.sourceDestCheck.at(at),
          })),
  };
}

/** EC2's own refusals are answers, and travel back like any other. */
function attempt(work: () => void): Ec2Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Ec2Error) {
      return error;
    }
    throw error;
  }
}
