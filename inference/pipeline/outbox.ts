import { abortError } from '../../proto/wire/errors.ts';
import { EventQueue } from './event-queue.ts';

interface Entry<T> {
  /** Gone once it was withdrawn. */
  held: { readonly item: T } | undefined;
  readonly taken: () => void;
}

/**
 * Hands the items of several producers to one loop, first come first served. Each producer waits until its item was taken, so
 * a loop that is not run holds one item a producer and no more.
 */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #queue = new EventQueue<Entry<T>>();

  /**
   * Resolves once the loop took `item`; `onTaken` runs just before the loop sees it.
   * @throws the signal's reason when aborted before; the item is withdrawn then.
   */
  put(item: T, signal: AbortSignal, onTaken?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const withdraw = (): void => {
        entry.held = undefined;
        reject(abortError(signal));
      };
      const taken = (): void => {
        signal.removeEventListener('abort', withdraw);
        onTaken?.();
        resolve();
      };
      const entry: Entry<T> = { held: { item }, taken };
      if (signal.aborted) {
        reject(abortError(signal));
        return;
      }
      signal.addEventListener('abort', withdraw, { once: true });
      this.#queue.push(entry);
    });
  }

  /** The loop ends once everything put before was taken. */
  end(): void {
    this.#queue.end();
  }

  /** The loop throws `error` once everything put before, and not withdrawn, was taken. */
  fail(error: unknown): void {
    this.#queue.fail(error);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const { held, taken } of this.#queue) {
      if (held !== undefined) {
        taken();
        yield held.item;
      }
    }
  }
}
