/**
 * What can be odd about a document that is imported; `docs/operations/migrate.md` explains each.
 */
export type FindingCode =
  | "address-free"
  | "address-invalid"
  | "address-outside"
  | "address-twice"
  | "address-without-block"
  | "address-without-owner"
  | "blackout-invalid"
  | "block-half-owned"
  | "block-host-elsewhere"
  | "block-misplaced"
  | "block-not-reusable"
  | "block-owned-empty"
  | "group-moved"
  | "host-differs"
  | "host-invalid"
  | "host-misplaced"
  | "host-twice"
  | "hosts-in-dummy"
  | "hosts-in-padding"
  | "index-unknown"
  | "lost-free-range"
  | "network-order"
  | "network-overlaps"
  | "network-refused"
  | "network-without-tenant"
  | "owner-index-stale"
  | "reusable-owned"
  | "revision-behind"
  | "tenant-and-any"
  | "tenant-network-unknown"
  | "warning";

/** Something odd in a document that is imported, and where. */
export interface Finding {
  readonly code: FindingCode;
  /** `unsound`: the import is refused unless it may repair. `note`: it does no harm, and is said once. */
  readonly severity: "unsound" | "note";
  /** Where it stands in the document: `networks["pods"].host_groups.groups[3]`. */
  readonly place: string;
  /** What is odd, in a sentence without a full stop. */
  readonly message: string;
  /** What a repairing import does about it, in the same form; for a note, what any import does. */
  readonly repair: string;
}

/** Collects findings. */
export class FindingList {
  readonly all: Finding[] = [];

  unsound(code: FindingCode, place: string, message: string, repair: string): void {
    this.all.push({ code, severity: "unsound", place, message, repair });
  }

  note(code: FindingCode, place: string, message: string, repair: string): void {
    this.all.push({ code, severity: "note", place, message, repair });
  }
}
