import type { Caller } from "../core/access/access.ts";

/**
 * Knows the callers of bearer tokens: a file of tokens, or a cluster that reviews them. A server asks its authenticators one after another
 * until one knows the token.
 */
export interface TokenAuthenticator {
  /**
   * Whom the token stands for; `undefined` when this authenticator does not know it. Throws `NetworkError` `transient` when it cannot tell
   * now. Never writes the token anywhere. `beforeAsking` is called before somebody else is asked whom the token stands for, unless that was known a while ago; the call ends
   * with what it throws.
   */
  callerOf(token: string, signal: AbortSignal, beforeAsking?: () => void): Promise<Caller | undefined>;
}
