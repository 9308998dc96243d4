import type { CloudFacts, CloudInstance, CloudSubnet } from "../../core/cloud/facts.ts";
import { NetworkError, type ErrorKind } from "../../core/errors.ts";
import type { Cidr } from "../../core/net/cidr.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Admit, Cloud, CloudAction, RouteWrite, ZoneSource } from "../../ports/cloud.ts";
import { Ec2Error } from "./region-state.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Page, SimulatedEc2 } from "./simulated-ec2.ts";
import type { SimulatedRegion } from "./simulated-region.ts";

export interface SimulatedCloudOptions {
  readonly region: SimulatedRegion;
  readonly ec2: SimulatedEc2;
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** Only instances with this tag are the cluster's, `kubernetes.io/cluster/<name>`; all of the VPC when not given. */
  readonly clusterTag?: string;
  /** Attempts per call, the first one included (default 3). */
  readonly attempts?: number;
  /** Wait before the first repeat, doubled with each further one, with a random part (default 100 ms). */
  readonly repeatAfterMs?: number;
}

interface Layout {
  readonly subnets: readonly CloudSubnet[];
  readonly vpcCidrs: readonly Cidr[];
  readonly known: ReadonlySet<string>;
  readonly subnetsReadAt: number;
  readonly vpcsReadAt: number;
}

const ACTIONS = {
  create: "CreateRoute",
  replace: "ReplaceRoute",
  delete: "DeleteRoute",
} as const satisfies Record<RouteWrite["kind"], CloudAction>;

/** As the adapter for the real EC2 asks: instances and route tables of one page, and how long subnets and CIDRs are kept. */
const INSTANCES_PER_PAGE = 200;
const ROUTE_TABLES_PER_PAGE = 20;
const LAYOUT_KEPT_MS = 600_000;

/** Errors after which nobody knows whether the call took effect. */
const UNKNOWN_OUTCOMES = new Set(["Unavailable", "AnswerLost"]);

/** The port's error for each of EC2's. */
const ERRORS: Readonly<Record<string, readonly [ErrorKind, string]>> = {
  RouteAlreadyExists: ["conflict", "ROUTE_EXISTS"],
  "InvalidRoute.NotFound": ["not-found", "ROUTE_NOT_FOUND"],
  "InvalidRouteTableID.NotFound": ["not-found", "ROUTE_TABLE_NOT_FOUND"],
  "InvalidNetworkInterfaceID.NotFound": ["not-found", "INTERFACE_NOT_FOUND"],
  RouteLimitExceeded: ["exhausted", "ROUTE_LIMIT_EXCEEDED"],
  InvalidParameterValue: ["invalid", "ROUTE_REFUSED"],
  InvalidInstanceID: ["invalid", "ROUTE_REFUSED"],
  UnauthorizedOperation: ["invalid", "CLOUD_UNAUTHORIZED"],
  RequestLimitExceeded: ["transient", "CLOUD_THROTTLED"],
};

/** The `Cloud` port over a simulated region: the same calls, pages, repeats and errors as the adapter for the real one. */
export class SimulatedCloud implements Cloud, ZoneSource {
  readonly #region: SimulatedRegion;
  readonly #ec2: SimulatedEc2;
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #clusterTag: string | undefined;
  readonly #attempts: number;
  readonly #repeatAfterMs: number;
  #layout: Layout | undefined;

  constructor(options: SimulatedCloudOptions) {
    this.#region = options.region;
    this.#ec2 = options.ec2;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#clusterTag = options.clusterTag;
    this.#attempts = options.attempts ?? 3;
    this.#repeatAfterMs = options.repeatAfterMs ?? 100;
  }

  async describe(signal: AbortSignal): Promise<CloudFacts> {
    const [instances, routeTables] = await Promise.all([
      this.#pages("DescribeInstances", signal, (nextToken) =>
        this.#ec2.describeInstances(
          { tagKey: this.#clusterTag, nextToken, maxResults: INSTANCES_PER_PAGE },
          signal,
        ),
      ),
      this.#pages("DescribeRouteTables", signal, (nextToken) =>
        this.#ec2.describeRouteTables({ nextToken, maxResults: ROUTE_TABLES_PER_PAGE }, signal),
      ),
    ]);
    const subnetIds = new Set([
      ...instances.flatMap(({ interfaces }) => interfaces.map(({ subnetId }) => subnetId)),
      ...routeTables.flatMap((table) => table.subnetIds),
    ]);
    const { subnets, vpcCidrs } = await this.#readLayout(subnetIds, signal);
    const { vpcId, region } = this.#region;
    return { vpcId, region, vpcCidrs, instances, subnets, routeTables };
  }

  async availabilityZones(signal: AbortSignal): Promise<readonly string[]> {
    const zones = await this.#pages("DescribeAvailabilityZones", signal, () =>
      this.#ec2.describeAvailabilityZones(signal),
    );
    return zones.map(({ id }) => id);
  }

  async describeInstance(instanceId: string, signal: AbortSignal): Promise<CloudInstance | undefined> {
    const [instance] = await this.#pages("DescribeInstances", signal, (nextToken) =>
      this.#ec2.describeInstances({ instanceId, nextToken }, signal),
    );
    return instance;
  }

  async writeRoute(write: RouteWrite, admit: Admit, signal: AbortSignal): Promise<void> {
    const action = ACTIONS[write.kind];
    const request = {
      routeTableId: write.routeTableId,
      destinationCidrBlock: write.destination,
      ...(write.kind === "delete" ? {} : { networkInterfaceId: write.target }),
    };
    const asked = `${action} ${write.destination} in ${write.routeTableId}`;
    await this.#attempt(asked, signal, async () => {
      await admit(action);
      switch (write.kind) {
        case "create":
          return this.#ec2.createRoute(request, signal);
        case "replace":
          return this.#ec2.replaceRoute(request, signal);
        case "delete":
          return this.#ec2.deleteRoute(request, signal);
      }
    });
  }

  async disableSourceDestCheck(interfaceId: string, admit: Admit, signal: AbortSignal): Promise<void> {
    const action = "ModifyNetworkInterfaceAttribute";
    await this.#attempt(`${action} SourceDestCheck=false of ${interfaceId}`, signal, async () => {
      await admit(action);
      await this.#ec2.modifyNetworkInterfaceAttribute(
        { networkInterfaceId: interfaceId, sourceDestCheck: false },
        signal,
      );
    });
  }

  calls(): Readonly<Record<string, number>> {
    return this.#ec2.calls();
  }

  /**
   * Subnets and CIDRs are both read at the start and when a subnet turns up that is not among them; else each when it is ten minutes old, one of them in a
   * pass, as the adapter for the real one does.
   */
  async #readLayout(subnetIds: ReadonlySet<string>, signal: AbortSignal): Promise<Layout> {
    const old = this.#layout;
    const fresh = old === undefined || [...subnetIds].some((id) => !old.known.has(id));
    const now = this.#clock.monotonic();
    const wantsSubnets = fresh || now - old.subnetsReadAt >= LAYOUT_KEPT_MS;
    const wantsVpcs = fresh || (!wantsSubnets && now - old.vpcsReadAt >= LAYOUT_KEPT_MS);
    const layout: { -readonly [Key in keyof Layout]: Layout[Key] } = {
      subnets: [],
      vpcCidrs: [],
      known: new Set(),
      subnetsReadAt: 0,
      vpcsReadAt: 0,
      ...old,
    };
    if (wantsVpcs) {
      const vpcs = await this.#pages("DescribeVpcs", signal, (nextToken) =>
        this.#ec2.describeVpcs({ nextToken }, signal),
      );
      layout.vpcCidrs = vpcs.flatMap(({ cidrs }) => cidrs);
      layout.vpcsReadAt = this.#clock.monotonic();
    }
    if (wantsSubnets) {
      layout.subnets = await this.#pages("DescribeSubnets", signal, (nextToken) =>
        this.#ec2.describeSubnets({ nextToken }, signal),
      );
      layout.subnetsReadAt = this.#clock.monotonic();
      layout.known = new Set([...layout.subnets.map(({ id }) => id), ...subnetIds]);
    }
    this.#layout = layout;
    return layout;
  }

  async #pages<T>(
    action: string,
    signal: AbortSignal,
    read: (nextToken: string | undefined) => Promise<Page<T>>,
  ): Promise<readonly T[]> {
    const items: T[] = [];
    let nextToken: string | undefined;
    do {
      const from = nextToken;
      const page = await this.#attempt(action, signal, () => read(from));
      items.push(...page.items);
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return items;
  }

  /** Repeats what EC2 throttled. An error that is not EC2's own (the caller's `admit`, an abort) passes as it is. */
  async #attempt<T>(asked: string, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    let outcomeUnknown = false;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof Ec2Error)) {
          throw error;
        }
        outcomeUnknown ||= UNKNOWN_OUTCOMES.has(error.code);
        const classified = classify(asked, error, outcomeUnknown);
        if (classified.kind !== "transient" || attempt >= this.#attempts) {
          throw classified;
        }
      }
      const wait = this.#repeatAfterMs * 2 ** (attempt - 1);
      await this.#clock.sleep(wait * (0.5 + this.#random.next()), signal);
    }
  }
}

function classify(asked: string, error: Ec2Error, outcomeUnknown: boolean): NetworkError {
  const [kind, code] = ERRORS[error.code] ?? ["transient", "CLOUD_UNAVAILABLE"];
  const message = `${asked}: EC2 answered ${error.code} (${error.message})`;
  return new NetworkError(kind, code, message, { ec2Code: error.code, outcomeUnknown }, error);
}
