import type { Command } from "commander";

import type { PolicyModel } from "../../core/policy/model.ts";
import { examples } from "../examples.ts";
import { allowedText, partyText, sourceText } from "../model-text.ts";
import type { OpenSession } from "../session.ts";
import type { Column } from "../table.ts";
import { addWatch, watchList } from "../watch-list.ts";

const columns: readonly Column<PolicyModel>[] = [
  { header: "SOURCE", cell: ({ source }) => sourceText(source) },
  { header: "TARGETS", cell: ({ targets }) => targets.map(partyText).join("; ") || "nobody" },
  { header: "CLOSES", cell: ({ isolates }) => isolates.join(", ") || "-" },
  { header: "ALLOWS", cell: allowedText },
  { header: "ID", cell: ({ id }) => id, wide: true },
];

/** `romana policy models`. */
export function policyModelsCommand(policy: Command, open: OpenSession): void {
  examples(
    addWatch(
      policy
        .command("models")
        .description("what all policies come to: Romana's own, NetworkPolicies and isolated namespaces"),
    ),
    [
      ["romana policy models", "whom each is for, what it closes, and what it allows"],
      ["romana policy models -o json", "as nodes get them"],
      ["romana policy models --watch", "and then what changes"],
    ],
  ).action(async ({ watch = false }: { readonly watch?: boolean }, command: Command) => {
    const session = await open(command);
    const { client, out } = session;
    const name = ({ id }: PolicyModel): string => `policymodel/${id}`;
    if (watch) {
      const key = ({ id }: PolicyModel): string => id;
      await watchList(session, { kind: "policies", columns, key, name, matches: () => true });
    }
    const models = await client.policyModels();
    await out.list({
      value: models,
      rows: models,
      columns,
      name,
      empty: "No policies: everything may talk to everything.",
    });
  });
}
