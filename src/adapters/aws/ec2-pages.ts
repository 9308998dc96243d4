import { NetworkError } from "../../core/errors.ts";
import type { Ec2Caller } from "./ec2-caller.ts";

/** More pages than this is a server that does not come to an end: 50,000 instances at 100 a page. */
const MAX_PAGES = 500;

/** One Describe call with all its pages. */
export interface PagedCall<Output, Item> {
  readonly caller: Ec2Caller;
  /** The EC2 action; pages beyond the first are counted as `<action>:page`. */
  readonly action: string;
  readonly asked: string;
  readonly timeoutMs: number;
  /** Sends it for one page; without a token for the first. */
  readonly send: (
    token: string | undefined,
    abortSignal: AbortSignal,
  ) => Promise<Output & { NextToken?: string | undefined }>;
  /** The list in an answer. An answer without one (an empty body, say) is no empty list. */
  readonly items: (output: Output) => readonly Item[] | undefined;
}

/**
 * Yields the items page by page. Throws `CLOUD_UNREADABLE` when an answer has no list, or when the pages do not end: half a list must not
 * pass for the whole.
 */
export async function* readPages<Output, Item>(
  call: PagedCall<Output, Item>,
  signal: AbortSignal,
): AsyncGenerator<readonly Item[], void, void> {
  let token: string | undefined;
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const asked = token;
    const output = await call.caller.call(
      {
        action: call.action,
        ...(page === 1 ? {} : { countedAs: `${call.action}:page` }),
        asked: call.asked,
        details: {},
        timeoutMs: call.timeoutMs,
        send: (abortSignal) => call.send(asked, abortSignal),
      },
      signal,
    );
    const items = call.items(output);
    if (items === undefined) {
      throw unreadable(call, "the answer holds no list; is the endpoint really EC2's?");
    }
    yield items;
    token = output.NextToken === "" ? undefined : output.NextToken;
    if (token === undefined) {
      return;
    }
    if (token === asked) {
      throw unreadable(call, `page ${page} says that it follows itself`);
    }
  }
  throw unreadable(call, `there are more than ${MAX_PAGES} pages; narrow the filters`);
}

/** The error for an answer that must not be used; the pass ends with it and the last good state stays. */
export function unreadable(
  call: { readonly action: string; readonly asked: string },
  problem: string,
): NetworkError {
  return new NetworkError(
    "transient",
    "CLOUD_UNREADABLE",
    `cannot ${call.asked}: the answer of EC2 ${call.action} cannot be used: ${problem}; nothing is changed until it can be read`,
    { action: call.action },
  );
}
