import {
  createServer,
  request,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { TokenBucket } from "../../src/core/cloud/token-bucket.ts";
import { containsCidr, networkOf } from "../../src/core/net/cidr.ts";
import { errorAnswer, htmlAnswer, routeItems, textIn, textsIn, withBody, type Answer } from "./ec2-xml.ts";
import { HeldCalls, type HeldCall } from "./held-calls.ts";

/**
 * What becomes of a call instead of being forwarded. `lost` is forwarded, and then the connection is cut; `reset` cuts it at once; `hang` never answers;
 * `html` is the answer of a load balancer.
 */
export type ProxyFailure =
  | { readonly kind: "error"; readonly status: number; readonly code: string; readonly message: string }
  | { readonly kind: "html"; readonly status: number }
  | { readonly kind: "lost" | "reset" | "hang" };

/** What AWS does and moto leaves out; all on unless switched off. */
export interface AwsTraits {
  /** `CreateRoute` on a destination that has a route: `RouteAlreadyExists`. moto overwrites the route. */
  readonly duplicateRoutes: boolean;
  /** `CreateRoute` inside the VPC's own CIDR, but for the whole of a subnet: `InvalidParameterValue`. */
  readonly routesInsideVpc: boolean;
  /** An instance named as target, or for its source/dest check, that has several interfaces: `InvalidInstanceID`. */
  readonly severalInterfaces: boolean;
  /** `DescribeRouteTables` shows routes to interfaces of terminated instances as `blackhole`. */
  readonly blackholes: boolean;
}

/** One call as it came in. Times are milliseconds of `performance.now()`. */
export interface ProxyCall {
  readonly action: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Access key id that signed it. */
  readonly keyId: string;
  readonly startedMs: number;
  /** Of the answer; 0 when none was given. */
  readonly status: number;
  readonly endedMs: number;
}

interface Injection {
  readonly action: string;
  readonly failure: ProxyFailure;
  skip: number;
  times: number;
}

/** A call on its way through the proxy. */
interface Call {
  readonly action: string;
  readonly parameters: URLSearchParams;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

/** Starts a proxy in front of the EC2 endpoint `upstream` (`http://127.0.0.1:PORT`), on a free port of 127.0.0.1. */
export async function startEc2Proxy(
  upstream: string,
  traits: Partial<AwsTraits> = {},
  host = "127.0.0.1",
): Promise<Ec2Proxy> {
  const proxy = new Ec2Proxy(upstream, traits);
  await proxy.listen(host);
  return proxy;
}

/** An HTTP proxy that adds to moto what AWS does besides: limits, refusals, latency, failures. It speaks EC2's query protocol and keeps a log. */
export class Ec2Proxy {
  readonly #upstream: URL;
  readonly #traits: AwsTraits;
  #keepsConnections = true;
  readonly #server = createServer((incoming, outgoing) => {
    this.#serve(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error));
  });
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #delaysMs = new Map<string, number>();
  readonly #injections: Injection[] = [];
  readonly #calls: ProxyCall[] = [];
  readonly #held = new HeldCalls();
  /** The end of the last change of each table, so that a check and the change it guards are one. */
  readonly #tableTurns = new Map<string, Promise<unknown>>();
  #routeLimit = Number.POSITIVE_INFINITY;

  constructor(upstream: string, traits: Partial<AwsTraits>) {
    this.#upstream = new URL(upstream);
    this.#traits = {
      duplicateRoutes: true,
      routesInsideVpc: true,
      severalInterfaces: true,
      blackholes: true,
      ...traits,
    };
  }

  async listen(host: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(0, host, resolve);
    });
  }

  get endpoint(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** Calls of `action` take from a bucket of their own; an empty one answers `RequestLimitExceeded` (503). */
  throttle(action: string, bucket: { readonly capacity: number; readonly refillPerSecond: number }): void {
    this.#buckets.set(action, new TokenBucket({ ...bucket, reserve: 0 }));
  }

  /** Every call of `action` waits this long before it is looked at. */
  delay(action: string, delayMs: number): void {
    this.#delaysMs.set(action, delayMs);
  }

  /** Lets `skip` calls of `action` pass (from now on), then `times` calls fail. */
  fail(action: string, failure: ProxyFailure, { times = 1, skip = 0 } = {}): void {
    this.#injections.push({ action, failure, skip, times });
  }

  /** Keeps the next call of `action` that this key signs, as a slow network might, until it is released. */
  hold(action: string, keyId: string): HeldCall {
    return this.#held.hold(action, keyId);
  }

  /** `CreateRoute` into a table that holds this many routes answers `RouteLimitExceeded`; local routes do not count. */
  limitRoutes(routes: number): void {
    this.#routeLimit = routes;
  }

  /** Calls so far in the order in which they ended, of one action or of all. The proxy's own questions to moto are not among them. */
  calls(action?: string): readonly ProxyCall[] {
    return this.#calls.filter((call) => action === undefined || call.action === action);
  }

  /** Number of calls so far by action. */
  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { action } of this.#calls) {
      counts[action] = (counts[action] ?? 0) + 1;
    }
    return counts;
  }

  /** `false`: closes each connection as soon as nothing is asked on it, also those that are in use just now; until `true`. */
  keepConnections(keeps: boolean): void {
    this.#keepsConnections = keeps;
    if (!keeps) {
      this.#server.closeIdleConnections();
    }
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const startedMs = performance.now();
    const body = await bodyOf(incoming);
    const parameters = new URLSearchParams(body.toString());
    const action = parameters.get("Action") ?? "";
    const call = { action, parameters, headers: incoming.headers, body };
    await sleep(this.#delaysMs.get(action) ?? 0);
    const answer = await this.#held.pass(action, keyOf(call), () => this.#answer(call));
    if (answer === "hang") {
      this.#note(call, startedMs, 0);
      return;
    }
    if (answer === "cut") {
      this.#note(call, startedMs, 0);
      incoming.socket.destroy();
      return;
    }
    this.#note(call, startedMs, answer.status);
    if (!this.#keepsConnections) {
      outgoing.setHeader("connection", "close");
    }
    outgoing.writeHead(answer.status, answer.headers).end(answer.body);
  }

  #note(call: Call, startedMs: number, status: number): void {
    const { action, parameters } = call;
    this.#calls.push({
      action,
      keyId: keyOf(call),
      parameters: Object.fromEntries(parameters),
      startedMs,
      status,
      endedMs: performance.now(),
    });
  }

  async #answer(call: Call): Promise<Answer | "hang" | "cut"> {
    if ((this.#buckets.get(call.action)?.take(performance.now(), true) ?? 0) > 0) {
      return errorAnswer(503, "RequestLimitExceeded", "Request limit exceeded.");
    }
    const failure = this.#nextFailure(call.action);
    switch (failure?.kind) {
      case "error":
        return errorAnswer(failure.status, failure.code, failure.message);
      case "html":
        return htmlAnswer(failure.status);
      case "hang":
        return "hang";
      case "reset":
        return "cut";
      case "lost":
        await this.#forwardChecked(call);
        return "cut";
      case undefined:
        return this.#forwardChecked(call);
    }
  }

  #nextFailure(action: string): ProxyFailure | undefined {
    for (const injection of this.#injections) {
      if (injection.action !== action || injection.times === 0) {
        continue;
      }
      if (injection.skip > 0) {
        injection.skip -= 1;
        return undefined;
      }
      injection.times -= 1;
      return injection.failure;
    }
    return undefined;
  }

  async #forwardChecked(call: Call): Promise<Answer> {
    const severalInterfaces = await this.#refuseSeveralInterfaces(call);
    if (severalInterfaces !== undefined) {
      return severalInterfaces;
    }
    switch (call.action) {
      case "CreateRoute":
        return this.#inTurn(
          call.parameters.get("RouteTableId") ?? "",
          async () => (await this.#refuseCreate(call)) ?? this.#forward(call),
        );
      case "DescribeRouteTables":
        return this.#traits.blackholes ? this.#withBlackholes(call) : this.#forward(call);
      default:
        return this.#forward(call);
    }
  }

  async #inTurn<T>(routeTableId: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#tableTurns.get(routeTableId) ?? Promise.resolve()).then(work);
    this.#tableTurns.set(
      routeTableId,
      turn.then(
        () => undefined,
        () => undefined,
      ),
    );
    return turn;
  }

  async #refuseCreate(call: Call): Promise<Answer | undefined> {
    const destination = call.parameters.get("DestinationCidrBlock");
    const table = await this.#ask(call, {
      Action: "DescribeRouteTables",
      "RouteTableId.1": call.parameters.get("RouteTableId") ?? "",
    });
    if (destination === null || table.status !== 200) {
      return undefined;
    }
    const routes = routeItems(table.body.toString());
    const local = routes.filter((item) => item.includes("<gatewayId>local</gatewayId>"));
    if (
      this.#traits.duplicateRoutes &&
      routes.some((item) => textIn(item, "destinationCidrBlock") === destination)
    ) {
      return errorAnswer(400, "RouteAlreadyExists", `The route identified by ${destination} already exists.`);
    }
    const inside = local.some((item) =>
      containsCidr(networkOf(textIn(item, "destinationCidrBlock") ?? ""), networkOf(destination)),
    );
    if (this.#traits.routesInsideVpc && inside && !(await this.#isSubnet(call, table, destination))) {
      return errorAnswer(
        400,
        "InvalidParameterValue",
        `The destination CIDR block ${destination} is equal to or more specific than one of this VPC's CIDR blocks.`,
      );
    }
    return routes.length - local.length >= this.#routeLimit
      ? errorAnswer(400, "RouteLimitExceeded", `The maximum number of routes has been reached.`)
      : undefined;
  }

  /** A route on the very CIDR of a subnet is the one exception that AWS makes inside a VPC. */
  async #isSubnet(call: Call, table: Answer, cidr: string): Promise<boolean> {
    const answer = await this.#ask(call, {
      Action: "DescribeSubnets",
      "Filter.1.Name": "vpc-id",
      "Filter.1.Value.1": textIn(table.body.toString(), "vpcId") ?? "",
      "Filter.2.Name": "cidr-block",
      "Filter.2.Value.1": cidr,
    });
    return answer.body.includes("<subnetId>");
  }

  async #refuseSeveralInterfaces(call: Call): Promise<Answer | undefined> {
    const { action, parameters } = call;
    const instanceId = parameters.get("InstanceId");
    const concerned =
      action === "CreateRoute" ||
      action === "ReplaceRoute" ||
      (action === "ModifyInstanceAttribute" && parameters.has("SourceDestCheck.Value"));
    if (!this.#traits.severalInterfaces || !concerned || instanceId === null) {
      return undefined;
    }
    const answer = await this.#ask(call, { Action: "DescribeInstances", "InstanceId.1": instanceId });
    const interfaces = new Set(textsIn(answer.body.toString(), "networkInterfaceId"));
    return interfaces.size > 1
      ? errorAnswer(
          400,
          "InvalidInstanceID",
          `There are multiple interfaces attached to instance '${instanceId}'. Please specify an interface ID for the operation instead.`,
        )
      : undefined;
  }

  async #withBlackholes(call: Call): Promise<Answer> {
    const answer = await this.#forward(call);
    if (answer.status !== 200) {
      return answer;
    }
    const terminated = await this.#ask(call, {
      Action: "DescribeInstances",
      "Filter.1.Name": "instance-state-name",
      "Filter.1.Value.1": "terminated",
    });
    const gone = new Set([
      ...textsIn(terminated.body.toString(), "networkInterfaceId"),
      ...textsIn(terminated.body.toString(), "instanceId"),
    ]);
    const text = answer.body.toString();
    const changed = text.replaceAll(/<routeSet>.*?<\/routeSet>/gs, (set) =>
      set.replaceAll(/<item>.*?<\/item>/gs, (item) => {
        const target = textIn(item, "networkInterfaceId") ?? textIn(item, "instanceId") ?? "";
        return gone.has(target) ? item.replace("<state>active</state>", "<state>blackhole</state>") : item;
      }),
    );
    return withBody(answer, changed);
  }

  /** A question of the proxy's own, signed as the client's call was: moto takes region and account from the signature. */
  #ask(call: Call, parameters: Record<string, string>): Promise<Answer> {
    const body = Buffer.from(new URLSearchParams({ ...parameters, Version: "2016-11-15" }).toString());
    return this.#forward({ ...call, body });
  }

  async #forward({ headers, body }: Call): Promise<Answer> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = { ...headers, "content-length": body.length, connection: "close" };
      request(this.#upstream, { method: "POST", headers: outgoing }, resolve).once("error", reject).end(body);
    });
    const answer = await bodyOf(response);
    const { "transfer-encoding": _, connection: __, ...rest } = response.headers;
    return withBody({ status: response.statusCode ?? 0, headers: rest, body: answer }, answer);
  }
}

/** `Authorization: AWS4-HMAC-SHA256 Credential=KEY/20261122/us-east-1/ec2/aws4_request, …` */
function keyOf({ headers }: Call): string {
  return /Credential=([^/]+)\//.exec(String(headers["authorization"]))?.[1] ?? "";
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
