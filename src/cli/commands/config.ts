import type { Command } from "commander";

import { examples } from "../examples.ts";
import type { OpenSession } from "../session.ts";
import type { Setting } from "../settings.ts";

/** `romana config`. */
export function configCommands(program: Command, open: OpenSession): void {
  const config = program.command("config").description("settings of this program");

  examples(
    config
      .command("view")
      .description("show the settings that hold, and where each comes from; secrets are masked"),
    [
      ["romana config view", "from options, environment and file"],
      ["romana config view -c other.yaml", "as if that were the file"],
    ],
  ).action(async (_options, command: Command) => {
    const { out, settings } = await open(command);
    const rows = settings.sources.map((setting) => ({ ...setting, text: shown(setting) }));
    await out.list({
      value: Object.fromEntries(rows.map(({ key, text, source }) => [key, { value: text, source }])),
      rows,
      columns: [
        { header: "KEY", cell: ({ key }) => key },
        { header: "VALUE", cell: ({ text }) => text },
        { header: "SOURCE", cell: ({ source }) => source },
      ],
      name: ({ key }) => `setting/${key}`,
      empty: "",
    });
  });
}

function shown({ key, text }: Setting): string {
  return key === "Token" ? "(hidden)" : text.replace(/\/\/[^/@]*@/, "//(hidden)@");
}
