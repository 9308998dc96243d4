import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { requireKubeApi } from "../../support/kube-api.ts";
import { KubeLab } from "../../support/kube-lab.ts";
import { create, namespace, node, patch, remove, service } from "../../support/kube-objects.ts";
import { until } from "../../support/moto-lab.ts";
import { eventsOf, Sight, told, TWO_ZONES } from "./sight.ts";

/** Of the bucket (issue 6). */
const PER_SECOND = 10;
const AT_ONCE = 10;
const NODES = 100;

describe.skipIf(requireKubeApi())("what a controller tells on objects", () => {
  let lab: KubeLab;
  let sight: Sight;
  beforeAll(async () => {
    lab = await KubeLab.start();
    sight = new Sight(await lab.controller());
    await sight.leads();
    await sight.topology(TWO_ZONES);
    await create(lab.kube, namespace("shop"));
  });
  afterAll(() => lab.close());

  const broken = (name: string) =>
    service({ namespace: "shop", name, annotations: { romanaip: '{"auto": tru' } });
  /** When our components wrote an event, wall clock in milliseconds, sorted. */
  function written(): readonly number[] {
    return lab.kube
      .audit()
      .filter(
        ({ stage, userAgent, objectRef, verb }) =>
          stage === "ResponseComplete" &&
          userAgent?.startsWith("romana-") === true &&
          objectRef?.resource === "events" &&
          ["create", "patch", "update"].includes(verb),
      )
      .map(({ requestReceivedTimestamp }) => Date.parse(requestReceivedTimestamp))
      .toSorted((a, b) => a - b);
  }

  it("is one event, however often the object is changed without being mended", async () => {
    const vip = await create(lab.kube, broken("vip"));
    await told(lab.kube, "vip", "VipAnnotationInvalid");
    for (let change = 1; change <= 20; change += 1) {
      await patch(lab.kube, vip, { metadata: { labels: { change: String(change) } } });
    }
    // What comes after the changes on the same watch was seen after them.
    await create(lab.kube, broken("later"));
    await told(lab.kube, "later", "VipAnnotationInvalid");

    expect(await eventsOf(lab.kube, "vip", "VipAnnotationInvalid")).toHaveLength(1);
    expect(written()).toHaveLength(2);
  });

  it("is a new event for another object of the same name", async () => {
    await remove(lab.kube, broken("vip"));
    const again = await create(lab.kube, broken("vip"));
    await until(
      "both are told of",
      async () => (await eventsOf(lab.kube, "vip", "VipAnnotationInvalid")).length === 2,
    );
    const events = await eventsOf(lab.kube, "vip", "VipAnnotationInvalid");
    expect(events.filter(({ regarding }) => regarding.uid === again.metadata.uid)).toHaveLength(1);
  });

  it("comes ten a second at most when a hundred Nodes have the same problem, one for each, and holds up nothing else", async () => {
    const before = written().length;
    const made = performance.now();
    await Promise.all(
      Array.from({ length: NODES }, (_, index) =>
        create(lab.kube, node({ name: `lost-${index}`, ip: `192.168.7.${index + 1}`, zone: "us-west-2z" })),
      ),
    );
    await create(lab.kube, node({ name: "found", ip: "192.168.8.1", zone: "us-west-2a" }));
    await sight.placed("found");
    const waiting = NODES - (written().length - before);
    expect(waiting).toBeGreaterThan(0);

    // The last one is that of the Node which has its place.
    await told(lab.kube, "found", "HostPlaced");
    const tookMs = performance.now() - made;
    const times = written().slice(before);
    expect(times).toHaveLength(NODES + 1);
    expect(tookMs).toBeGreaterThan(((NODES - AT_ONCE) / PER_SECOND) * 1000);
    // Between any two of them there are no more than the bucket had and got; one more for the clock of the audit log.
    const tooMany = times.flatMap((from, first) =>
      times.slice(first).filter((to, index) => index + 1 > AT_ONCE + (PER_SECOND * (to - from)) / 1000 + 1),
    );
    expect(tooMany).toEqual([]);
    const unplaced = await Promise.all(
      ["lost-0", "lost-50", "lost-99"].map((name) => eventsOf(lab.kube, name, "HostUnplaced")),
    );
    expect(unplaced.map((events) => events.length)).toEqual([1, 1, 1]);
  });

  it("is told by calls that the role allows", () => {
    expect(lab.judge()).toEqual([]);
  });
});
