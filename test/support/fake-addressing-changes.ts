import type { WatchedAddressing } from "../../src/api/watch-sources.ts";
import type { AddressingService } from "../../src/services/addressing-service.ts";

type Batch = Parameters<Parameters<WatchedAddressing["onBatch"]>[0]>[0];

/** Addressing as the streams see it, where a test says what changed and when. */
export class FakeAddressingChanges implements WatchedAddressing {
  readonly #addressing: AddressingService;
  readonly #listeners = new Set<(batch: Batch) => void>();
  #revision = 0;

  constructor(addressing: AddressingService) {
    this.#addressing = addressing;
  }

  /** Tells of a change that the service has made: the next revision. */
  tell(changed: Partial<Pick<Batch, "hosts" | "blocks" | "addresses" | "reset">>): number {
    this.#revision += 1;
    const batch = {
      revision: this.#revision,
      reset: false,
      hosts: [],
      blocks: [],
      addresses: [],
      ...changed,
    };
    this.#listeners.forEach((listener) => listener(batch));
    return this.#revision;
  }

  revision(): number {
    return this.#revision;
  }

  onBatch(listener: (batch: Batch) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  hosts() {
    return this.#addressing.hosts();
  }

  host(name: string) {
    return this.hosts().hosts.find((host) => host.name === name);
  }

  blocks() {
    return this.#addressing.blocks();
  }

  block(cidr: string) {
    return this.blocks()?.blocks.find((block) => block.cidr === cidr);
  }

  addresses() {
    return this.#addressing.addresses();
  }

  address(name: string) {
    return this.addresses().find((address) => address.name === name);
  }
}
