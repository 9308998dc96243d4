import type { AddressChange } from "./change.ts";
import { attach, detach, drop, hold, inconsistent, networkOf } from "./commit-blocks.ts";
import { commit } from "./commit.ts";
import { poolAt, type BlockState, type IpamState, type NetworkState, type Pool } from "./state.ts";

/**
 * Applies an allocation or a release for the time of planning others after it, and returns what takes it back. Several are taken back in the opposite order,
 * before anything else happens to the state; then it answers every question as before. Throws `STATE_INCONSISTENT` like `commit`.
 */
export function applyTentatively(state: IpamState, change: AddressChange): () => void {
  const network = networkOf(state, change.network);
  const pool = poolAt(network, change.first);
  if (pool === undefined) {
    throw inconsistent(`no group of network "${change.network}" has the block of "${change.name}"`);
  }
  const known = network.blocks.get(change.first);
  const restore = restorerOf(state, network, pool, known);
  commit(state, [change]);
  const block = known ?? network.blocks.get(change.first);
  return () => {
    if (block !== undefined) {
      takeBack(block, change, restore);
    }
  };

  function takeBack(taken: BlockState, { kind }: AddressChange, reset: (block: BlockState) => void): void {
    if (kind === "allocate") {
      drop(state, taken, change);
      reset(taken);
    } else {
      reset(taken);
      hold(state, taken, change);
    }
  }
}

/** What gives the block its numbers, its owner and its place in the lists again, and the counters their values. */
function restorerOf(
  state: IpamState,
  network: NetworkState,
  pool: Pool,
  known: BlockState | undefined,
): (block: BlockState) => void {
  const { revision, sequence } = state;
  const ofNetwork = network.revision;
  const { unused } = pool;
  const before = {
    revision: known?.revision ?? 0,
    sequence: known?.sequence ?? 0,
    owner: known?.holding?.record,
  };
  return (block) => {
    if (block.sequence !== before.sequence) {
      detach(block);
      block.sequence = before.sequence;
      if (known === undefined) {
        network.blocks.delete(block.first);
      } else {
        attach(state, block, before.owner);
      }
    }
    block.revision = before.revision;
    pool.unused = unused;
    network.revision = ofNetwork;
    state.revision = revision;
    state.sequence = sequence;
  };
}
