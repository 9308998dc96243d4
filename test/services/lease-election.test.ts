import { electionContract } from "../contracts/election.ts";
import { leaseLockContract } from "../contracts/lease-lock.ts";
import { MemoryLease } from "../support/memory-lease.ts";

electionContract("on a Lease", "lease");

leaseLockContract("in memory", async () => {
  const lock = new MemoryLease();
  return { lock, remove: async () => lock.edit(undefined) };
});
