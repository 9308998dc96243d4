import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { DescribeRouteTablesCommand, type Route } from "@aws-sdk/client-ec2";

import type { IpExplanation } from "../../src/core/views/explain-views.ts";
import type { LabReplica, LeaderLab } from "./leader-lab.ts";
import type { MotoLab } from "./moto-lab.ts";

const PROGRAM = fileURLToPath(new URL("../../src/main/cli.ts", import.meta.url));

/** Where each of the lab's tables leads an address by EC2's own word, the longest prefix: table, destination, target. In the order of the tables' ids. */
export async function waysTo(lab: MotoLab, address: string): Promise<readonly (readonly string[])[]> {
  const { RouteTables = [] } = await lab.hand.send(
    new DescribeRouteTablesCommand({ RouteTableIds: lab.tables }),
  );
  return inOrder(
    RouteTables.map(({ RouteTableId = "", Routes = [] }) => {
      const [best] = Routes.filter((route) => leads(route, address)).toSorted(
        (a, b) => rangeOf(a).length - rangeOf(b).length,
      );
      return [
        RouteTableId,
        best?.DestinationCidrBlock ?? "",
        best?.NetworkInterfaceId ?? best?.GatewayId ?? "",
      ];
    }),
  );
}

/** The same by the word of an explanation. */
export function explainedWays({ routes }: IpExplanation): readonly (readonly string[])[] {
  return inOrder(routes.map(({ routeTableId, destination, target }) => [routeTableId, destination, target]));
}

function inOrder(ways: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return ways.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));
}

function leads(route: Route, address: string): boolean {
  const { first, length } = rangeOf(route);
  return valueOf(address) >= first && valueOf(address) < first + length;
}

function rangeOf({ DestinationCidrBlock = "" }: Route): { readonly first: number; readonly length: number } {
  const [base = "", bits = "32"] = DestinationCidrBlock.split("/");
  return { first: valueOf(base), length: 2 ** (32 - Number(bits)) };
}

function valueOf(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

interface Line {
  readonly event: string;
  readonly object: { readonly routeTableId: string; readonly destination: string; readonly target: string };
}

/** `romana route list --watch` against one replica, as a process in the lab's namespace. */
export class WatchedRoutes {
  /** Every line that it printed. */
  readonly lines: Line[] = [];
  readonly #lab: LeaderLab;
  readonly #routes = new Map<string, string>();
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<void>;
  #rest = "";
  #notes = "";

  constructor(lab: LeaderLab, replica: LabReplica) {
    this.#lab = lab;
    const command = [process.execPath, PROGRAM, "route", "list", "--watch", "--output", "json"];
    this.#child = spawn("ip", ["netns", "exec", lab.moto.namespace.name, ...command], {
      env: { ...process.env, HOME: "/nonexistent", ROMANA_URL: lab.urlOf(replica.name) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#notes += text;
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", () => resolve());
    });
  }

  /** What it said beside the list: why it asked again. */
  get notes(): string {
    return this.#notes;
  }

  /** Whether what it told comes to what the tables hold, by EC2's word. */
  async isRight(): Promise<boolean> {
    const standing = await this.#lab.standing();
    return (
      standing.length === this.#routes.size &&
      standing.every(({ key, target }) => this.#routes.get(key) === target)
    );
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const told = JSON.parse(line) as Line;
      const { routeTableId, destination, target } = told.object;
      this.lines.push(told);
      if (told.event === "delete") {
        this.#routes.delete(`${routeTableId} ${destination}`);
      } else {
        this.#routes.set(`${routeTableId} ${destination}`, target);
      }
    }
  }
}
