import type { AuditEntry } from "./kube-api.ts";

const OURS = "romana-";

export interface AuditRules {
  /** `kube-system/romana-controller`: who our components may be. */
  readonly accounts: readonly string[];
  /** Which of the answers with 403 were meant: in a test that takes rights away. None unless given. */
  readonly mayBeRefused?: (entry: AuditEntry) => boolean;
}

/**
 * What is wrong with what our components (`User-Agent: romana-…`) asked of the API server, one line for each entry: asked as somebody else than the service accounts of our
 * manifests, or refused. Throws when none of our components asked at all: then nothing was judged.
 */
export function judgeAudit(entries: readonly AuditEntry[], rules: AuditRules): readonly string[] {
  const ours = entries.filter(({ userAgent }) => userAgent?.startsWith(OURS) === true);
  if (ours.length === 0) {
    throw new Error(`none of ${entries.length} requests is of one of our components (${OURS}…)`);
  }
  const users = new Set(
    rules.accounts.map((account) => `system:serviceaccount:${account.replace("/", ":")}`),
  );
  return ours.flatMap((entry) => {
    const what = `${entry.userAgent}: ${entry.verb} ${entry.requestURI}`;
    return [
      ...(users.has(entry.user.username) ? [] : [`${what}: asked as ${entry.user.username}`]),
      ...(entry.responseStatus?.code === 403 && rules.mayBeRefused?.(entry) !== true
        ? [`${what}: refused`]
        : []),
    ];
  });
}
