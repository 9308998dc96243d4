import { readRole, type Caller } from "../../src/core/access/access.ts";
import type { TokenAuthenticator } from "../../src/ports/authenticator.ts";

/** Knows a token for each role: the token is the role as it is written, `admin`, `reader`, `agent:HOST`. */
export const knownTokens: TokenAuthenticator = {
  callerOf: (token: string): Promise<Caller | undefined> =>
    Promise.resolve(readRole(`user-of-${token}`, decodeURIComponent(token))),
};

/** The header that a caller of `knownTokens` sends. */
export function as(role: string): { readonly authorization: string } {
  return { authorization: `Bearer ${encodeURIComponent(role)}` };
}
