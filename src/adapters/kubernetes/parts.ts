import { z } from "zod";

/** What an absent list or map becomes, one for all. */
const NO_LIST: readonly never[] = Object.freeze([]);
const NO_TEXTS: Readonly<Record<string, string>> = Object.freeze({});

/** Different texts that are remembered; beyond them they are forgotten and begun anew, so that ever-new label values do not pile up. */
const MOST_TEXTS = 50_000;
const known = new Map<string, string>();

/** The one copy of a text that many objects hold, such as the name of a node or the key of a label: 20,000 Pods parsed from JSON have 20,000 copies. */
export function shared(value: string): string {
  const one = known.get(value);
  if (one !== undefined) {
    return one;
  }
  if (known.size >= MOST_TEXTS) {
    known.clear();
  }
  known.set(value, value);
  return value;
}

const anything = z.unknown().optional();

// Readers of one field. An absent one and one of another type than the API promises become the empty value: an odd field does not cost the object.

export const text = z.string().default("").catch("");
/** A text that many objects have in common. */
export const sharedText = text.transform(shared);
export const flag = z.boolean().default(false).catch(false);
export const maybeText = z.string().optional().catch(undefined);
export const maybeFlag = z.boolean().optional().catch(undefined);

/** A list; what is odd in it is left out. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<readonly T[]> {
  return anything.transform((raw) => {
    if (!Array.isArray(raw) || raw.length === 0) {
      return NO_LIST;
    }
    const read: T[] = [];
    for (const one of raw as readonly unknown[]) {
      const result = item.safeParse(one);
      if (result.success) {
        read.push(result.data);
      }
    }
    return read.length === 0 ? NO_LIST : read;
  });
}

/** Every text of a list. */
export const texts: z.ZodType<readonly string[]> = listOf(z.string());
export const sharedTexts: z.ZodType<readonly string[]> = listOf(z.string().transform(shared));

/**
 * Labels and the like: every entry that is a text. Read by hand: they are most of what is read, and `z.record` takes four times as long. An entry
 * `__proto__`, which is no valid key of a label, would be lost in silence elsewhere and is left out.
 */
export const labels: z.ZodType<Readonly<Record<string, string>>> = anything.transform((raw) => {
  if (typeof raw !== "object" || raw === null) {
    return NO_TEXTS;
  }
  const read: Record<string, string> = {};
  let isEmpty = true;
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value === "string" && key !== "__proto__") {
      read[shared(key)] = shared(value);
      isEmpty = false;
    }
  }
  return isEmpty ? NO_TEXTS : read;
});

/** A part of an object that may be absent or odd: it is read as if it were there and empty. */
export function part<T extends z.ZodRawShape>(shape: T): z.ZodType<z.output<z.ZodObject<T>>> {
  const object = z.object(shape);
  return anything.transform((raw) =>
    object.parse(typeof raw === "object" && raw !== null && !Array.isArray(raw) ? raw : {}),
  );
}
