import type { Command } from "commander";

/** Shells that have a script. */
export const shells = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof shells)[number];

/** A command as completion sees it: what may follow its path. */
export interface CompletionNode {
  /** Words from the program on, such as `romana host list`. */
  readonly path: string;
  readonly commands: readonly Word[];
  readonly options: readonly Word[];
  /** Long and short options that take a value, so that the value is not read as a command. */
  readonly valued: readonly string[];
}

interface Word {
  readonly word: string;
  readonly help: string;
}

/** Every command with what may follow it, the program first. Options of the program may stand anywhere. */
export function completionTree(program: Command): readonly CompletionNode[] {
  const shared = visibleOptions(program);
  return nodesOf(program, program.name(), shared);
}

type VisibleOption = Command["options"][number];

function nodesOf(
  command: Command,
  path: string,
  shared: readonly VisibleOption[],
): readonly CompletionNode[] {
  const children = command.commands.filter((child) => child.name() !== "help");
  const own = visibleOptions(command);
  const options = [...own, ...shared.filter((option) => !own.includes(option))];
  const node: CompletionNode = {
    path,
    commands: children.map((child) => ({ word: child.name(), help: child.description() })),
    options: options.flatMap(({ long, description }) => (long ? [{ word: long, help: description }] : [])),
    valued: options
      .filter(({ required, optional }) => required || optional)
      .flatMap(({ long, short }) => [long, short].filter((flag) => typeof flag === "string")),
  };
  return [node, ...children.flatMap((child) => nodesOf(child, `${path} ${child.name()}`, shared))];
}

function visibleOptions(command: Command): readonly VisibleOption[] {
  return command.options.filter(({ hidden }) => !hidden);
}

/** The script for a shell, made of the tree alone: it starts nothing while one types. */
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

/** Walks the words before the cursor to the command that they name; shared by bash and zsh, whose arrays differ by their first index. */
function walk(tree: readonly CompletionNode[], words: string): string {
  const paths = tree.map(({ path }) => `"${path}"`).join("|");
  const valued = [...new Set(tree.flatMap((node) => node.valued))].join("|");
  return `  local path=romana skip=0 word
  for word in ${words}; do
    if [ "$skip" = 1 ]; then skip=0; continue; fi
    case "$word" in
      ${valued}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "$path $word" in
      ${paths}) path="$path $word" ;;
    esac
  done`;
}

function cases(tree: readonly CompletionNode[], wordsOf: (node: CompletionNode) => readonly Word[]): string {
  return tree
    .map(
      (node) =>
        `    "${node.path}") words="${wordsOf(node)
          .map(({ word }) => word)
          .join(" ")}" ;;`,
    )
    .join("\n");
}

function choose(tree: readonly CompletionNode[]): string {
  return `  local words=
  case "$cur" in
  -*) case "$path" in
${cases(tree, ({ options }) => options)}
    esac ;;
  *) case "$path" in
${cases(
  tree.filter(({ commands }) => commands.length > 0),
  ({ commands }) => commands,
)}
    esac ;;
  esac`;
}

function bashScript(tree: readonly CompletionNode[]): string {
  return `# bash completion of romana: source <(romana completion bash)
_romana() {
  local cur="\${COMP_WORDS[COMP_CWORD]}"
${walk(tree, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')}
${choose(tree)}
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
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
${choose(tree).replace("local words=", "local words_=").replaceAll(' words="', ' words_="')}
  if [ -n "$words_" ]; then
    compadd -- \${=words_}
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
  const lines = tree.flatMap(({ path, commands, options }) => {
    const at = `-n ${quote(`__romana_at ${quote(path)}`)}`;
    return [
      ...commands.map(({ word, help }) => `complete -c romana -f ${at} -a ${word} -d ${quote(help)}`),
      ...options.map(({ word, help }) => `complete -c romana ${at} -l ${word.slice(2)} -d ${quote(help)}`),
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
${lines.join("\n")}
`;
}
