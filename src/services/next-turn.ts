/** Resolves in the next turn of the event loop: what has arrived was taken in, what was given to connections has been sent, and whatever else is due (such as a lease's renewal) had its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
