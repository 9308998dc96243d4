import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { NetworkError } from "../../src/core/errors.ts";
import type { StoreOperation } from "../../src/ports/store.ts";
import { StateService, type ListKeeper } from "../../src/services/state-service.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";
import { FakeStateKeeper } from "./fake-state-keeper.ts";

const never = new AbortController().signal;
const apply = { repair: false, dryRun: false };

function sample(name: string): unknown {
  return JSON.parse(readFileSync(`test/fixtures/original/${name}.json`, "utf8"));
}

/** A list of documents. */
class FakeList implements ListKeeper {
  items: readonly unknown[] = [];
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  list(): readonly unknown[] {
    return this.items;
  }

  check(items: readonly unknown[]): readonly { index: number; message: string }[] {
    return items.flatMap((item, index) =>
      (item as { bad?: boolean }).bad === true ? [{ index, message: "it is bad" }] : [],
    );
  }

  operations(items: readonly unknown[]): readonly StoreOperation[] {
    return items.map((item, index) => ({
      kind: "put",
      key: `${this.#prefix}/${index}`,
      value: JSON.stringify(item),
    }));
  }
}

function parts() {
  const keeper = new FakeStateKeeper();
  const tenants = new FakeList("tenants");
  const policies = new FakeList("policies");
  const service = new StateService({
    keeper,
    tenants,
    policies,
    clock: new FakeClock(),
    log: silentLog,
  });
  return { keeper, tenants, policies, service };
}

it("gives others their turn between the steps of an import: a large state takes seconds, in which a lease has to be renewed", async () => {
  const { service, keeper } = parts();
  let turns = 0;
  let over = false;
  const turn = (): void => {
    turns += 1;
    if (!over) {
      setImmediate(turn);
    }
  };
  setImmediate(turn);
  const seen: number[] = [];
  const replace = keeper.replaceState.bind(keeper);
  keeper.replaceState = (...args) => {
    seen.push(turns);
    return replace(...args);
  };

  await service.import(sample("kops-healthy"), apply, never);
  over = true;

  expect(seen[0]).toBeGreaterThanOrEqual(3);
});

async function failureOf(work: Promise<unknown>): Promise<NetworkError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(NetworkError);
  return error as NetworkError;
}

describe("an import", () => {
  it("takes a sound state of the original whole, and an export of it goes into another system", async () => {
    const { service, keeper } = parts();
    const other = parts();

    const report = await service.import(sample("kops-healthy"), apply, never);
    const text = [...(await service.export(never))].join("");
    const again = await other.service.import(JSON.parse(text), apply, never);

    expect(report).toEqual({
      source: "original",
      applied: true,
      sound: true,
      networks: 1,
      groups: 16,
      hosts: 8,
      blocks: 24,
      addresses: 37,
      blackouts: 0,
      tenants: 0,
      policies: 0,
      findings: [],
    });
    expect(again).toEqual({ ...report, source: "romana-state" });
    expect([...(await other.service.export(never))].join("")).toBe(text);
    expect(other.keeper.exportState()).toEqual(keeper.exportState());
  });

  it("refuses a damaged state and changes nothing, unless it may repair", async () => {
    const { service, keeper } = parts();

    const refused = await failureOf(service.import(sample("corrupt-lost-ranges"), apply, never));
    const before = keeper.exportState();
    const report = await service.import(
      sample("corrupt-lost-ranges"),
      { repair: true, dryRun: false },
      never,
    );

    expect([refused.kind, refused.code]).toEqual(["invalid", "IMPORT_UNSOUND"]);
    expect(refused.message).toContain("10.0.0.5, 10.0.0.7");
    expect(before.addresses).toEqual([]);
    expect([report.applied, report.sound, report.findings.length]).toEqual([true, false, 1]);
    expect(keeper.exportState().addresses).toHaveLength(4);
  });

  it("says in a trial what it would take, and changes nothing", async () => {
    const { service, keeper } = parts();

    const report = await service.import(sample("padding-hosts"), { repair: false, dryRun: true }, never);

    expect([report.applied, report.sound, report.addresses]).toEqual([false, false, 4]);
    expect(keeper.exportState().hosts).toEqual([]);
  });

  it("is refused while addresses are in use", async () => {
    const { service } = parts();
    await service.import(sample("kops-healthy"), apply, never);

    const refused = await failureOf(service.import(sample("kops-healthy"), apply, never));

    expect([refused.kind, refused.code]).toEqual(["conflict", "STATE_IN_USE"]);
    expect(refused.message).toContain("37 addresses");
  });

  it("refuses what is neither of the two documents", async () => {
    const refused = await failureOf(parts().service.import({ networks: [] }, apply, never));

    expect(refused.code).toBe("IMPORT_MALFORMED");
    expect(refused.message).toContain("neither a document of");
  });

  it("brings tenants and policies along, each checked by its keeper first", async () => {
    const { service, keeper } = parts();
    const document = JSON.parse([...(await service.export(never))].join("")) as object;

    const refused = await failureOf(
      service.import({ ...document, tenants: [{ name: "t" }], policies: [{ bad: true }] }, apply, never),
    );
    const untouched = keeper.others;
    const report = await service.import(
      { ...document, tenants: [{ name: "t" }], policies: [{ id: "p" }] },
      apply,
      never,
    );

    expect(refused.message).toContain("policies[0]: it is bad");
    expect(untouched).toEqual([]);
    expect(keeper.others).toEqual([
      { kind: "put", key: "tenants/0", value: '{"name":"t"}' },
      { kind: "put", key: "policies/0", value: '{"id":"p"}' },
    ]);
    expect([report.tenants, report.policies]).toEqual([1, 1]);
  });

  it("refuses tenants where none are kept", async () => {
    const service = new StateService({
      keeper: new FakeStateKeeper(),
      clock: new FakeClock(),
      log: silentLog,
    });
    const document = JSON.parse([...(await service.export(never))].join("")) as object;

    const refused = await failureOf(service.import({ ...document, tenants: [{}] }, apply, never));

    expect(refused.message).toContain("tenants: this controller keeps no tenants");
  });
});
