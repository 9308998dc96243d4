import { afterAll, beforeAll, describe } from "vitest";

import { storeContract } from "../../contracts/store.ts";
import { etcdRooms } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";

describe.skipIf(requireEtcd())("on a real etcd", () => {
  let server: EtcdServer | undefined;
  beforeAll(async () => {
    // With its usual election time-out no lease could be shorter than 2 s.
    server = await EtcdServer.start({ flags: ["--heartbeat-interval=20", "--election-timeout=100"] });
  });
  afterAll(async () => {
    await server?.stop();
  });

  storeContract(
    "etcd",
    etcdRooms(
      () => server?.endpoints ?? [],
      async (revision) => void (await server?.etcdctl(["compact", String(revision)])),
    ),
  );
});
