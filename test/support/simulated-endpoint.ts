import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { Ec2Error } from "../../src/adapters/simulation/region-state.ts";
import type { Page, PageRequest, SimulatedEc2 } from "../../src/adapters/simulation/simulated-ec2.ts";
import type { SimulatedRegion } from "../../src/adapters/simulation/simulated-region.ts";
import type { CloudInstance } from "../../src/core/cloud/facts.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { errorAnswer, withBody, type Answer } from "./ec2-xml.ts";
import {
  availabilityZone,
  renderAnswer,
  reservation,
  routeTable,
  subnet,
  vpc,
  type AnswerContext,
  type XmlNode,
} from "./simulated-answers.ts";

export interface SimulatedEndpointOptions {
  readonly region: SimulatedRegion;
  readonly ec2: SimulatedEc2;
  /** The clock of both; real callers need a real one. */
  readonly clock: Clock;
}

/** Starts an HTTP endpoint for a simulated region, on a free port of 127.0.0.1. */
export async function startSimulatedEndpoint(options: SimulatedEndpointOptions): Promise<SimulatedEndpoint> {
  const endpoint = new SimulatedEndpoint(options);
  await endpoint.listen();
  return endpoint;
}

/** HTTP status of EC2's client errors that are not 400, and of its server errors (EC2 API reference, "Error codes"). */
const STATUS: Readonly<Record<string, number>> = {
  UnauthorizedOperation: 403,
  DryRunOperation: 412,
  RequestLimitExceeded: 503,
  Unavailable: 503,
};
/** Of DescribeInstances, DescribeRouteTables, DescribeSubnets and DescribeVpcs alike. */
const LEAST_RESULTS = 5;
const MOST_RESULTS: Readonly<Record<string, number>> = { DescribeRouteTables: 100 };
const PAGING = ["MaxResults", "NextToken", "Filter"];
const ROUTE_PARAMETERS = [
  "RouteTableId",
  "DestinationCidrBlock",
  "NetworkInterfaceId",
  "InstanceId",
  "GatewayId",
  "DryRun",
];

/**
 * A simulated region as a real EC2 endpoint: form-encoded requests of the query protocol in, XML out, as AWS answers. Serves the actions that the controller
 * calls, with the parameters and filters that it sends; what it does not know it refuses as EC2 does, so nothing is silently left out. Signatures are not checked.
 */
export class SimulatedEndpoint {
  readonly #region: SimulatedRegion;
  readonly #ec2: SimulatedEc2;
  readonly #context: AnswerContext;
  readonly #unknown = new Map<string, number>();
  readonly #server = createServer((incoming, outgoing) => {
    this.#serve(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error));
  });

  constructor({ region, ec2, clock }: SimulatedEndpointOptions) {
    this.#region = region;
    this.#ec2 = ec2;
    // Longer than the pause between two passes: a connection that is reused just when the server closes it fails the call.
    this.#server.keepAliveTimeout = 120_000;
    this.#context = {
      region: region.region,
      vpcId: region.vpcId,
      launchTime: (id) => {
        const age = clock.monotonic() - (region.instances.get(id)?.launchedAt ?? clock.monotonic());
        return new Date(clock.now() - age).toISOString();
      },
      instanceOf: (id) => region.interfaces.get(id)?.instanceId,
    };
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
  }

  get endpoint(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** Calls that arrived so far by action, refused ones included; pages beyond the first as `<Action>:page`. */
  calls(): Readonly<Record<string, number>> {
    return { ...this.#ec2.calls(), ...Object.fromEntries(this.#unknown) };
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const parameters = new URLSearchParams(await textOf(incoming));
    const gone = new AbortController();
    outgoing.once("close", () => gone.abort(new Error("the caller hung up")));
    const answer = await this.#answer(parameters, gone.signal);
    if (answer === "cut") {
      incoming.socket.destroy();
    } else if (!gone.signal.aborted) {
      outgoing.writeHead(answer.status, answer.headers).end(answer.body);
    }
  }

  async #answer(parameters: URLSearchParams, signal: AbortSignal): Promise<Answer | "cut"> {
    const action = parameters.get("Action") ?? "";
    try {
      const body = await this.#perform(action, parameters, signal);
      const headers = { "content-type": "text/xml;charset=UTF-8", "cache-control": "no-cache, no-store" };
      return withBody(
        { status: 200, headers, body: Buffer.alloc(0) },
        renderAnswer(action, randomUUID(), body),
      );
    } catch (error) {
      if (signal.aborted || (error instanceof Ec2Error && error.code === "AnswerLost")) {
        return "cut";
      }
      if (error instanceof Ec2Error) {
        return errorAnswer(STATUS[error.code] ?? 400, error.code, error.message);
      }
      throw error;
    }
  }

  async #perform(action: string, parameters: URLSearchParams, signal: AbortSignal): Promise<XmlNode> {
    switch (action) {
      case "DescribeInstances": {
        const { page, keep } = this.#instanceRequest(parameters);
        return answerOf("reservationSet", await this.#ec2.describeInstances(page, signal), (instance) =>
          keep(instance) ? [reservation(instance, this.#context)] : [],
        );
      }
      case "DescribeRouteTables": {
        const { page, inVpc } = this.#vpcRequest(action, parameters);
        return answerOf("routeTableSet", await this.#ec2.describeRouteTables(page, signal), (table) =>
          inVpc ? [routeTable(table, this.#context)] : [],
        );
      }
      case "DescribeSubnets": {
        const { page, inVpc } = this.#vpcRequest(action, parameters);
        return answerOf("subnetSet", await this.#ec2.describeSubnets(page, signal), (item) =>
          inVpc ? [subnet(item, this.#context)] : [],
        );
      }
      case "DescribeVpcs": {
        const { page, inVpc } = this.#vpcRequest(action, parameters);
        return answerOf("vpcSet", await this.#ec2.describeVpcs(page, signal), (item) =>
          inVpc ? [vpc(item)] : [],
        );
      }
      case "DescribeAvailabilityZones": {
        allowOnly(parameters, ["Filter"]);
        const filters = filtersOf(parameters, (name) => name === "zone-type");
        return answerOf("availabilityZoneInfo", await this.#ec2.describeAvailabilityZones(signal), ({ id }) =>
          matches(filters, "zone-type", "availability-zone") ? [availabilityZone(id, this.#context)] : [],
        );
      }
      case "CreateRoute":
        await this.#ec2.createRoute(routeRequest(parameters), signal);
        return { return: true };
      case "ReplaceRoute":
        await this.#ec2.replaceRoute(routeRequest(parameters), signal);
        return { return: true };
      case "DeleteRoute":
        await this.#ec2.deleteRoute(routeRequest(parameters), signal);
        return { return: true };
      case "ModifyNetworkInterfaceAttribute":
        await this.#ec2.modifyNetworkInterfaceAttribute(attributeRequest(parameters), signal);
        return { return: true };
      default:
        this.#unknown.set(action, (this.#unknown.get(action) ?? 0) + 1);
        throw new Ec2Error("InvalidAction", `The action ${action} is not valid for this web service.`);
    }
  }

  #instanceRequest(parameters: URLSearchParams): {
    readonly page: PageRequest & { readonly tagKey: string | undefined };
    readonly keep: (instance: CloudInstance) => boolean;
  } {
    allowOnly(parameters, PAGING);
    const filters = filtersOf(parameters, (name) =>
      ["vpc-id", "instance-state-name", "tag-key", "instance-id"].includes(name),
    );
    const [tagKey, ...otherKeys] = filters.get("tag-key") ?? [];
    if (otherKeys.length > 0) {
      throw new Ec2Error("InvalidParameterValue", "The simulation filters by one tag-key at a time.");
    }
    return {
      page: { ...pageOf("DescribeInstances", parameters), tagKey },
      // A terminated instance is in no VPC any more, so this filter leaves it out (general knowledge of AWS, not verified).
      keep: ({ id, state, interfaces }) =>
        (!filters.has("instance-id") || matches(filters, "instance-id", id)) &&
        matches(filters, "instance-state-name", state) &&
        (!filters.has("vpc-id") || (interfaces.length > 0 && matches(filters, "vpc-id", this.#region.vpcId))),
    };
  }

  #vpcRequest(
    action: string,
    parameters: URLSearchParams,
  ): { readonly page: PageRequest; readonly inVpc: boolean } {
    allowOnly(parameters, PAGING);
    const filters = filtersOf(parameters, (name) => name === "vpc-id");
    return { page: pageOf(action, parameters), inVpc: matches(filters, "vpc-id", this.#region.vpcId) };
  }
}

function answerOf<Item>(
  list: string,
  { items, nextToken }: Page<Item>,
  render: (item: Item) => readonly XmlNode[],
): XmlNode {
  return { [list]: items.flatMap(render), nextToken };
}

function pageOf(action: string, parameters: URLSearchParams): PageRequest {
  const maxResults = parameters.get("MaxResults");
  const most = MOST_RESULTS[action] ?? 1000;
  if (
    maxResults !== null &&
    !(/^\d+$/.test(maxResults) && Number(maxResults) >= LEAST_RESULTS && Number(maxResults) <= most)
  ) {
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value ( ${maxResults} ) for parameter maxResults is invalid. Expecting a value between ${LEAST_RESULTS} and ${most}.`,
    );
  }
  const nextToken = parameters.get("NextToken") ?? undefined;
  if (nextToken !== undefined && !/^\d+$/.test(nextToken)) {
    throw new Ec2Error("InvalidParameterValue", `Unable to parse pagination token ${nextToken}`);
  }
  return { nextToken, ...(maxResults === null ? {} : { maxResults: Number(maxResults) }) };
}

/** `Filter.N.Name` with its `Filter.N.Value.M`, by name. */
function filtersOf(
  parameters: URLSearchParams,
  isKnown: (name: string) => boolean,
): ReadonlyMap<string, readonly string[]> {
  const filters = new Map<string, readonly string[]>();
  for (let number = 1; parameters.has(`Filter.${number}.Name`); number += 1) {
    const name = parameters.get(`Filter.${number}.Name`) ?? "";
    if (!isKnown(name)) {
      throw new Ec2Error("InvalidParameterValue", `The filter '${name}' is invalid`);
    }
    const values = [...parameters]
      .filter(([key]) => key.startsWith(`Filter.${number}.Value.`))
      .map(([, value]) => value);
    filters.set(name, values);
  }
  return filters;
}

function matches(filters: ReadonlyMap<string, readonly string[]>, name: string, value: string): boolean {
  return filters.get(name)?.includes(value) ?? true;
}

function routeRequest(parameters: URLSearchParams) {
  allowOnly(parameters, ROUTE_PARAMETERS);
  return {
    routeTableId: needed(parameters, "RouteTableId"),
    destinationCidrBlock: needed(parameters, "DestinationCidrBlock"),
    ...given("networkInterfaceId", parameters.get("NetworkInterfaceId")),
    ...given("instanceId", parameters.get("InstanceId")),
    ...given("gatewayId", parameters.get("GatewayId")),
    dryRun: parameters.get("DryRun") === "true",
  };
}

function attributeRequest(parameters: URLSearchParams) {
  allowOnly(parameters, ["NetworkInterfaceId", "SourceDestCheck", "DryRun"]);
  return {
    networkInterfaceId: needed(parameters, "NetworkInterfaceId"),
    sourceDestCheck: needed(parameters, "SourceDestCheck.Value") === "true",
    dryRun: parameters.get("DryRun") === "true",
  };
}

/** Refuses what would otherwise be left out without a word. `Filter` stands for `Filter.1.Name` and its like. */
function allowOnly(parameters: URLSearchParams, names: readonly string[]): void {
  for (const key of parameters.keys()) {
    const name = key.split(".")[0] ?? "";
    if (name !== "Action" && name !== "Version" && !names.includes(name)) {
      throw new Ec2Error("UnknownParameter", `The parameter ${name} is not recognized`);
    }
  }
}

function needed(parameters: URLSearchParams, name: string): string {
  const value = parameters.get(name);
  if (value === null) {
    throw new Ec2Error("MissingParameter", `The request must contain the parameter ${name}`);
  }
  return value;
}

function given<Name extends string>(name: Name, value: string | null): { readonly [key in Name]?: string } {
  return value === null ? {} : ({ [name]: value } as { readonly [key in Name]: string });
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}
