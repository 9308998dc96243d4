/** Which host each object is of, and the objects of each host. Objects of no host ("") are not kept. */
export class HostIndex {
  readonly #hosts = new Map<string, string>();
  readonly #keys = new Map<string, Set<string>>();

  constructor(entries: Iterable<{ readonly key: string; readonly host: string }>) {
    for (const { key, host } of entries) {
      this.move(key, host);
    }
  }

  /** Notes that an object is of `host` now; answers the one that it was of. */
  move(key: string, host: string): string {
    const before = this.#hosts.get(key) ?? "";
    if (before === host) {
      return before;
    }
    const left = this.#keys.get(before);
    left?.delete(key);
    if (left?.size === 0) {
      this.#keys.delete(before);
    }
    if (host === "") {
      this.#hosts.delete(key);
      return before;
    }
    this.#hosts.set(key, host);
    const keys = this.#keys.get(host) ?? new Set();
    this.#keys.set(host, keys);
    keys.add(key);
    return before;
  }

  keysOf(host: string): readonly string[] {
    return [...(this.#keys.get(host) ?? [])];
  }
}
