import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { ClusterObject } from "../../../src/core/cluster/objects.ts";
import { ObjectView, type ObjectChange } from "../../../src/services/cluster/object-view.ts";

interface Thing extends ClusterObject {
  readonly text: string;
}

function thing(name: string, uid: string, version = "1", text = ""): Thing {
  return { name, uid, namespace: "ns", resourceVersion: version, deleting: false, text };
}

function followed() {
  const view = new ObjectView<Thing>();
  const changes: string[] = [];
  view.onChange((change) =>
    changes.push(
      change.kind === "put"
        ? `put ${change.object.uid}${change.before === undefined ? "" : ` after ${change.before.resourceVersion}`}`
        : `delete ${change.object.uid}`,
    ),
  );
  return { view, changes };
}

describe("the objects of a kind", () => {
  it("are not known before all were handed over once", () => {
    const { view } = followed();
    let synced = 0;
    view.onSynced(() => (synced += 1));
    view.put(thing("a", "1"));
    expect([view.synced, synced]).toEqual([false, 0]);
    view.replace([]);
    expect([view.synced, synced, view.size]).toEqual([true, 1, 0]);
  });

  it("tell a late listener at once that they are known", () => {
    const { view } = followed();
    view.replace([]);
    let synced = 0;
    view.onSynced(() => (synced += 1));
    expect(synced).toBe(1);
  });

  it("are found by name and by UID", () => {
    const { view } = followed();
    view.put(thing("a", "1"));
    expect(view.get("ns/a")?.uid).toBe("1");
    expect(view.byUid("1")?.name).toBe("a");
    expect([...view.values()]).toHaveLength(1);
  });

  it("are two, one after the other, when the UID under a name changes, in a watch and in a list", () => {
    const { view, changes } = followed();
    view.replace([thing("a", "1")]);
    view.put(thing("a", "2"));
    view.replace([thing("a", "3")]);
    expect(changes).toEqual(["put 1", "delete 1", "put 2", "delete 2", "put 3"]);
    expect(view.byUid("1")).toBeUndefined();
    expect(view.byUid("2")).toBeUndefined();
  });

  it("tell of a list what changed, and nothing else", () => {
    const { view, changes } = followed();
    view.replace([thing("a", "1"), thing("b", "2"), thing("c", "3")]);
    changes.length = 0;
    view.replace([thing("a", "1"), thing("b", "2", "2"), thing("d", "4")]);
    expect(changes).toEqual(["delete 3", "put 2 after 1", "put 4"]);
  });

  it("do not go by what is said of an earlier object of their name", () => {
    const { view, changes } = followed();
    view.put(thing("a", "2"));
    view.remove({ namespace: "ns", name: "a", uid: "1" });
    view.remove({ namespace: "ns", name: "b", uid: "9" });
    expect(changes).toEqual(["put 2"]);
    expect(view.size).toBe(1);
  });

  it("are no longer told to whoever left", () => {
    const view = new ObjectView<Thing>();
    const changes: ObjectChange<Thing>[] = [];
    const leave = view.onChange((change) => changes.push(change));
    const stop = view.onSynced(() => expect.unreachable());
    leave();
    stop();
    view.replace([thing("a", "1")]);
    expect(changes).toEqual([]);
  });

  it("are, after any sequence, what was handed over last, and the changes told lead there", () => {
    const object = fc
      .record({
        name: fc.constantFrom("a", "b", "c"),
        uid: fc.constantFrom("1", "2", "3", "4"),
        version: fc.constantFrom("1", "2"),
      })
      // A UID has one name for ever.
      .map(({ name, uid, version }) => thing(name, `${name}-${uid}`, version));
    const step = fc.oneof(
      object.map((each) => ({ kind: "put" as const, each })),
      object.map((each) => ({ kind: "remove" as const, each })),
      fc
        .uniqueArray(object, { selector: ({ name }) => name })
        .map((list) => ({ kind: "replace" as const, list })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const view = new ObjectView<Thing>();
        const model = new Map<string, Thing>();
        const told = new Map<string, Thing>();
        // Of a change that does not follow from the ones before it.
        const odd: ObjectChange<Thing>[] = [];
        view.onChange((change) => {
          const { uid } = change.object;
          const known = told.get(uid);
          if (change.kind === "put" ? known !== change.before : known === undefined) {
            odd.push(change);
          }
          if (change.kind === "put") {
            told.set(uid, change.object);
          } else {
            told.delete(uid);
          }
        });
        for (const each of steps) {
          if (each.kind === "put") {
            view.put(each.each);
            model.set(each.each.name, each.each);
          } else if (each.kind === "remove") {
            view.remove(each.each);
            if (model.get(each.each.name)?.uid === each.each.uid) {
              model.delete(each.each.name);
            }
          } else {
            view.replace(each.list);
            model.clear();
            each.list.forEach((one) => model.set(one.name, one));
          }
        }
        expect(odd).toEqual([]);
        const byUid = (list: Iterable<Thing>) => [...list].map(({ uid }) => uid).toSorted();
        expect(byUid(view.values())).toEqual(byUid(model.values()));
        expect(byUid(told.values())).toEqual(byUid(model.values()));
        expect([...model.values()].every(({ uid }) => view.byUid(uid) !== undefined)).toBe(true);
      }),
    );
  });
});
