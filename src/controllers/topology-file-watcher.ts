import { overrideCidrs, type NetworkCidr } from "../core/topology/initial-topology.ts";
import { readTopology, type TopologyDocument } from "../core/topology/read-topology.ts";
import type { EventRecorder, EventSubject } from "../ports/cluster.ts";
import type { Logger } from "../ports/logger.ts";

/** Tells the text of a file, at the start and after each change, until it is stopped. */
export interface FollowedFile {
  start(): void;
  stop(): Promise<void>;
}

export interface TopologyFileWatcherOptions {
  /** As `--topology` names it; for the words. */
  readonly path: string;
  /** Makes what follows the file; its `onText` may reject when it wants the text again. */
  readonly follow: (tell: {
    readonly onText: (text: string) => Promise<void>;
    readonly onFailure: (error: Error) => void;
  }) => FollowedFile;
  /** Reads a text: JSON with comments. Throws when it is none. */
  readonly parse: (text: string) => unknown;
  /** The document in force, canonical (`Topology.document`): without hosts that were learned. */
  readonly inForce: () => TopologyDocument;
  /** `--network-cidr-overrides`: the file counts as the topology in force with them too. */
  readonly overrides: readonly NetworkCidr[];
  readonly events: EventRecorder;
  /** The ConfigMap that the file comes from. */
  readonly subject: EventSubject;
  readonly log: Logger;
}

/** Reason of the events. */
const TOPOLOGY_FILE_CHANGED = "TopologyFileChanged";

/**
 * Follows the file that a topology was started with. An edit of it changes nothing by itself: networks and groups may be in use, so somebody has to want the update
 * and to see its answer. This says so, on the ConfigMap and in the log, whenever the file tells another topology than the one in force, a start with such a file
 * included. While there is none, the file waits: it is about to be applied, or the log says why not. What is compared is the meaning: comments, order of keys and stated ranges do not count.
 */
export class TopologyFileWatcher {
  readonly #options: TopologyFileWatcherOptions;
  readonly #file: FollowedFile;

  constructor(options: TopologyFileWatcherOptions) {
    this.#options = options;
    this.#file = options.follow({
      onText: (text) =>
        this.#look(text)
          ? Promise.resolve()
          : Promise.reject(
              new Error("there is no topology in force yet that the file could be held against"),
            ),
      // A ConfigMap that is being swapped, or was taken away: what is in force stays.
      onFailure: (error) =>
        options.log.warn({ path: options.path, err: error }, "the topology file cannot be read"),
    });
  }

  start(): void {
    this.#file.start();
  }

  async stop(): Promise<void> {
    await this.#file.stop();
  }

  /** False when it has to be looked at once more: nothing is in force yet, as on a first start before the service range is known. */
  #look(text: string): boolean {
    const { path, inForce, log } = this.#options;
    const update = `"romana topology update ${path}"`;
    let said: readonly string[];
    try {
      said = this.#meanings(text);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ path, err: error }, "the topology file holds no good topology; the one in force stays");
      this.#tell(
        "Warning",
        `the file ${path} holds no good topology, the one in force stays: correct it, then apply it with ${update}. ${reason}`,
      );
      return true;
    }
    const document = inForce();
    if ((document.networks ?? []).length === 0) {
      return false;
    }
    if (said.includes(canonical(document))) {
      log.debug({ path }, "the topology file tells the topology in force");
      return true;
    }
    log.warn(
      { path },
      `the topology file is not the topology in force; it changes nothing by itself, ${update} applies it`,
    );
    this.#tell(
      "Normal",
      `the file ${path} tells another topology than the one in force, and changes nothing by itself: ${update} applies it, all or nothing${this.#hint()}`,
    );
    return true;
  }

  /** The topology that the file tells, as it stands and with the overrides of the options. */
  #meanings(text: string): readonly string[] {
    const { parse, overrides } = this.#options;
    const document = parse(text);
    const overridden = overrideCidrs(document, overrides).document;
    return [
      canonical(readTopology(overridden, { reserved: [] }).document),
      ...this.#asItStands(document, overridden),
    ];
  }

  #asItStands(document: unknown, overridden: unknown): readonly string[] {
    return document === overridden ? [] : [canonical(readTopology(document, { reserved: [] }).document)];
  }

  #hint(): string {
    return this.#options.overrides.length === 0
      ? ""
      : "; --network-cidr-overrides counts at the start only, so write the ranges into the file";
  }

  #tell(type: "Normal" | "Warning", note: string): void {
    const { events, subject } = this.#options;
    events.record({ subject, type, reason: TOPOLOGY_FILE_CHANGED, action: "KeepTopology", note });
  }
}

/** Equal texts mean equal topologies. */
function canonical(document: TopologyDocument): string {
  return JSON.stringify({ networks: document.networks ?? [], topologies: document.topologies ?? [] });
}
