import type { Command } from "commander";

import { valuesOf } from "./known-values.ts";
import { visibleCommands } from "./visible-commands.ts";

/** Shells that have a script. */
export const shells = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof shells)[number];

/** What the server is asked for the names of. */
export const nameKinds = ["host", "network", "tenant", "policy"] as const;

export type NameKind = (typeof nameKinds)[number];

/** A command as completion sees it: what may follow its path. */
export interface CompletionNode {
  /** Words from the program on, such as `romana host list`. */
  readonly path: string;
  readonly commands: readonly Word[];
  readonly options: readonly Word[];
  /** Long and short options that take a value, so that the value is not read as a command. */
  readonly valued: readonly string[];
  /** What its first argument names, and whether all of them do. An argument called `host` is the name of a host, and so on. */
  readonly names: { readonly kind: NameKind; readonly all: boolean } | undefined;
  /** The words that its first argument may be; none where it may be any. */
  readonly choices: readonly string[];
}

/** A word, its help, and for an option its short form and what its value names or may be. */
interface Word {
  readonly word: string;
  readonly help: string;
  readonly short?: string;
  readonly kind?: NameKind;
  readonly values?: readonly string[];
}

/** Options that say whom to ask: completion passes them on. */
export const connectionOptions = [
  "-r",
  "--rootURL",
  "-p",
  "--rootPort",
  "-c",
  "--config",
  "--cacert",
  "--tls-server-name",
  "--client-cert",
  "--client-key",
  "--client-token-file",
] as const;

/** Every command with what may follow it, the program first. Options of the program may stand anywhere. */
export function completionTree(program: Command): readonly CompletionNode[] {
  return nodesOf(program, program.name(), visibleOptions(program));
}

type VisibleOption = Command["options"][number];

function nodesOf(
  command: Command,
  path: string,
  shared: readonly VisibleOption[],
): readonly CompletionNode[] {
  const children = visibleCommands(command);
  const own = visibleOptions(command);
  const options = [...own, ...shared.filter((option) => !own.includes(option))];
  const [first] = command.registeredArguments;
  const kind = nameKinds.find((each) => each === first?.name());
  const node: CompletionNode = {
    path,
    commands: children.map((child) => ({ word: child.name(), help: child.description() })),
    options: options.flatMap((option) => (option.long ? [wordOf(option, option.long)] : [])),
    valued: options
      .filter(({ required, optional }) => required || optional)
      .flatMap(({ long, short }) => [long, short].filter((flag) => typeof flag === "string")),
    names: kind === undefined ? undefined : { kind, all: first?.variadic === true },
    choices: first?.argChoices ?? [],
  };
  return [node, ...children.flatMap((child) => nodesOf(child, `${path} ${child.name()}`, shared))];
}

function wordOf(option: VisibleOption, word: string): Word {
  const { short, description, required } = option;
  const kind = nameKinds.find((each) => required && word === `--${each}`);
  const values = valuesOf(option);
  return {
    word,
    help: description,
    ...(short === undefined ? {} : { short }),
    ...(kind === undefined ? {} : { kind }),
    ...(values.length === 0 ? {} : { values }),
  };
}

function visibleOptions(command: Command): readonly VisibleOption[] {
  return command.options.filter(({ hidden }) => !hidden);
}

/** The script for a shell. While one types it starts nothing but `romana complete-names`, and that only where a name belongs. */
export function completionScript(shell: Shell, tree: readonly CompletionNode[]): string {
  switch (shell) {
    case "bash":
      return bashScript(tree);
    case "zsh":
      return zshScript(tree);
    case "fish":
      return fishScript(tree);
  }
}

/**
 * Walks the words before the cursor to the command that they name, and counts the arguments after it; shared by bash and zsh, whose arrays
 * differ by their first index. `ask` becomes the options that say whom to ask, `last` the option whose value comes next.
 */
function walk(tree: readonly CompletionNode[], words: string): string {
  const paths = tree.map(({ path }) => `"${path}"`).join("|");
  const valued = [...new Set(tree.flatMap((node) => node.valued))].join("|");
  return `  local path=romana last= count=0 word
  local -a ask
  ask=()
  for word in ${words}; do
    if [ -n "$last" ]; then
      # bash makes a word of the sign between an option and its value.
      [ "$word" = "=" ] && continue
      case "$last" in
        ${connectionOptions.join("|")}) ask+=("$last" "$word") ;;
      esac
      last=
      continue
    fi
    case "$word" in
      ${valued}) last="$word"; continue ;;
      -*) continue ;;
    esac
    case "$path $word" in
      ${paths}) path="$path $word" ;;
      *) count=$((count+1)) ;;
    esac
  done`;
}

function cases(tree: readonly CompletionNode[], wordsOf: (node: CompletionNode) => readonly Word[]): string {
  return tree
    .map(
      (node) =>
        `    "${node.path}") found="${wordsOf(node)
          .map(({ word }) => word)
          .join(" ")}" ;;`,
    )
    .join("\n");
}

/** Values of options. One that takes others in another command is told apart by the command. */
function valueCases(tree: readonly CompletionNode[]): string {
  const byOption = new Map<string, Map<string, string[]>>();
  for (const { path, options } of tree) {
    for (const { word, short, values } of options) {
      if (values !== undefined) {
        const flags = short === undefined ? word : `${short}|${word}`;
        const paths = byOption.get(flags) ?? new Map<string, string[]>();
        byOption.set(flags, paths);
        const text = values.join(" ");
        paths.set(text, [...(paths.get(text) ?? []), path]);
      }
    }
  }
  return [...byOption]
    .map(([flags, paths]) => {
      const [only = "", ...others] = paths.keys();
      if (others.length === 0) {
        return `    ${flags}) found="${only}" ;;`;
      }
      const branches = [...paths].map(
        ([text, list]) => `${list.map((path) => `"${path}"`).join("|")}) found="${text}" ;;`,
      );
      return `    ${flags}) case "$path" in ${branches.join(" ")} esac ;;`;
    })
    .join("\n");
}

/** Sets `found` to the words that may stand at the cursor; `program` is how romana was called. */
function choose(tree: readonly CompletionNode[], program: string): string {
  const named = tree.flatMap(({ path, names }) => (names === undefined ? [] : [{ path, ...names }]));
  const kindOfPath = named
    .map(({ path, kind, all }) =>
      all ? `    "${path}") kind=${kind} ;;` : `    "${path}") [ "$count" = 0 ] && kind=${kind} ;;`,
    )
    .join("\n");
  const kindOfOption = nameKinds.map((kind) => `    --${kind}) kind=${kind} ;;`).join("\n");
  const choicesOfPath = tree
    .filter(({ choices }) => choices.length > 0)
    .map(({ path, choices }) => `    "${path}") [ "$count" = 0 ] && found="${choices.join(" ")}" ;;`)
    .join("\n");
  return `  local found= kind=
  if [ -n "$last" ]; then
    case "$last" in
${kindOfOption}
${valueCases(tree)}
    esac
  else
    case "$cur" in
    -*) case "$path" in
${cases(tree, ({ options }) => options)}
    esac ;;
    *) case "$path" in
${cases(
  tree.filter(({ commands }) => commands.length > 0),
  ({ commands }) => commands,
)}
${kindOfPath}
${choicesOfPath}
    esac ;;
    esac
  fi
  if [ -n "$kind" ]; then
    found="$(${program} complete-names "\${ask[@]}" "$kind" 2>/dev/null)"
  fi`;
}

function bashScript(tree: readonly CompletionNode[]): string {
  return `# bash completion of romana: source <(romana completion bash)
_romana() {
  local cur="\${COMP_WORDS[COMP_CWORD]}"
  [ "$cur" = "=" ] && cur=
${walk(tree, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')}
${choose(tree, '"${COMP_WORDS[0]}"')}
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -o default -F _romana romana
`;
}

function zshScript(tree: readonly CompletionNode[]): string {
  return `#compdef romana
# zsh completion of romana: put it into a folder of $fpath as _romana
_romana() {
  local cur="\${words[CURRENT]}"
  local -a before
  before=("\${(@)words[2,CURRENT-1]}")
${walk(tree, '"${before[@]}"')}
${choose(tree, '"${words[1]}"')}
  if [ -n "$found" ]; then
    compadd -- \${=found}
  else
    _files
  fi
}
if [ "$funcstack[1]" = _romana ]; then
  _romana "$@"
else
  compdef _romana romana
fi
`;
}

function fishScript(tree: readonly CompletionNode[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const valued = [...new Set(tree.flatMap((node) => node.valued))].map(quote).join(" ");
  const asked = (kind: NameKind): string => quote(`(__romana_names ${kind})`);
  const takes = (kind: NameKind | undefined, values: readonly string[] | undefined): string =>
    kind === undefined
      ? values === undefined
        ? ""
        : ` -x -a ${quote(values.join(" "))}`
      : ` -x -a ${asked(kind)}`;
  const lines = tree.flatMap(({ path, commands, options, names, choices }) => {
    const at = `-n ${quote(`__romana_at ${quote(path)}`)}`;
    return [
      ...commands.map(({ word, help }) => `complete -c romana -f ${at} -a ${word} -d ${quote(help)}`),
      ...options.map(
        ({ word, help, short, kind, values }) =>
          `complete -c romana ${at} -l ${word.slice(2)}${short === undefined ? "" : ` -s ${short.slice(1)}`}${takes(kind, values)} -d ${quote(help)}`,
      ),
      ...(names === undefined ? [] : [`complete -c romana -f ${at} -a ${asked(names.kind)}`]),
      ...(choices.length === 0 ? [] : [`complete -c romana -f ${at} -a ${quote(choices.join(" "))}`]),
    ];
  });
  return `# fish completion of romana: put it into ~/.config/fish/completions/romana.fish
function __romana_path
  set -l path romana
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
    else if contains -- $word ${valued}
      set skip 1
    else if contains -- "$path $word" ${tree.map(({ path }) => quote(path)).join(" ")}
      set path "$path $word"
    end
  end
  echo $path
end
function __romana_at
  test (__romana_path) = "$argv[1]"
end
function __romana_names
  set -l words (commandline -opc)
  set -l ask
  set -l last
  for word in $words[2..-1]
    if contains -- "$last" ${connectionOptions.map(quote).join(" ")}
      set -a ask $last $word
    end
    set last $word
  end
  command $words[1] complete-names $ask $argv[1] 2>/dev/null
end
${lines.join("\n")}
`;
}
