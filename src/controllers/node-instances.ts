import type { CloudFacts, CloudInstance } from "../core/cloud/facts.ts";
import {
  countAbsences,
  fateOf,
  type Absence,
  type Fate,
  type InstanceWord,
  type Machine,
} from "../core/cluster/instance-fate.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

/** Instances that EC2 is asked about alone at a time; of more new ones, a look at all of the VPC tells in one call. */
export const ALONE = 8;
/** What EC2 said of an instance that nobody waits for is forgotten after so long. */
const KEPT_MS = 60_000;
/** Before EC2 is asked again about an instance that it does not show, or not as its Node says: doubled each time, up to the second. */
const FIRST_AGAIN_MS = 1000;
const LAST_AGAIN_MS = 30_000;

/** An interface of a host that is new. */
export interface NewInterface {
  readonly host: string;
  readonly interfaceId: string;
  readonly instanceId: string;
}

/** EC2, as far as Nodes need it. */
export interface NodeCloud {
  /** One instance, asked about alone. */
  readonly describe: (instanceId: string, signal: AbortSignal) => Promise<CloudInstance | undefined>;
  /** These hosts are new: the Source/Dest checks of their interfaces are turned off now. Never rejects. */
  readonly placed: (interfaces: readonly NewInterface[], signal: AbortSignal) => Promise<void>;
  /** Asks for a look at all of the VPC soon. */
  readonly look: () => void;
}

export interface NodeInstancesOptions {
  readonly cloud: NodeCloud;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after EC2 answered about an instance alone. */
  readonly onWord: (instanceId: string) => void;
}

/** An instance that somebody waits for. */
interface Question {
  /** A look at all of the VPC came since. */
  looked: boolean;
  attempts: number;
  /** Monotonic milliseconds. */
  retryAt: number;
}

/** What EC2 says of the instances of Nodes: by looks at all of the VPC, and by questions about a single one. */
export class NodeInstances {
  readonly #options: NodeInstancesOptions;
  readonly #words = new Map<string, InstanceWord>();
  readonly #questions = new Map<string, Question>();
  readonly #inFlight = new Map<string, Promise<void>>();
  #facts: CloudFacts | undefined;
  #factsAt = -Infinity;
  #instances: ReadonlyMap<string, CloudInstance> = new Map();
  #absences: ReadonlyMap<string, Absence> = new Map();

  constructor(options: NodeInstancesOptions) {
    this.#options = options;
  }

  /** "" before the first look. */
  get region(): string {
    return this.#facts?.region ?? "";
  }

  /** What is known of an instance: `null` when EC2 knows none of that id, `undefined` when nobody asked yet. */
  instance(instanceId: string): CloudInstance | null | undefined {
    const shown = this.#instances.get(instanceId);
    const word = this.#words.get(instanceId);
    if (word === undefined || (shown !== undefined && word.at <= this.#factsAt)) {
      return shown;
    }
    return word.instance ?? null;
  }

  fate(machine: Machine): Fate {
    const evidence = { facts: this.#facts, absences: this.#absences, words: this.#words };
    return fateOf(machine, evidence, this.#options.clock.monotonic());
  }

  /** Takes in a look at all of the VPC. `machines`: those of all learned hosts. `wanted`: instances that somebody waits for. */
  see(facts: CloudFacts, machines: Iterable<Machine>, wanted: ReadonlySet<string>): void {
    const now = this.#options.clock.monotonic();
    this.#facts = facts;
    this.#factsAt = now;
    this.#instances = new Map(facts.instances.map((instance) => [instance.id, instance]));
    this.#absences = countAbsences(this.#absences, machines, facts, now);
    for (const [id, { at }] of this.#words) {
      if (!wanted.has(id) && now - at > KEPT_MS) {
        this.#words.delete(id);
      }
    }
    for (const [id, question] of this.#questions) {
      question.looked = true;
      if (!wanted.has(id)) {
        this.#questions.delete(id);
      }
    }
  }

  /** Asks about these, as far as it is time to: a few alone; of many new ones a look at all of the VPC has to tell first. */
  ask(wanted: ReadonlySet<string>, signal: AbortSignal): void {
    if (signal.aborted) {
      return;
    }
    const now = this.#options.clock.monotonic();
    const due = [...wanted].filter((id) => !this.#inFlight.has(id) && this.#question(id).retryAt <= now);
    const isNew = (id: string): boolean => !this.#question(id).looked && this.#question(id).attempts === 0;
    const many = due.filter(isNew).length > ALONE;
    if (many) {
      this.#options.cloud.look();
    }
    const alone = due.filter((id) => !many || !isNew(id));
    for (const id of alone.slice(0, Math.max(0, ALONE - this.#inFlight.size))) {
      this.#inFlight.set(id, this.#describe(id, signal));
    }
  }

  /** Milliseconds until one of these is to be asked about again; `undefined` when none waits for its time. */
  nextMs(wanted: ReadonlySet<string>): number | undefined {
    const now = this.#options.clock.monotonic();
    const waits = [...wanted]
      .filter((id) => !this.#inFlight.has(id))
      .map((id) => this.#question(id).retryAt - now)
      .filter((ms) => ms > 0);
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** Resolves when nothing is being asked any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#inFlight.values());
  }

  #question(id: string): Question {
    const known = this.#questions.get(id);
    if (known !== undefined) {
      return known;
    }
    const question = { looked: false, attempts: 0, retryAt: 0 };
    this.#questions.set(id, question);
    return question;
  }

  async #describe(instanceId: string, signal: AbortSignal): Promise<void> {
    const { cloud, clock, log, onWord } = this.#options;
    const at = clock.monotonic();
    const question = this.#question(instanceId);
    question.attempts += 1;
    try {
      const instance = await cloud.describe(instanceId, signal);
      this.#words.set(instanceId, { instance, at });
    } catch (error) {
      if (!signal.aborted) {
        log.warn({ instanceId, err: error }, "EC2 could not be asked about the instance of a Node");
      }
    }
    const againMs = Math.min(LAST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** Math.min(question.attempts - 1, 10));
    question.retryAt = clock.monotonic() + againMs;
    this.#inFlight.delete(instanceId);
    onWord(instanceId);
  }
}
