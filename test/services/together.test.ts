import { expect, it } from "vitest";

import { MemoryStore } from "../../src/adapters/memory/memory-store.ts";
import type { Store } from "../../src/ports/store.ts";
import { AddressingService } from "../../src/services/addressing-service.ts";
import { StoreFollower } from "../../src/services/store-follower.ts";
import { together } from "../../src/services/together.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";
import { hostIn, openService, signal, twoZones } from "./support.ts";

/** A store whose lists wait, once held. */
class SlowStore extends MemoryStore {
  #gate: PromiseWithResolvers<void> | undefined;
  #list = Promise.withResolvers<void>();

  hold(): void {
    this.#gate = Promise.withResolvers<void>();
  }

  letGo(): void {
    this.#gate?.resolve();
  }

  /** Resolves when a list waits. */
  asked(): Promise<void> {
    return this.#list.promise;
  }

  override async list(prefix: string, abort: AbortSignal): ReturnType<Store["list"]> {
    const listed = await super.list(prefix, abort);
    if (this.#gate !== undefined) {
      this.#list.resolve();
      await this.#gate.promise;
    }
    return listed;
  }
}

it("names no revision that the state does not have while everything is read anew", async () => {
  const store = new SlowStore({ clock: new FakeClock() });
  const other = await openService(store);
  await other.updateTopology(twoZones, signal);
  const common = { store, clock: new FakeClock(), log: silentLog, prefix: "/romana" };
  const follower = await StoreFollower.open(common, signal);
  const service = await AddressingService.open({ ...common, follower }, signal);
  follower.start();
  const before = service.revision();
  store.hold();

  const updated = other.updateTopology(
    { ...twoZones, networks: [{ name: "pods", cidr: "10.8.0.0/16" }] },
    signal,
  );
  await store.asked();
  await follower.reached(before + 1, signal);
  const whileReading = { revision: service.revision(), networks: service.networks() };
  const waiting = together(service, follower, signal).then(() => [service.revision(), follower.revision]);
  store.letGo();
  await updated;

  expect(whileReading).toMatchObject({ revision: before, networks: [{ cidr: "10.0.0.0/16" }] });
  const [own, followed] = await waiting;
  expect(own).toBe(followed);
  expect(service.networks()).toMatchObject([{ cidr: "10.8.0.0/16" }]);
  await other.addHost(hostIn("a", "h1", 1), signal);
  await follower.stop();
});

it("gives up waiting when the caller does", async () => {
  const addressing = { revision: () => 4, onBatch: () => () => undefined };
  const follower = { revision: 5, changedSince: () => Promise.resolve() };
  const abort = new AbortController();
  const waiting = together(addressing, follower, abort.signal);
  abort.abort(new Error("enough"));

  await expect(waiting).rejects.toThrow("enough");
});
