import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, it } from "vitest";

import { openEtcdStore } from "../../support/etcd-store.ts";
import { EtcdServer, requireEtcd } from "../../support/etcd.ts";
import { until } from "../../support/moto-lab.ts";
import {
  addressLoad,
  etcdFlags,
  moreRequests,
  populatedLab,
  problemsAfter,
  problemsOf,
  readViews,
} from "../../support/replica-faults.ts";
import type { AddressLoad, ApiAnswer, Replica } from "../../support/replica-lab.ts";
import { skipUnless } from "../../support/skip.ts";

/** In one transaction of etcd. */
const MEGABYTE = 1_000_000;
const QUOTA = 16 * MEGABYTE;

const never = new AbortController().signal;
const ends: (() => unknown)[] = [];

/** An empty disk of its own. */
function smallDisk(megabytes: number): string {
  const folder = mkdtempSync(join(tmpdir(), "romana-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder]);
  ends.push(() => {
    execFileSync("umount", [folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Writes into the file until its disk takes no more. */
function fillDisk(file: string): void {
  for (let size = 65_536; size >= 512;) {
    try {
      appendFileSync(file, Buffer.alloc(size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") {
        throw error;
      }
      size /= 2;
    }
  }
}

const ask = (replica: Replica, name: string): Promise<ApiAnswer> =>
  replica.call("POST", "/address", { name, host: "host-0", tenant: "t", segment: "" });

const isFull = ({ status, body }: ApiAnswer): boolean =>
  status === 503 && (body as { readonly type?: string }).type === "urn:romana:error:exhausted:STORE_FULL";

/** Names that were refused for want of space, and are held all the same. */
function takenThoughRefused(
  load: AddressLoad,
  held: readonly { readonly name: string }[],
): readonly string[] {
  const names = new Set(held.map(({ name }) => name));
  return load.requests.flatMap(({ kind, name, answer }) =>
    kind === "allocate" &&
    answer.kind === "unknown" &&
    answer.why.includes("STORE_FULL") &&
    !name.includes("shared") &&
    names.has(name)
      ? [name]
      : [],
  );
}

/** Changes are refused with the reason and with `Retry-After`; reads go on, and are not stale. */
async function expectFull(replica: Replica): Promise<void> {
  const refused = await ask(replica, "refused");
  expect(isFull(refused)).toBe(true);
  expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
  const read = await replica.call("GET", "/addresses");
  expect([read.status, read.headers["romana-stale"]]).toEqual([200, undefined]);
  expect((await replica.call("GET", "/readyz")).body).toMatchObject({ ready: true, stale: false });
}

describe("a store without space", () => {
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) {
      await end();
    }
  });

  it.skipIf(requireEtcd())(
    "etcd at its quota: changes are refused, reads go on, and all goes on when there is space",
    async () => {
      const etcd = await EtcdServer.start({ flags: [`--quota-backend-bytes=${QUOTA}`] });
      ends.push(() => etcd.stop());
      const options = { flags: etcdFlags(etcd.endpoints, "quota") };
      const lab = await populatedLab([options, options]);
      ends.push(() => lab.stop());
      const leader = await lab.leader();
      const load = addressLoad(lab.replicas, { seed: 31, requests: 2_000, roams: true });
      await load.run(async () => {
        await moreRequests(load, 300);
        // Close to the quota, so that the load itself goes over it.
        const direct = openEtcdStore(etcd.endpoints);
        ends.push(() => direct.close());
        const value = "x".repeat(MEGABYTE);
        for (let index = 0; index < QUOTA / MEGABYTE - 2; index += 1) {
          const put = { kind: "put", key: "/filler", value } as const;
          await direct.commit({ compare: [], operations: [put] }, never);
        }
        await until("a change is refused", async () => isFull(await ask(lab.at(1), "asked")), 30_000, 100);
        for (const replica of lab.replicas) {
          await expectFull(replica);
        }
        expect((await lab.leader()).id).toBe(leader.id);

        const status = await etcd.etcdctl(["endpoint", "status", "--write-out=json"]);
        const [{ Status }] = JSON.parse(status) as [{ Status: { header: { revision: number } } }];
        await etcd.etcdctl(["compact", String(Status.header.revision)]);
        await etcd.etcdctl(["defrag"]);
        await etcd.etcdctl(["alarm", "disarm"]);
        await until("changes are taken again", async () => (await ask(lab.at(0), "again")).status === 200);
        expect((await lab.at(0).call("DELETE", "/address?addressName=again")).status).toBe(200);
        await moreRequests(load, 300);
      });
      await lab.at(0).call("DELETE", "/address?addressName=asked");
      const { addresses } = await readViews(lab.at(0));

      expect(takenThoughRefused(load, addresses)).toEqual([]);
      expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
      expect((await lab.leader()).id).toBe(leader.id);
    },
  );

  it.skipIf(requireEtcd() || skipUnless(process.getuid?.() === 0, "the right to mount a small disk (root)"))(
    "etcd on a full disk, which ends it: nothing is lost when it is started again with space",
    async () => {
      // etcd takes 123 MB in advance for its log.
      const disk = smallDisk(150);
      const etcd = await EtcdServer.start({ disk });
      ends.push(() => etcd.stop());
      const options = { flags: etcdFlags(etcd.endpoints, "disk") };
      const lab = await populatedLab([options, options]);
      ends.push(() => lab.stop());
      const load = addressLoad(lab.replicas, { seed: 33, requests: 2_000, roams: true });
      const filler = join(disk, "filler");
      await load.run(async () => {
        await moreRequests(load, 300);
        fillDisk(filler);
        await etcd.ended();
        await until(
          "a change is refused",
          async () => (await ask(lab.at(0), "refused")).status === 503,
          30_000,
        );
        expect((await lab.at(0).call("GET", "/addresses")).status).toBe(200);
        rmSync(filler);
        await etcd.restart();
        await until("changes are taken again", async () => (await ask(lab.at(0), "again")).status === 200);
        await moreRequests(load, 300);
      });
      for (const name of ["refused", "again"]) {
        await lab.at(0).call("DELETE", `/address?addressName=${name}`);
      }

      expect(await problemsAfter(lab, load.requests, options)).toEqual([]);
    },
  );

  it.skipIf(skipUnless(process.getuid?.() === 0, "the right to mount a small disk (root)"))(
    "a file on a full disk: changes are refused, reads go on, and all goes on when there is space",
    async () => {
      const folder = smallDisk(16);
      const options = { flags: [`--store=sqlite:${join(folder, "romana.db")}`] };
      const lab = await populatedLab([options]);
      ends.push(() => lab.stop());
      const load = addressLoad(lab.replicas, { seed: 32, requests: 1_000 });
      const filler = join(folder, "filler");
      await load.run(async () => {
        await moreRequests(load, 200);
        fillDisk(filler);
        await until("a change is refused", async () => isFull(await ask(lab.at(0), "asked")), 30_000, 5);
        await expectFull(lab.at(0));
        await moreRequests(load, 50);
        rmSync(filler);
        await until("changes are taken again", async () => (await ask(lab.at(0), "again")).status === 200);
        await moreRequests(load, 200);
      });
      for (const name of ["asked", "again"]) {
        await lab.at(0).call("DELETE", `/address?addressName=${name}`);
      }
      const before = await readViews(lab.at(0));
      await lab.at(0).kill("SIGKILL");
      await lab.at(0).start();

      expect(await readViews(lab.at(0))).toEqual(before);
      expect(takenThoughRefused(load, before.addresses)).toEqual([]);
      expect(problemsOf(load.requests, before)).toEqual([]);
    },
  );
});
