/** What one read of a listing gives: at most as many items as were asked for. Fewer, or none, do not say that it ends here. */
export interface Portion<T, P> {
  readonly items: readonly T[];
  /** The position after which more may come; undefined at the listing's end. */
  readonly next: P | undefined;
}

/** Of a listing that gives less than `limit` only at its end. */
export function portionOf<T, P>(items: readonly T[], limit: number, positionOf: (item: T) => P): Portion<T, P> {
  const last = items.at(-1);
  return { items, next: last === undefined || items.length < limit ? undefined : positionOf(last) };
}
