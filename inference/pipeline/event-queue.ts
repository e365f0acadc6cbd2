/** Lets callbacks feed an async iterator. Holds what was not taken yet; the producer is bounded by its own number of events. */
export class EventQueue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #end: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Nothing more comes. */
  end(): void {
    this.#end ??= { error: undefined };
    this.#wake?.();
  }

  /** The iterator throws `error` once everything pushed before was taken. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
        yield item;
      }
      if (this.#end !== undefined) {
        if (this.#end.error !== undefined) {
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
