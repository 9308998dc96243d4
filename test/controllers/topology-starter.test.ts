import { describe, expect, it } from "vitest";

import { TopologyStarter } from "../../src/controllers/topology-starter.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

function world(choose: () => Promise<unknown>) {
  const clock = new FakeClock();
  const posted: unknown[] = [];
  const networks: unknown[] = [];
  const starter = new TopologyStarter({
    addressing: {
      networks: () => networks,
      updateTopology: (document) => {
        posted.push(document);
        networks.push(document);
        return Promise.resolve();
      },
    },
    choose,
    clock,
    log: silentLog,
  });
  return { clock, posted, networks, starter };
}

describe("the topology that a cluster begins with", () => {
  it("is posted once to a store without networks", async () => {
    const { posted, starter } = world(() => Promise.resolve({ networks: ["a"] }));
    starter.start();
    await starter.stop();
    expect(posted).toEqual([{ networks: ["a"] }]);
  });

  it("is not chosen where there are networks", async () => {
    const { posted, networks, starter } = world(() => Promise.reject(new Error("must not be asked")));
    networks.push("one");
    starter.start();
    await starter.stop();
    expect(posted).toEqual([]);
  });

  it("is looked for until what it depends on answers", async () => {
    let answers = false;
    const { clock, posted, starter } = world(() =>
      answers
        ? Promise.resolve({ networks: ["a"] })
        : Promise.reject(new NetworkError("transient", "CLUSTER_UNAVAILABLE", "nobody answers")),
    );
    starter.start();
    await clock.advance(5_000);
    expect(posted).toEqual([]);
    expect(starter.problem).toBe("nobody answers");
    answers = true;
    await clock.advance(30_000);
    expect(posted).toEqual([{ networks: ["a"] }]);
    expect(starter.problem).toBe("");
    await starter.stop();
  });

  it("is given up when somebody posts one meanwhile", async () => {
    const { clock, posted, networks, starter } = world(() => Promise.reject(new Error("nobody answers")));
    starter.start();
    await clock.advance(1_000);
    networks.push("posted by hand");
    await clock.advance(30_000);
    expect(posted).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
    await starter.stop();
  });

  it("is looked for no longer once the term is over", async () => {
    const { clock, starter } = world(() => Promise.reject(new Error("nobody answers")));
    starter.start();
    await clock.advance(1_000);
    await starter.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});
