import type { Finding } from "../migration/finding.ts";

/** What an import took, or would take. Field names are those of the REST API. */
export interface ImportReport {
  /** What the document was: one of ours, or the original's state. */
  readonly source: "romana-state" | "original";
  /** False for a trial (`dry_run`). */
  readonly applied: boolean;
  /** False when findings are unsound: only a repairing import takes the document. */
  readonly sound: boolean;
  readonly networks: number;
  /** Leaf groups that take hosts. */
  readonly groups: number;
  readonly hosts: number;
  readonly blocks: number;
  readonly addresses: number;
  readonly blackouts: number;
  readonly tenants: number;
  readonly policies: number;
  /** What is odd about the document, in the order of its parts. */
  readonly findings: readonly Finding[];
}
