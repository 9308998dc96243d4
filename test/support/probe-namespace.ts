import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { ChildCommand } from "../integration/probe/probe-child.ts";

const CHILD = fileURLToPath(new URL("../integration/probe/probe-child.ts", import.meta.url));
/** How long a command to the child may take. */
const ANSWER_MS = 30_000;

export interface ChildVerdict {
  readonly kind: string;
  readonly host?: string;
  readonly answered: readonly string[];
  readonly wallMs: number;
}

interface ChildLine {
  readonly reply?: unknown;
  readonly refused?: string;
  readonly verdict?: ChildVerdict;
}

/** A process inside the namespace that probes when it is told to. */
export class ProbeChild {
  readonly verdicts: ChildVerdict[] = [];
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<void>;
  #text = "";
  #complaints = "";
  #waiting:
    | { readonly resolve: (line: ChildLine) => void; readonly reject: (error: Error) => void }
    | undefined;

  constructor(command: string, args: readonly string[]) {
    this.#process = spawn(command, [...args, process.execPath, CHILD]);
    this.#process.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaints += text;
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once("close", () => {
        this.#waiting?.reject(new Error(`the probing process ended: ${this.#complaints}`));
        resolve();
      });
    });
  }

  /** Resolves with the child's reply; rejects with what it refused the command with. One command at a time. */
  async ask<T>(command: ChildCommand): Promise<T> {
    const line = await new Promise<ChildLine>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no reply to ${command.do}: ${this.#complaints}`)),
        ANSWER_MS,
      );
      this.#waiting = {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    });
    if (line.refused !== undefined) {
      throw new Error(line.refused);
    }
    return line.reply as T;
  }

  /** `SIGSTOP` makes it stand still until `SIGCONT`. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(signal);
  }

  /** Ends the child; resolves when it is gone. */
  async close(): Promise<void> {
    this.#process.stdin.end();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 5_000);
    await this.#ended;
    clearTimeout(timer);
  }

  #read(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      const value = JSON.parse(line) as ChildLine;
      if (value.verdict === undefined) {
        this.#waiting?.resolve(value);
      } else {
        this.verdicts.push(value.verdict);
      }
    }
  }
}

/**
 * A network namespace of a test's own, with nothing but `lo`, in which the test says what happens to packets for an address of 127/8:
 *
 *     set          what happens
 *     -----------  -----------------------------------------------
 *     dead         dropped on arrival: silence
 *     rejecting    answered by an ICMP error
 *     unsendable   dropped on the way out: our own send fails
 */
export class ProbeNamespace {
  readonly name = `romana-probe-${process.pid}`;
  readonly #children: ProbeChild[] = [];

  constructor() {
    execFileSync("ip", ["netns", "add", this.name]);
    this.run("ip", "link", "set", "lo", "up");
    this.nft(`table ip probe {
      set dead { type ipv4_addr; }
      set rejecting { type ipv4_addr; }
      set unsendable { type ipv4_addr; }
      chain arriving {
        type filter hook input priority 0;
        icmp type destination-unreachable counter
        icmp type echo-request ip daddr @dead drop
        tcp flags & (syn | ack) == syn ip daddr @dead drop
        icmp type echo-request ip daddr @rejecting reject with icmp type host-unreachable
        tcp flags & (syn | ack) == syn ip daddr @rejecting reject with icmp type host-unreachable
      }
      chain leaving {
        type filter hook output priority 0;
        icmp type echo-request counter
        icmp type echo-request ip daddr @unsendable drop
        tcp flags & (syn | ack) == syn ip daddr @unsendable drop
      }
    }`);
  }

  /** Runs a command inside; returns what it wrote. */
  run(command: string, ...args: readonly string[]): string {
    return execFileSync("ip", ["netns", "exec", this.name, command, ...args], { encoding: "utf8" });
  }

  nft(text: string): void {
    execFileSync("ip", ["netns", "exec", this.name, "nft", "-f", "-"], { input: text });
  }

  add(set: "dead" | "rejecting" | "unsendable", ...addresses: readonly string[]): void {
    this.nft(`add element ip probe ${set} { ${addresses.join(", ")} }`);
  }

  /** Empties all sets. */
  heal(): void {
    this.nft("flush set ip probe dead\nflush set ip probe rejecting\nflush set ip probe unsendable");
  }

  /** Packets that the first counter of the input chain saw: ICMP "destination unreachable". */
  unreachables(): number {
    const found = /counter packets (\d+)/.exec(this.run("nft", "list", "chain", "ip", "probe", "arriving"));
    return Number(found?.[1] ?? Number.NaN);
  }

  /** ICMP probes that were sent so far, by whomever. */
  probes(): number {
    const found = /counter packets (\d+)/.exec(this.run("nft", "list", "chain", "ip", "probe", "leaving"));
    return Number(found?.[1] ?? Number.NaN);
  }

  /** A probing process inside, closed with the namespace. `through`: a command that starts it, such as one that drops privileges. */
  child(...through: readonly string[]): ProbeChild {
    const child = new ProbeChild("ip", ["netns", "exec", this.name, ...through]);
    this.#children.push(child);
    return child;
  }

  /** Ends all probing processes. */
  async quiet(): Promise<void> {
    await Promise.all(this.#children.splice(0).map((child) => child.close()));
  }

  async close(): Promise<void> {
    await this.quiet();
    execFileSync("ip", ["netns", "delete", this.name]);
  }
}

/** Whether this machine lets us make one. */
export function canMakeNamespaces(): boolean {
  if (process.getuid?.() !== 0) {
    return false;
  }
  try {
    execFileSync("ip", ["-V"], { stdio: "ignore" });
    execFileSync("nft", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    // Not installed: that is the answer.
    return false;
  }
}
