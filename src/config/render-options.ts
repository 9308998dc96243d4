import { variableName, type Option, type OptionTable } from "./option.ts";
import { camelCase } from "./resolve-options.ts";

/** An option as a command-line parser declares it. `key` is under which `Flags` has its value. */
export interface FlagDeclaration {
  /** `--host-tag <KEY=VALUE>`, `--dry-run`. */
  readonly flags: string;
  readonly key: string;
  readonly description: string;
  /** True when it may be given again and again. */
  readonly isList: boolean;
  /** True for another name of an option that is declared under its own: leave it out of the help text. */
  readonly isAlias: boolean;
}

/** The flags of a table of options, aliases included, in its order. They declare no defaults: those come after variables and file. */
export function declareFlags(table: OptionTable): readonly FlagDeclaration[] {
  return Object.values(table).flatMap((option) =>
    [option.name, ...option.aliases].map((name) => ({
      flags: option.form === "switch" ? `--${name}` : `--${name} <${option.placeholder}>`,
      key: camelCase(name),
      description: `${plainText(option.help)}${option.form === "switch" ? "" : ` (default: ${plainText(option.defaultNote)})`}`,
      isList: option.form === "list",
      isAlias: name !== option.name,
    })),
  );
}

/** The table of options as Markdown: a heading and a table per section. */
export function renderOptions(table: OptionTable): string {
  const options = Object.values(table);
  const sections = new Set(options.map(({ section }) => section));
  const lines = [...sections].flatMap((section) => [
    `### ${section}`,
    "",
    "| flag | variable | default | meaning |",
    "|---|---|---|---|",
    ...options.filter((option) => option.section === section).map((option) => renderRow(option)),
    "",
  ]);
  return lines.join("\n");
}

function renderRow(option: Option<unknown>): string {
  const value = option.form === "switch" ? "" : ` ${option.placeholder}`;
  const aliases = option.aliases.map((alias) => ` Also \`--${alias}\`.`).join("");
  const repeated =
    option.form === "list" ? " May be given several times, or as a list separated by commas." : "";
  const cells = [
    `\`--${option.name}${value}\``,
    `\`${variableName(option.name)}\``,
    option.defaultNote,
    `${option.help}${repeated}${aliases}`,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function plainText(markdown: string): string {
  return markdown.replaceAll("`", "");
}
