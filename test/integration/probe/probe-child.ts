/**
 * A process that probes, to be run inside a namespace: reads one JSON command per line, writes one JSON line per command and per verdict. It ends with
 * its input.
 */
import { createInterface } from "node:readline";

import { createIcmpProber } from "../../../src/adapters/probe/icmp-prober.ts";
import { createTcpProber } from "../../../src/adapters/probe/tcp-prober.ts";
import { SystemClock } from "../../../src/adapters/system/system-clock.ts";
import { HealthMonitor } from "../../../src/controllers/health-monitor.ts";
import { NetworkError } from "../../../src/core/errors.ts";
import { healthOptions } from "../../../src/core/health/options.ts";
import type { ProbeTarget } from "../../../src/core/health/state.ts";
import type { Ipv4 } from "../../../src/core/net/ipv4.ts";
import type { Prober } from "../../../src/ports/prober.ts";
import { ListLogger } from "../../support/health-world.ts";

export type ChildCommand =
  | { readonly do: "open"; readonly name: string; readonly sessionId?: number; readonly port?: number }
  /** Probes every address by every prober named, `rounds` times, and listens for `listenMs` after the last. */
  | {
      readonly do: "probe";
      readonly names: readonly string[];
      readonly addresses: readonly (readonly string[])[];
      readonly rounds: number;
      readonly everyMs: number;
      readonly listenMs: number;
    }
  /** Probes all addresses, stands still for `stallMs` in the same turn, and counts the answers when a timer of 150 ms fires: before and after settling. */
  | {
      readonly do: "stall";
      readonly name: string;
      readonly addresses: readonly string[];
      readonly rounds: number;
      readonly stallMs: number;
    }
  | { readonly do: "monitor"; readonly name: string; readonly targets: readonly ProbeTarget[] }
  | { readonly do: "snapshot" };

const probers = new Map<string, Prober>();
let monitor: HealthMonitor | undefined;

function write(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function proberOf(name: string): Prober {
  const prober = probers.get(name);
  if (prober === undefined) {
    throw new Error(`no prober ${name} was opened`);
  }
  return prober;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    // The point is to let nothing else run.
  }
}

/** `<prober> <address> <outcome>` -> how often, and one of the reasons given. */
async function probe(command: ChildCommand & { readonly do: "probe" }): Promise<object> {
  const heard: Record<string, number> = {};
  const reasons: Record<string, string> = {};
  for (let round = 0; round < command.rounds; round += 1) {
    for (const [index, name] of command.names.entries()) {
      for (const address of command.addresses[index] ?? []) {
        proberOf(name).probe(address as Ipv4, (outcome) => {
          const key = `${name} ${address} ${outcome.kind}`;
          heard[key] = (heard[key] ?? 0) + 1;
          if (outcome.kind !== "answer") {
            reasons[key] = outcome.reason;
          }
        });
      }
    }
    await pause(command.everyMs);
  }
  await pause(command.listenMs);
  return { heard, reasons };
}

async function stall(command: ChildCommand & { readonly do: "stall" }): Promise<object> {
  const prober = proberOf(command.name);
  let answers = 0;
  let before = 0;
  let after = 0;
  for (let round = 0; round < command.rounds; round += 1) {
    answers = 0;
    for (const address of command.addresses) {
      prober.probe(address as Ipv4, ({ kind }) => {
        answers += kind === "answer" ? 1 : 0;
      });
    }
    const judged = new Promise<void>((resolve) => {
      setTimeout(() => {
        before += answers;
        prober.settle(() => {
          after += answers;
          resolve();
        });
      }, 150);
    });
    // The packets are on their way, their answers unread.
    await pause(1);
    standStill(command.stallMs);
    await judged;
  }
  return { before, after };
}

function watch(command: ChildCommand & { readonly do: "monitor" }): object {
  monitor = new HealthMonitor({
    prober: proberOf(command.name),
    clock: new SystemClock(),
    log: new ListLogger(),
    options: healthOptions(),
    onVerdict: (verdict) => {
      const answered = verdict.kind === "down" ? [...verdict.answered] : [];
      write({ verdict: { ...verdict, answered, wallMs: Date.now() } });
    },
  });
  monitor.setTargets(command.targets);
  monitor.start();
  return {};
}

async function perform(command: ChildCommand): Promise<object> {
  switch (command.do) {
    case "open": {
      const { sessionId, port } = command;
      const prober =
        port === undefined
          ? await createIcmpProber(sessionId === undefined ? {} : { sessionId })
          : createTcpProber({ port });
      probers.set(command.name, prober);
      return {};
    }
    case "probe":
      return probe(command);
    case "stall":
      return stall(command);
    case "monitor":
      return watch(command);
    case "snapshot": {
      const { blind, nodes } = monitor?.snapshot() ?? {
        blind: false,
        nodes: new Map<string, { readonly health: string }>(),
      };
      return { blind, nodes: Object.fromEntries([...nodes].map(([host, { health }]) => [host, health])) };
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    write({ reply: await perform(JSON.parse(line) as ChildCommand) });
  } catch (error) {
    write({ refused: error instanceof NetworkError ? `${error.code}: ${error.message}` : String(error) });
  }
}
monitor?.stop();
for (const prober of probers.values()) {
  prober.close();
}
