/** Lets callbacks feed an async iterator. Holds what was not taken yet; the producer is bounded by its own number of events. */
export class EventQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #end: { readonly isFailure: boolean; readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Nothing more comes. */
  end(): void {
    this.#end ??= { isFailure: false };
    this.#wake?.();
  }

  /** The iterator throws `error` once everything pushed before was taken. */
  fail(error: unknown): void {
    this.#end ??= { isFailure: true, error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#items.length > 0) {
        yield* this.#items.splice(0);
      }
      if (this.#end !== undefined) {
        if (this.#end.isFailure) {
          throw this.#end.error;
        }
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
