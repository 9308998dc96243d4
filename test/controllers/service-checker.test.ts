import { expect, it } from "vitest";

import { ServiceChecker } from "../../src/controllers/service-checker.ts";
import type { ClusterService } from "../../src/core/cluster/objects.ts";
import { ObjectView } from "../../src/services/cluster/object-view.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordedEvents } from "./recorded-events.ts";

let version = 0;

function service(name: string, romanaip?: string, uid = `uid-${name}`): ClusterService {
  version += 1;
  return {
    uid,
    namespace: "shop",
    name,
    resourceVersion: `${version}`,
    deleting: false,
    labels: {},
    selector: {},
    type: "ClusterIP",
    clusterIps: [],
    externalIps: [],
    ports: [],
    vipAnnotations: { romanaip, romanavip: undefined },
  };
}

function started() {
  const services = new ObjectView<ClusterService>();
  const recorded = new RecordedEvents();
  const clock = new FakeClock();
  const checker = new ServiceChecker({ services, events: recorded, clock });
  checker.start();
  return { services, recorded, clock, checker };
}

const good = '{"ip":"192.0.2.10"}';
const warning = (name: string, uid = `uid-${name}`) =>
  `Warning VipAnnotationInvalid on Service shop/${name} ${uid}`;

it("warns on the Service whose annotation is malformed, and on no other", () => {
  const { services, recorded, checker } = started();

  services.replace([service("a"), service("b", good), service("c", '{"auto":true}')]);

  expect(recorded.events.map(({ note }) => note)).toEqual([
    expect.stringMatching(
      /^Service shop\/c gets no virtual IP: annotation romanaip\.auto: .*name the one to use/,
    ),
  ]);
  expect(recorded.take()).toEqual([warning("c")]);
  expect(checker.invalid).toBe(1);
});

it("warns again when the Service has changed and is still wrong, and not when nothing has changed", () => {
  const { services, recorded } = started();
  const bad = service("c", "{");
  services.replace([bad]);
  recorded.take();

  services.replace([bad]);
  expect(recorded.take()).toEqual([]);

  services.put(service("c", "["));
  expect(recorded.take()).toEqual([warning("c")]);

  services.put(service("c", "[", "another"));
  expect(recorded.take()).toEqual([warning("c", "another")]);
});

it("says it again every quarter of an hour, until it is mended or gone", async () => {
  const { services, recorded, clock, checker } = started();
  const gone = service("gone", "{");
  services.replace([service("mended", "{"), gone]);
  recorded.take();

  await clock.advance(15 * 60_000);
  expect(recorded.take()).toEqual([warning("mended"), warning("gone")]);

  services.put(service("mended", good));
  services.remove(gone);
  await clock.advance(60 * 60_000);
  expect(recorded.take()).toEqual([]);
  expect(checker.invalid).toBe(0);
});

it("is silent after its end", async () => {
  const { services, recorded, clock, checker } = started();
  services.replace([service("c", "{")]);
  recorded.take();

  await checker.stop();
  services.put(service("d", "{"));
  await clock.advance(60 * 60_000);

  expect(recorded.take()).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});
