import { NetworkError } from "../core/errors.ts";
import { importedRecords, type ImportedState } from "../core/ipam/imported-state.ts";
import type { Finding } from "../core/migration/finding.ts";
import { looksOriginal, malformed } from "../core/migration/original-blob.ts";
import { readOriginalBlob } from "../core/migration/read-original.ts";
import { looksOwn, readStateDocument, type StateContent } from "../core/migration/read-state-document.ts";
import { writeStateDocument, type ExportedRoute } from "../core/migration/state-document.ts";
import { leavesOf } from "../core/topology/walk-groups.ts";
import type { ImportReport } from "../core/views/state-views.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { StoreOperation } from "../ports/store.ts";
import { nextTurn } from "./next-turn.ts";

/** An error names this many findings; a trial lists all. */
const MAX_NAMED = 20;

/** Who keeps networks, hosts, blocks and addresses. */
export interface StateKeeper {
  exportState(): ImportedState;
  /** Puts `state` in the place of what there is, and does `others` with it, whole or not at all. Throws `STATE_IN_USE` (conflict) while addresses are in use. */
  replaceState(state: ImportedState, others: readonly StoreOperation[], signal: AbortSignal): Promise<void>;
}

/** Who keeps a list of documents: tenants, or policies. */
export interface ListKeeper {
  /** All of them, in an order that depends on nothing but them. */
  list(): readonly unknown[];
  /** What is wrong with these, each with its index; nothing is changed. */
  check(items: readonly unknown[]): readonly { readonly index: number; readonly message: string }[];
  /** What makes the list exactly this; for items that `check` found nothing wrong with. */
  operations(items: readonly unknown[]): readonly StoreOperation[];
}

export interface StateServiceOptions {
  readonly keeper: StateKeeper;
  readonly clock: Clock;
  readonly log: Logger;
  /** Absent: none are kept, and a document that has some is refused. */
  readonly tenants?: ListKeeper | undefined;
  readonly policies?: ListKeeper | undefined;
  /** Resolves when all keepers stand at one revision of the store; absent: they always do. */
  readonly together?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** The journal of routes, for the export. */
  readonly routes?: (() => readonly ExportedRoute[]) | undefined;
}

export interface ImportOptions {
  /** Take what is sound, and leave out what is not. */
  readonly repair: boolean;
  /** Change nothing, say what would be taken. */
  readonly dryRun: boolean;
}

/** The whole state out of the system, and into one that has no addresses in use. */
export class StateService {
  readonly #options: StateServiceOptions;

  constructor(options: StateServiceOptions) {
    this.#options = options;
  }

  /** The document of everything as JSON text, in pieces; what it holds is as of one revision. Rejects with the signal's reason. */
  async export(signal: AbortSignal): Promise<Iterable<string>> {
    const { keeper, clock, tenants, policies, routes, together } = this.#options;
    await together?.(signal);
    return writeStateDocument({
      exportedAt: new Date(clock.now()).toISOString(),
      state: keeper.exportState(),
      tenants: tenants?.list() ?? [],
      policies: policies?.list() ?? [],
      routes: routes?.() ?? [],
    });
  }

  /**
   * Takes a document of ours or the original's state, all of it or nothing. Throws `IMPORT_MALFORMED`, `IMPORT_VERSION_UNKNOWN`, `IMPORT_UNSOUND` (invalid) for what cannot be
   * taken so, `STATE_IN_USE` (conflict) while addresses are in use, and what the keepers throw.
   */
  async import(document: unknown, options: ImportOptions, signal: AbortSignal): Promise<ImportReport> {
    const { keeper, log } = this.#options;
    // It was parsed in this one.
    await nextTurn();
    const { source, content, findings } = readDocument(document);
    await nextTurn();
    this.#checkLists(content);
    const sound = findings.every(({ severity }) => severity === "note");
    const report = reportOf(source, content, findings, sound);
    await nextTurn();
    if (options.dryRun) {
      return report;
    }
    if (!sound && !options.repair) {
      throw unsound(findings);
    }
    const { state, tenants, policies } = content;
    const others = [
      ...(this.#options.tenants?.operations(tenants) ?? []),
      ...(this.#options.policies?.operations(policies) ?? []),
    ];
    await nextTurn();
    await keeper.replaceState(state, others, signal);
    const { networks, hosts, blocks, addresses } = report;
    log.info(
      { source, networks, hosts, blocks, addresses, findings: findings.length },
      "a state was imported",
    );
    return { ...report, applied: true };
  }

  #checkLists({ tenants, policies }: StateContent): void {
    const problems = [
      ...problemsOf("tenants", tenants, this.#options.tenants),
      ...problemsOf("policies", policies, this.#options.policies),
    ];
    if (problems.length > 0) {
      throw malformed({ problems });
    }
  }
}

function problemsOf(
  key: string,
  items: readonly unknown[],
  keeper: ListKeeper | undefined,
): { place: string; message: string }[] {
  if (keeper === undefined) {
    return items.length === 0 ? [] : [{ place: key, message: `this controller keeps no ${key}` }];
  }
  return keeper.check(items).map(({ index, message }) => ({ place: `${key}[${index}]`, message }));
}

function readDocument(document: unknown): {
  readonly source: ImportReport["source"];
  readonly content: StateContent;
  readonly findings: readonly Finding[];
} {
  if (looksOwn(document)) {
    return { source: "romana-state", content: readStateDocument(document), findings: [] };
  }
  if (looksOriginal(document)) {
    const { state, findings } = readOriginalBlob(document);
    return { source: "original", content: { state, tenants: [], policies: [] }, findings };
  }
  throw malformed({
    problems: [
      {
        place: "document",
        message:
          'it is neither a document of "romana export" (kind "romana-state") nor the original\'s state (key /romana/ipam/data)',
      },
    ],
  });
}

function reportOf(
  source: ImportReport["source"],
  { state, tenants, policies }: StateContent,
  findings: readonly Finding[],
  sound: boolean,
): ImportReport {
  const { networks } = importedRecords(state).topology;
  const leaves = networks.flatMap(({ root }) => leavesOf(root)).filter(({ kind }) => kind === "group");
  return {
    source,
    applied: false,
    sound,
    networks: networks.length,
    groups: leaves.length,
    hosts: state.hosts.length,
    blocks: state.blocks.length,
    addresses: state.addresses.length,
    blackouts: state.blackouts.reduce((sum, { cidrs }) => sum + cidrs.length, 0),
    tenants: tenants.length,
    policies: policies.length,
    findings,
  };
}

function unsound(findings: readonly Finding[]): NetworkError {
  const lines = findings
    .filter(({ severity }) => severity === "unsound")
    .map(({ code, place, message }) => `${place}: ${message} (${code})`);
  const shown = lines.slice(0, MAX_NAMED);
  const more = lines.length - shown.length;
  const all = more > 0 ? [...shown, `${more} more like these`] : shown;
  return new NetworkError(
    "invalid",
    "IMPORT_UNSOUND",
    `nothing was imported, the state is damaged: ${all.join("; ")}; a dry run lists what a repairing import would leave out, --repair takes the rest`,
    { problems: all },
  );
}
