import type { SeededRandom } from "./seeded-random.ts";

/**
 * How a path loses packets, the way there and back taken together.
 *
 * - `independent`: each with this probability.
 * - `bursty`: the path is interrupted for times that are exponentially distributed with the mean `meanOutageMs`, so often that it loses
 *   the share `probability` of what is sent at random times.
 */
export type LossModel =
  | { readonly kind: "independent"; readonly probability: number }
  | { readonly kind: "bursty"; readonly probability: number; readonly meanOutageMs: number };

/** The losses of one path as time passes. */
export class LossyPath {
  readonly #model: LossModel;
  readonly #random: SeededRandom;
  #interrupted: boolean;
  #at: number;

  constructor(model: LossModel, random: SeededRandom, now: number) {
    this.#model = model;
    this.#random = random;
    this.#interrupted = random.next() < model.probability;
    this.#at = now;
  }

  /** Whether a packet sent now (monotonic milliseconds, never going back) is lost. */
  loses(now: number): boolean {
    const model = this.#model;
    if (model.kind === "independent") {
      return this.#random.next() < model.probability;
    }
    // A two-state Markov chain in continuous time: what is left of the last state fades with the sum of both rates.
    const gapMs = (model.meanOutageMs * (1 - model.probability)) / model.probability;
    const rate = 1 / model.meanOutageMs + (Number.isFinite(gapMs) ? 1 / gapMs : 0);
    const left = Math.exp(-rate * (now - this.#at));
    const chance = model.probability + ((this.#interrupted ? 1 : 0) - model.probability) * left;
    this.#interrupted = this.#random.next() < chance;
    this.#at = now;
    return this.#interrupted;
  }
}
