import type { BlockState } from "../control-plane.ts";

/** A block with the original's fields in the original's order. */
export function originalBlock(block: BlockState) {
  return {
    revision: block.revision,
    cidr: block.cidr,
    tenant: block.tenant,
    segment: block.segment,
    host: block.host,
    allocated_ip_count: block.allocated_ip_count,
  };
}
