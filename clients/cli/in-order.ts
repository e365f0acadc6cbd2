/**
 * Runs `work` on each item, at most `limit` at once, and gives the results in the items' order. No new item begins while a finished
 * result waits to be taken, so memory stays bounded. An error of `work` ends the loop with it.
 */
export async function* inOrder<T, R>(items: Iterable<T>, limit: number, work: (item: T) => Promise<R>): AsyncGenerator<R> {
  const waiting = items[Symbol.iterator]();
  const running: Promise<R>[] = [];
  const fill = (): void => {
    while (running.length < limit) {
      const next = waiting.next();
      if (next.done === true) {
        return;
      }
      const result = work(next.value);
      // Awaited below in its turn; until then its failure must not count as unhandled.
      result.catch(() => undefined);
      running.push(result);
    }
  };
  for (fill(); running.length > 0; fill()) {
    const first = running.shift();
    if (first !== undefined) {
      yield await first;
    }
  }
}
