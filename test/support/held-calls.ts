/** A call that a proxy keeps on its way. */
export interface HeldCall {
  /** Resolves when it has come. */
  readonly caught: Promise<void>;
  /** Lets it go on, whether its sender still waits or not; when none has come, none is held any more. Resolves when it has been answered. */
  release(): Promise<void>;
}

interface Trap {
  readonly action: string;
  readonly keyId: string;
  readonly caught: PromiseWithResolvers<void>;
  readonly opened: PromiseWithResolvers<void>;
  readonly answered: PromiseWithResolvers<void>;
}

/** Calls that are to be held, one each. */
export class HeldCalls {
  readonly #traps: Trap[] = [];

  /** The next call of `action` that this key signs is held. */
  hold(action: string, keyId: string): HeldCall {
    const trap: Trap = {
      action,
      keyId,
      caught: Promise.withResolvers(),
      opened: Promise.withResolvers(),
      answered: Promise.withResolvers(),
    };
    this.#traps.push(trap);
    return {
      caught: trap.caught.promise,
      release: async () => {
        trap.opened.resolve();
        if (!this.#remove(trap)) {
          await trap.answered.promise;
        }
      },
    };
  }

  /** Passes a call on with `forward`; one that is to be held waits before it. */
  async pass<T>(action: string, keyId: string, forward: () => Promise<T>): Promise<T> {
    const trap = this.#traps.find((each) => each.action === action && each.keyId === keyId);
    if (trap === undefined) {
      return await forward();
    }
    this.#remove(trap);
    trap.caught.resolve();
    await trap.opened.promise;
    return await forward().finally(() => trap.answered.resolve());
  }

  /** Whether it was still waiting for a call. */
  #remove(trap: Trap): boolean {
    const index = this.#traps.indexOf(trap);
    if (index >= 0) {
      this.#traps.splice(index, 1);
    }
    return index >= 0;
  }
}
