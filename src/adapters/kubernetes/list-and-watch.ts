import { z } from "zod";

// What the API server says around the objects of a list and of a watch.

const Page = z
  .object({
    metadata: z.object({ resourceVersion: z.string().min(1), continue: z.string().default("") }),
    items: z.array(z.unknown()).nullish(),
  })
  .transform(({ metadata, items }) => ({
    version: metadata.resourceVersion,
    next: metadata.continue,
    items: items ?? [],
  }));

/** A page of a list. `version` is that of the whole list, from which it is watched; `next` asks for the page after it, "" for the last one. */
export type ListPage = z.output<typeof Page>;

const WatchEvent = z.object({
  type: z.enum(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]),
  object: z.unknown(),
});
const Versioned = z.object({ metadata: z.object({ resourceVersion: z.string().min(1) }) });
const ErrorStatus = z.object({ code: z.number().int().catch(500).default(500) });
const Nameless = z.object({
  metadata: z.object({ namespace: z.string().optional(), name: z.string().optional() }),
});

/** `undefined` for what is no page. */
export function pageOf(answer: unknown): ListPage | undefined {
  return Page.safeParse(answer).data;
}

/** A line of a watch; `undefined` for what is no event. */
export function eventOf(line: string): z.output<typeof WatchEvent> | undefined {
  try {
    return WatchEvent.safeParse(JSON.parse(line)).data;
  } catch {
    // No JSON.
    return undefined;
  }
}

/** From where a watch goes on after this object; `undefined` when it does not say. */
export function versionOf(object: unknown): string | undefined {
  return Versioned.safeParse(object).data?.metadata.resourceVersion;
}

/** The HTTP status that an ERROR event stands for, 500 when it does not say. */
export function codeOf(status: unknown): number {
  return ErrorStatus.safeParse(status).data?.code ?? 500;
}

/** What an object without identity is known by in the log. */
export function namelessKey(object: unknown): string {
  const { data } = Nameless.safeParse(object);
  return `?${data?.metadata.namespace ?? ""}/${data?.metadata.name ?? ""}`;
}
