import { NetworkError } from "../../src/core/errors.ts";
import { buildState } from "../../src/core/ipam/commit.ts";
import { exportState, importedRecords, type ImportedState } from "../../src/core/ipam/imported-state.ts";
import { createState, type IpamState } from "../../src/core/ipam/state.ts";
import { readTopology, type Topology } from "../../src/core/topology/read-topology.ts";
import type { StoreOperation } from "../../src/ports/store.ts";
import type { StateKeeper } from "../../src/services/state-service.ts";

/** Keeps a state in memory, as the addressing service keeps it in the store. */
export class FakeStateKeeper implements StateKeeper {
  topology: Topology;
  state: IpamState;
  topologyRevision: number;
  /** What the next replacement fails with. */
  failure: Error | undefined;
  /** What the last replacement wrote besides. */
  others: readonly StoreOperation[] = [];

  constructor(
    topology: Topology = readTopology(null, { reserved: [] }),
    state: IpamState = createState(topology),
    topologyRevision = 0,
  ) {
    this.topology = topology;
    this.state = state;
    this.topologyRevision = topologyRevision;
  }

  exportState(): ImportedState {
    return exportState(this.state, this.topology, this.topologyRevision);
  }

  async replaceState(imported: ImportedState, others: readonly StoreOperation[]): Promise<void> {
    await Promise.resolve();
    if (this.failure !== undefined) {
      throw this.failure;
    }
    if (this.state.names.size > 0) {
      throw new NetworkError("conflict", "STATE_IN_USE", `${this.state.names.size} addresses are in use`);
    }
    const { topology, records } = importedRecords(imported);
    this.topology = topology;
    this.state = buildState(records);
    this.topologyRevision = imported.topologyRevision;
    this.others = others;
  }
}
