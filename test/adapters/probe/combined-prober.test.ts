import { describe, expect, it } from "vitest";

import { createCombinedProber } from "../../../src/adapters/probe/combined-prober.ts";
import { parseIpv4 } from "../../../src/core/net/ipv4.ts";
import type { Prober, ProbeOutcome } from "../../../src/ports/prober.ts";

const address = parseIpv4("10.0.0.1");
const answer: ProbeOutcome = { kind: "answer" };
const error: ProbeOutcome = { kind: "error", reason: "unreachable" };
const failed: ProbeOutcome = { kind: "send-failed", reason: "no socket" };

/** A prober whose answers a test gives. */
class HandProber implements Prober {
  readonly asked: string[] = [];
  listeners: ((outcome: ProbeOutcome) => void)[] = [];
  settling: (() => void | Promise<void>)[] = [];
  isClosed = false;

  probe(to: string, listener: (outcome: ProbeOutcome) => void): void {
    this.asked.push(to);
    this.listeners.push(listener);
  }
  settle(callback: () => void | Promise<void>): void {
    this.settling.push(callback);
  }
  close(): void {
    this.isClosed = true;
  }
}

function combined() {
  const first = new HandProber();
  const second = new HandProber();
  const prober = createCombinedProber([first, second]);
  const heard: string[] = [];
  prober.probe(address, ({ kind }) => heard.push(kind));
  const say = (by: HandProber, outcome: ProbeOutcome) =>
    by.listeners.forEach((listener) => listener(outcome));
  return { first, second, prober, heard, say };
}

describe("a prober that asks in two ways", () => {
  it("asks both", () => {
    const { first, second } = combined();

    expect([first.asked, second.asked]).toEqual([[address], [address]]);
  });

  it.for([
    ["both answer", [answer, answer], ["answer"]],
    ["one answers and the other is silent", [answer, undefined], []],
    ["both are silent", [undefined, undefined], []],
    ["one answers with an error, whatever the other says", [error, answer], ["error"]],
    ["the other answers with an error", [answer, error], ["error"]],
    ["one cannot be sent", [failed, answer], ["send-failed"]],
    ["one cannot be sent after the other answered", [answer, failed], ["send-failed"]],
    ["one cannot be sent and the other is silent", [undefined, failed], ["send-failed"]],
  ] as const)("has one outcome when %s", ([, [a, b], expected]) => {
    const { first, second, heard, say } = combined();
    if (a !== undefined) {
      say(first, a);
    }
    if (b !== undefined) {
      say(second, b);
    }

    expect(heard).toEqual(expected);
  });

  it("is settled when both are", () => {
    const { first, second, prober } = combined();
    let settled = 0;
    prober.settle(() => {
      settled += 1;
    });
    first.settling.forEach((callback) => void callback());
    expect(settled).toBe(0);
    second.settling.forEach((callback) => void callback());

    expect(settled).toBe(1);
  });

  it("closes both", () => {
    const { first, second, prober } = combined();
    prober.close();

    expect([first.isClosed, second.isClosed]).toEqual([true, true]);
  });
});
