import { keyOf, type ClusterObject } from "../../core/cluster/objects.ts";
import type { ObjectSink } from "../../ports/cluster.ts";

/** One object came, changed or went. Another UID under a known name is two changes: the old one goes, the new one comes. */
export type ObjectChange<T> =
  | { readonly kind: "put"; readonly object: T; readonly before: T | undefined }
  /** With the last that was known of it. */
  | { readonly kind: "delete"; readonly object: T };

/** What is known of the objects of one kind, for reading. */
export interface ObjectReader<T> {
  /** Whether all objects were handed over at least once; before that, absence means nothing. */
  readonly synced: boolean;
  readonly size: number;
  /** By `name` or `namespace/name`. */
  get(key: string): T | undefined;
  byUid(uid: string): T | undefined;
  values(): Iterable<T>;
  /** Calls the listener with each change, after it is visible here; it must not throw. Returns what ends that. */
  onChange(listener: (change: ObjectChange<T>) => void): () => void;
  /** Calls the listener after each whole list was taken; at once when one was already. Returns what ends that. */
  onSynced(listener: () => void): () => void;
}

/** The objects of one kind by name and by UID. Filled by a `ClusterSource`, read by controllers. */
export class ObjectView<T extends ClusterObject> implements ObjectSink<T>, ObjectReader<T> {
  readonly #byKey = new Map<string, T>();
  readonly #byUid = new Map<string, T>();
  readonly #changed = new Set<(change: ObjectChange<T>) => void>();
  readonly #listed = new Set<() => void>();
  #synced = false;

  get synced(): boolean {
    return this.#synced;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): T | undefined {
    return this.#byKey.get(key);
  }

  byUid(uid: string): T | undefined {
    return this.#byUid.get(uid);
  }

  values(): Iterable<T> {
    return this.#byKey.values();
  }

  onChange(listener: (change: ObjectChange<T>) => void): () => void {
    this.#changed.add(listener);
    return () => void this.#changed.delete(listener);
  }

  onSynced(listener: () => void): () => void {
    this.#listed.add(listener);
    if (this.#synced) {
      listener();
    }
    return () => void this.#listed.delete(listener);
  }

  replace(objects: readonly T[]): void {
    const keys = new Set(objects.map(keyOf));
    for (const [key, object] of this.#byKey) {
      if (!keys.has(key)) {
        this.#drop(key, object);
      }
    }
    for (const object of objects) {
      const known = this.#byKey.get(keyOf(object));
      if (known?.uid !== object.uid || known.resourceVersion !== object.resourceVersion) {
        this.put(object);
      }
    }
    this.#synced = true;
    this.#listed.forEach((listener) => listener());
  }

  put(object: T): void {
    const key = keyOf(object);
    let before = this.#byKey.get(key);
    if (before !== undefined && before.uid !== object.uid) {
      this.#drop(key, before);
      before = undefined;
    }
    this.#byKey.set(key, object);
    this.#byUid.set(object.uid, object);
    this.#tell({ kind: "put", object, before });
  }

  /** Of an object that is not known, or known with another UID, nothing goes. */
  remove(gone: { readonly uid: string; readonly namespace: string; readonly name: string }): void {
    const key = keyOf(gone);
    const known = this.#byKey.get(key);
    if (known?.uid === gone.uid) {
      this.#drop(key, known);
    }
  }

  #drop(key: string, object: T): void {
    this.#byKey.delete(key);
    this.#byUid.delete(object.uid);
    this.#tell({ kind: "delete", object });
  }

  #tell(change: ObjectChange<T>): void {
    this.#changed.forEach((listener) => listener(change));
  }
}
