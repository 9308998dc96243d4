import { EtcdStore } from "../adapters/etcd/etcd-store.ts";
import { MemoryStore } from "../adapters/memory/memory-store.ts";
import { SqliteStore } from "../adapters/sqlite/sqlite-store.ts";
import type { ControllerConfig } from "../config/load.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Store } from "../ports/store.ts";

/** Root of all keys in a store of our own. */
const PREFIX = "/romana";

/** Opens the store that the options name. Errors: those of the stores. */
export function openStore(
  { store, etcd }: Pick<ControllerConfig, "store" | "etcd">,
  clock: Clock,
  log: Logger,
): Store {
  switch (store.kind) {
    case "sqlite":
      return new SqliteStore({ file: store.file, clock });
    case "etcd": {
      const { endpoints, tls, login } = etcd;
      return new EtcdStore({ endpoints, tls, login, clock, log: log.child({ component: "etcd" }) });
    }
    case "memory":
      return new MemoryStore({ clock });
  }
}

/** Root of all keys of ours in that store. */
export function prefixIn({ store, etcd }: Pick<ControllerConfig, "store" | "etcd">): string {
  return store.kind === "etcd" ? etcd.prefix : PREFIX;
}
