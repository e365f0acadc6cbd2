/**
 * Runs `action` on every item, `limit` at a time, and gives the results in the items' order. After a failure no further one is
 * begun; it is thrown once those under way have ended, so that nothing goes on behind the caller's back.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  action: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Map<number, R>();
  // One iterator for all workers: each takes the next item.
  const waiting = items.entries();
  let failure: { readonly error: unknown } | undefined;
  const work = async (): Promise<void> => {
    for (const [index, item] of waiting) {
      if (failure !== undefined) {
        return;
      }
      try {
        results.set(index, await action(item, index));
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  if (failure !== undefined) {
    throw failure.error;
  }
  return items.flatMap((_, index) => (results.has(index) ? [results.get(index) as R] : []));
}
