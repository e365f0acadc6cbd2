import { Wake } from '../batch/wake.ts';

/**
 * Results that come in any order, given in the order of their numbers (0, 1, 2, ...). Who brings them asks for room first, so
 * that one that is late holds back no more than `limit` others.
 */
export class OrderedResults<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #held = new Map<number, T>();
  readonly #change = new Wake();
  #next = 0;
  #isEnded = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves once number `index` is within the limit, or nothing more is taken. */
  async room(index: number): Promise<void> {
    while (!this.#isEnded && index >= this.#next + this.#limit) {
      await this.#change.next();
    }
  }

  put(index: number, result: T): void {
    this.#held.set(index, result);
    this.#change.all();
  }

  /** Nothing more comes. What is held is still given, with gaps where results are missing. */
  end(): void {
    this.#isEnded = true;
    this.#change.all();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const result = this.#held.get(this.#next);
      if (result !== undefined) {
        this.#held.delete(this.#next);
        yield result;
        this.#next += 1;
        this.#change.all();
      } else if (this.#isEnded) {
        yield* [...this.#held].toSorted(([a], [b]) => a - b).map(([, held]) => held);
        return;
      } else {
        await this.#change.next();
      }
    }
  }
}
