import type { AddressRecord, BlackoutRecord, BlockRecord, HostRecord, IpamRecords } from "./records.ts";
import type { BlockState } from "./state.ts";

/** An address that is taken or given back, with what its block then is. One object, because there are many. */
export interface AddressChange extends AddressRecord, BlockRecord {
  /** `release`: the block is without owner then if this was its last address. */
  readonly kind: "allocate" | "release";
  /** The block as the decision found it; absent for one never used before. */
  readonly block: BlockState | undefined;
}

/** One step of a plan. `commit` applies steps in the order given. */
export type Change =
  | AddressChange
  | ({ readonly kind: "put-block" } & BlockRecord)
  | ({ readonly kind: "put-address" } & AddressRecord)
  | { readonly kind: "put-host"; readonly host: HostRecord }
  | { readonly kind: "delete-host"; readonly name: string }
  | { readonly kind: "put-blackouts"; readonly blackouts: BlackoutRecord }
  | { readonly kind: "replace"; readonly records: IpamRecords };
