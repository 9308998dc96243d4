import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { FileFollower } from "../../src/adapters/system/file-follower.ts";
import { SystemClock } from "../../src/adapters/system/system-clock.ts";
import { stripComments } from "../../src/config/strip-comments.ts";
import { TopologyFileWatcher } from "../../src/controllers/topology-file-watcher.ts";
import { parseCidr } from "../../src/core/net/cidr.ts";
import type { NetworkCidr } from "../../src/core/topology/initial-topology.ts";
import type { EventRecorder, EventSubject } from "../../src/ports/cluster.ts";
import type { AddressingService } from "../../src/services/addressing-service.ts";
import {
  createLog,
  createStore,
  hostIn,
  openService,
  signal,
  twoZones,
  type LogLine,
} from "../services/support.ts";
import { until } from "../support/moto-lab.ts";

const SUBJECT: EventSubject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  namespace: "kube-system",
  name: "romana-network-conf",
  uid: "uid-1",
};

type Recorded = Parameters<EventRecorder["record"]>[0];

describe("the file that a topology was started with", () => {
  let folder: string;
  let path: string;
  let addressing: AddressingService;
  let events: Recorded[];
  let lines: LogLine[];
  /** Texts and failures that the watcher was told of. */
  let told: number;
  /** How often the topology in force was asked for. */
  let asked: number;
  let watcher: TopologyFileWatcher;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "romana-topology-"));
    path = join(folder, "romana-network.json");
    addressing = await openService(createStore());
    events = [];
    lines = [];
    told = 0;
    asked = 0;
  });
  afterEach(async () => {
    await watcher.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function started(text: string, overrides: readonly NetworkCidr[] = []): Promise<void> {
    writeFileSync(path, text);
    watcher = new TopologyFileWatcher({
      path,
      follow: ({ onText, onFailure }) =>
        new FileFollower({
          path,
          maxBytes: 1_000_000,
          clock: new SystemClock(),
          onText: async (content) => {
            await onText(content);
            told += 1;
          },
          onFailure: (error) => {
            onFailure(error);
            told += 1;
          },
        }),
      parse: (content) => JSON.parse(stripComments(content)) as unknown,
      inForce: () => {
        asked += 1;
        return addressing.topologyDocument();
      },
      overrides,
      events: { record: (event) => void events.push(event) },
      subject: SUBJECT,
      log: createLog(lines),
    });
    await seen(() => watcher.start());
  }

  async function edit(text: string): Promise<void> {
    await seen(() => writeFileSync(path, text));
  }

  async function seen(change: () => void): Promise<void> {
    const before = told;
    change();
    await until("the watcher was told", () => told > before);
  }

  const json = (document: unknown): string => JSON.stringify(document);
  const withZone = {
    networks: twoZones.networks,
    topologies: [
      {
        networks: ["pods"],
        map: [...(twoZones.topologies[0]?.map ?? []), { name: "c", assignment: { zone: "c" } }],
      },
    ],
  };

  it("is not spoken of before there is a topology in force, and not when that is the one of the file", async () => {
    const starting = started(json(twoZones));
    await until("it was looked at", () => asked > 0);
    expect(events).toEqual([]);
    await addressing.updateTopology(twoZones, signal);
    await starting;

    expect(events).toEqual([]);
    expect(lines.filter(({ level }) => level === "warn")).toEqual([]);
    await edit(json(withZone));
    expect(events).toMatchObject([{ type: "Normal", reason: "TopologyFileChanged" }]);
  });

  it("is spoken of when it is broken, before there is a topology in force too", async () => {
    await started("{");

    expect(events).toMatchObject([{ type: "Warning", reason: "TopologyFileChanged" }]);
  });

  it("is not spoken of while it tells the topology in force, whatever its comments, and the hosts that were learned", async () => {
    await addressing.updateTopology(twoZones, signal);
    await addressing.addHost(hostIn("a", "h1", 1), signal);
    await started(json(twoZones));

    await edit(`# two zones\n${JSON.stringify(twoZones, null, 4)}`);
    await edit(json({ topologies: twoZones.topologies, networks: twoZones.networks }));

    expect(events).toEqual([]);
    expect(lines.filter(({ level }) => level === "warn")).toEqual([]);
  });

  it("changes nothing by itself when it is edited, and says on the ConfigMap what applies it", async () => {
    await addressing.updateTopology(twoZones, signal);
    const before = addressing.topologyStatus().revision;
    await started(json(twoZones));

    await edit(json(withZone));

    expect(events).toEqual([
      {
        subject: SUBJECT,
        type: "Normal",
        reason: "TopologyFileChanged",
        action: "KeepTopology",
        note: expect.stringContaining(`"romana topology update ${path}" applies it`) as string,
      },
    ]);
    expect(lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    expect(addressing.topologyStatus().revision).toBe(before);
  });

  it("is not spoken of again once it was applied, or put back", async () => {
    await addressing.updateTopology(twoZones, signal);
    await started(json(twoZones));
    await edit(json(withZone));
    await addressing.updateTopology(withZone, signal);

    await edit(`${json(withZone)}\n`);
    await addressing.updateTopology(twoZones, signal);
    await edit(json(twoZones));

    expect(events).toHaveLength(1);
  });

  it("is followed through the swap of a link, as a mounted ConfigMap is changed", async () => {
    await addressing.updateTopology(twoZones, signal);
    writeFileSync(join(folder, "first"), json(twoZones));
    symlinkSync("first", join(folder, "..data"));
    writeFileSync(join(folder, "second"), json(withZone));
    symlinkSync("second", join(folder, "..data_tmp"));
    path = join(folder, "..data");
    await started(json(twoZones));

    await seen(() => renameSync(join(folder, "..data_tmp"), path));

    expect(events).toHaveLength(1);
  });

  it("is spoken of at the start when it was edited meanwhile", async () => {
    await addressing.updateTopology(twoZones, signal);

    await started(json(withZone));

    expect(events).toHaveLength(1);
  });

  it.for([
    ["no JSON", "{ networks: ["],
    ["no good topology", json({ networks: [{ name: "pods", cidr: "10.0.0.0/99" }] })],
  ] as const)("with %s is a warning that says what is wrong", async ([, text]) => {
    await addressing.updateTopology(twoZones, signal);
    await started(json(twoZones));

    await edit(text);

    expect(events).toMatchObject([{ type: "Warning", reason: "TopologyFileChanged" }]);
    expect(events[0]?.note).toMatch(/the one in force stays.*"romana topology update .*"\. .+/);
  });

  it("that cannot be read is logged once, and the topology in force stays", async () => {
    await addressing.updateTopology(twoZones, signal);
    await started(json(twoZones));

    await seen(() => rmSync(path));

    expect(events).toEqual([]);
    expect(lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    expect(addressing.networks()).toHaveLength(1);
  });

  it("counts as in force with the ranges that the options gave it at the start, and as it stands", async () => {
    const overrides = [{ network: "pods", cidr: parseCidr("10.64.0.0/16") }];
    const moved = { ...twoZones, networks: [{ ...twoZones.networks[0], cidr: "10.64.0.0/16" }] };
    await addressing.updateTopology(moved, signal);
    await started(json(twoZones), overrides);
    await edit(json(moved));
    const before = events.length;

    await edit(json(withZone));

    expect(before).toBe(0);
    expect(events[0]?.note).toContain("--network-cidr-overrides counts at the start only");
  });
});
