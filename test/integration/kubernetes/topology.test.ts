import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { romana } from "../../cli/romana.ts";
import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab, type LabFollower } from "../../support/kube-lab.ts";
import { create, namespace, networkPolicy, node } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { eventsOf, Sight, told, TWO_ZONES, type SeenEvent } from "./sight.ts";

const CONF = "romana-network-conf";

/** The same groups in another range. */
const inRange = (cidr: string): object => ({
  ...TWO_ZONES,
  networks: [{ name: "net", cidr, block_mask: 29 }],
});

describe.skipIf(requireKubeApi())("the topology of a cluster", () => {
  let lab: KubeLab;
  let controller: LabFollower;
  let sight: Sight;
  const folder = mkdtempSync(join(tmpdir(), "romana-topology-"));
  const file = join(folder, "topology.json");
  beforeAll(async () => {
    lab = await KubeLab.start();
    await create(lab.kube, namespace("shop"));
    await create(lab.kube, node({ name: "n1", ip: "192.168.1.1", zone: "us-west-2a" }));
  });
  afterAll(async () => {
    await lab.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const write = (document: unknown): void =>
    writeFileSync(file, typeof document === "string" ? document : JSON.stringify(document));
  async function start(...flags: readonly string[]): Promise<void> {
    await controller?.process.kill("SIGTERM");
    controller = await lab.controller({ flags });
    sight = new Sight(controller);
    await sight.leads();
  }
  async function networks(): Promise<readonly string[]> {
    const { body } = await sight.get("/networks");
    return (body as readonly { readonly cidr: string }[]).map(({ cidr }) => cidr);
  }
  const changes = (): Promise<readonly SeenEvent[]> => eventsOf(lab.kube, CONF, "TopologyFileChanged");

  it("is not begun with a file that overlaps the service range; the log says so, and all else goes on", async () => {
    write(inRange("10.100.0.0/16"));
    await start(`--topology=${file}`);

    await until("the log says why", () =>
      sight.log().some((line) => {
        const text = JSON.stringify(line);
        return (
          text.includes("10.100.0.0/16") && text.includes('service range of ServiceCIDR \\"kubernetes\\"')
        );
      }),
    );
    expect(await networks()).toEqual([]);
    expect((await sight.get("/readyz")).status).toBe(200);
    // For the first 15 s of a term a topology may be on its way.
    await told(lab.kube, "n1", "HostUnplaced", 40_000);
    const policy = await create(lab.kube, networkPolicy("shop", "any", { podSelector: {} }));
    await until("policies are translated", async () => (await sight.modelOf(policy)) !== "");

    expect((await controller.process.call("POST", "/topology", TWO_ZONES)).status).toBe(200);
    await sight.placed("n1");
    expect(await networks()).toEqual(["10.112.0.0/12"]);
  });

  it("is begun with a file that overlaps nothing, and an edit of that is told on its ConfigMap", async () => {
    write(TWO_ZONES);
    await start(`--topology=${file}`);
    await sight.placed("n1");
    expect(await networks()).toEqual(["10.112.0.0/12"]);
    // What the controller before said of its file.
    const before = new Set((await changes()).map(({ metadata }) => metadata.name));
    expect(sight.log().filter(({ msg }) => String(msg).includes("topology file"))).toEqual([]);

    const [topology] = TWO_ZONES.topologies;
    const second = {
      networks: [...TWO_ZONES.networks, { name: "more", cidr: "10.8.0.0/16", block_mask: 29 }],
      topologies: [topology, { networks: ["more"], map: [{ groups: [] }] }],
    };
    write(second);
    let event: SeenEvent | undefined;
    await until("the edit is told", async () => {
      event = (await changes()).find(({ metadata }) => !before.has(metadata.name));
      return event !== undefined;
    });
    expect(event).toMatchObject({ type: "Normal" });
    expect(event?.note).toContain(`romana topology update ${file}`);
    expect(event?.regarding).toMatchObject({ kind: "ConfigMap", namespace: "kube-system", name: CONF });
    expect(await networks()).toEqual(["10.112.0.0/12"]);

    const env = { ROMANA_URL: `http://127.0.0.1:${controller.process.port}` };
    expect(await romana(["topology", "update", file], { env })).toMatchObject({ code: 0 });
    expect(await networks()).toEqual(["10.112.0.0/12", "10.8.0.0/16"]);
    expect(await sight.isPlaced("n1")).toBe(true);
  });

  it("is held against a service range that is added while it runs", async () => {
    await lab.kube.call("POST", "/apis/networking.k8s.io/v1/servicecidrs", {
      body: { metadata: { name: "later" }, spec: { cidrs: ["172.20.0.0/16"] } },
    });
    await until("it is learned", () =>
      sight.log().some((line) => JSON.stringify(line).includes("172.20.0.0/16")),
    );
    const { status, body } = await controller.process.call("POST", "/topology", inRange("172.20.128.0/17"));
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain('service range of ServiceCIDR \\"later\\" 172.20.0.0/16');
    expect(await networks()).toEqual(["10.112.0.0/12", "10.8.0.0/16"]);

    // What is in force already stays, and is counted.
    await lab.kube.call("POST", "/apis/networking.k8s.io/v1/servicecidrs", {
      body: { metadata: { name: "inside" }, spec: { cidrs: ["10.8.4.0/24"] } },
    });
    await until(
      "the overlap is counted",
      async () => (await controller.metrics())("romana_network_overlaps") === 1,
    );
    expect(await networks()).toEqual(["10.112.0.0/12", "10.8.0.0/16"]);
    expect(await sight.allocate("web.shop.1", "n1")).toMatchObject({ status: 200 });
  });

  it("stays when the file is broken, which is told on its ConfigMap", async () => {
    // Another replica takes over, for one tells of one object with one reason once a minute.
    write(TWO_ZONES);
    await start(`--topology=${file}`);
    await sight.placed("n1");
    write('{"networks": [');
    await until("it is told", async () =>
      (await changes()).some(({ type, note }) => type === "Warning" && note.includes(file)),
    );
    expect((await sight.get("/readyz")).status).toBe(200);
    expect(await sight.isPlaced("n1")).toBe(true);
  });

  it("asked for nothing that its role does not allow", () => {
    expect(lab.judge()).toEqual([]);
  });
});
