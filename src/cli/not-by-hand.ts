import type { Command } from "commander";

import { NetworkError } from "../core/errors.ts";
import { examples } from "./examples.ts";

/**
 * A command that the original lists and that cannot do what its name says: it takes whatever follows, says why and what to do instead, and ends as
 * wrong use does (`COMMAND_NOT_POSSIBLE`).
 */
export function notByHand(
  parent: Command,
  name: "add" | "remove",
  [reason, wayOut]: readonly [string, string],
): void {
  const path = `${parent.name()} ${name}`;
  examples(
    parent
      .command(name)
      .argument("[any...]", "read for older scripts")
      .allowUnknownOption()
      .description("say what to do instead"),
    [[`romana ${path}`, "explains, and ends with 2"]],
  ).action(() => {
    throw new NetworkError(
      "invalid",
      "COMMAND_NOT_POSSIBLE",
      `romana ${path} does nothing: ${reason}; ${wayOut}`,
    );
  });
}
