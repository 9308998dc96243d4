import { describe, expect, it } from "vitest";

import { electionContract } from "../contracts/election.ts";
import { cutOff, ElectionLab } from "../support/election-lab.ts";

electionContract("on the store", "store");

describe("an election on the store", () => {
  it("has a leader named that died, as long as his key stands", async () => {
    const lab = await ElectionLab.of("store", 2);
    lab.replicas[0]?.stands();
    await lab.clock.runFor(300);
    const [first, second] = lab.replicas;
    if (first !== undefined) {
      cutOff(first);
    }
    await lab.clock.runFor(4_600);

    // The others cannot know yet.
    expect(second?.election.leader()?.id).toBe("replica-0");
  });
});
