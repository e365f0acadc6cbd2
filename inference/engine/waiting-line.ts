export type Priority = 'high' | 'normal' | 'low';

/**
 * How many arrivals later than its own a place counts. With as many as this or fewer waiting, the higher priority simply goes
 * first; and since numbers only grow, fewer than 64 later arrivals of the next priority (128 across two) can overtake anyone:
 * nobody starves, and no clock is needed to say so.
 */
const HANDICAP: Readonly<Record<Priority, number>> = { high: 0, normal: 64, low: 128 };

interface Place<T> {
  readonly item: T;
  /** Number of arrival plus handicap; the smallest is served first. */
  readonly rank: number;
}

/** Who is served next: high before normal before low, first come first served within each, and none overtaken for ever. */
export class WaitingLine<T> {
  readonly #places: Place<T>[] = [];
  #lastNumber = 0;

  get size(): number {
    return this.#places.length;
  }

  /** How many a newcomer of this priority would find in front of it. */
  ahead(priority: Priority): number {
    return this.#indexFor(this.#lastNumber + 1 + HANDICAP[priority]);
  }

  join(item: T, priority: Priority): void {
    this.#lastNumber += 1;
    const rank = this.#lastNumber + HANDICAP[priority];
    this.#places.splice(this.#indexFor(rank), 0, { item, rank });
  }

  /** False when it was not in the line. */
  leave(item: T): boolean {
    const index = this.#places.findIndex((place) => place.item === item);
    return index >= 0 && this.#places.splice(index, 1).length > 0;
  }

  /** Takes the one to be served next out of the line. */
  next(): T | undefined {
    return this.#places.shift()?.item;
  }

  /** Behind its equals. */
  #indexFor(rank: number): number {
    return this.#places.findLastIndex((place) => place.rank <= rank) + 1;
  }
}
