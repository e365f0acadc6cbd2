import { abortError } from '../../proto/wire/errors.ts';

interface Entry<T> {
  readonly item: T;
  readonly taken: () => void;
}

/**
 * Hands the items of several producers to one loop, first come first served. Each producer waits until its item was taken, so
 * a loop that is not run holds one item a producer and no more.
 */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #entries: Entry<T>[] = [];
  #end: { readonly isFailure: boolean; readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /**
   * Resolves once the loop took `item`; `onTaken` runs just before the loop sees it.
   * @throws the signal's reason when aborted before; the item is withdrawn then.
   */
  put(item: T, signal: AbortSignal, onTaken?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const withdraw = (): void => {
        this.#entries.splice(this.#entries.indexOf(entry), 1);
        reject(abortError(signal));
      };
      const taken = (): void => {
        signal.removeEventListener('abort', withdraw);
        onTaken?.();
        resolve();
      };
      const entry: Entry<T> = { item, taken };
      if (signal.aborted) {
        reject(abortError(signal));
        return;
      }
      signal.addEventListener('abort', withdraw, { once: true });
      this.#entries.push(entry);
      this.#wake?.();
    });
  }

  /** The loop ends once everything put before was taken. */
  end(): void {
    this.#end ??= { isFailure: false };
    this.#wake?.();
  }

  /** The loop throws `error` once everything put before, and not withdrawn, was taken. */
  fail(error: unknown): void {
    this.#end ??= { isFailure: true, error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      for (let entry = this.#entries.shift(); entry !== undefined; entry = this.#entries.shift()) {
        entry.taken();
        yield entry.item;
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
