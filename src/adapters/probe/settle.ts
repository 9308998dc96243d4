/** Turns of the event loop after which a settling ends in any case; a socket that never falls quiet must not keep verdicts back. */
const LONGEST_TURNS = 10_000;
/** Quiet turns in a row that show that nothing is left to read. Two: the first may be the rest of a turn in which the sockets were read before. */
const QUIET_TURNS = 2;

/**
 * Calls `callback` when the event loop turned twice without anything happening. `events` counts what was read; `busy` is true while something still waits to
 * be sent.
 */
export function afterQuietTurns(events: () => number, busy: () => boolean, callback: () => void): void {
  let seen = events();
  let quiet = 0;
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    const now = events();
    quiet = now === seen && !busy() ? quiet + 1 : 0;
    seen = now;
    if (quiet >= QUIET_TURNS || turns >= LONGEST_TURNS) {
      callback();
    } else {
      setImmediate(turn);
    }
  };
  setImmediate(turn);
}
