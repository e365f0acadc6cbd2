import { abortError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { ChangeFeed } from './catalog.ts';
import type { Clock } from './clock.ts';

interface Waiter {
  readonly sequence: number;
  readonly resolve: (isBeyond: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Tells watchers that the feed grew: at once for a change of this process, and by asking the store a few times a second for
 * those of other processes. One question serves all watchers, and none is asked while nobody waits.
 */
export class FeedFollower {
  readonly #feed: Pick<ChangeFeed, 'feedHead'>;
  readonly #clock: Clock;
  readonly #pollMs: number;
  readonly #waiters = new Set<Waiter>();
  #head = 0;
  #polling: AbortController | undefined;

  constructor(feed: Pick<ChangeFeed, 'feedHead'>, clock: Clock, settings: { readonly pollMs: number }) {
    this.#feed = feed;
    this.#clock = clock;
    this.#pollMs = settings.pollMs;
  }

  /** A change became visible. */
  notify(sequence: number): void {
    this.#head = Math.max(this.#head, sequence);
    for (const waiter of this.#waiters) {
      if (this.#head > waiter.sequence) {
        waiter.resolve(true);
      }
    }
  }

  /**
   * True as soon as the feed holds a change after `sequence`, false after `timeoutMs` without one.
   * @throws ServiceError as `ChangeFeed.feedHead` does, or when `signal` aborts.
   */
  async waitBeyond(sequence: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    throwIfAborted(signal);
    if (this.#head > sequence) {
      return true;
    }
    const settled = new AbortController();
    let leave = (): void => undefined;
    try {
      return await new Promise<boolean>((resolve, reject) => {
        const waiter = { sequence, resolve, reject };
        const abort = (): void => reject(abortError(signal));
        leave = () => {
          this.#waiters.delete(waiter);
          signal.removeEventListener('abort', abort);
        };
        this.#waiters.add(waiter);
        signal.addEventListener('abort', abort);
        this.#clock.sleep(timeoutMs, settled.signal).then(() => resolve(false), reject);
        this.#startPolling();
      });
    } finally {
      leave();
      settled.abort();
      if (this.#waiters.size === 0) {
        this.#polling?.abort();
        this.#polling = undefined;
      }
    }
  }

  #startPolling(): void {
    if (this.#polling === undefined) {
      this.#polling = new AbortController();
      void this.#poll(this.#polling.signal);
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.notify(await this.#feed.feedHead(signal));
      } catch (error) {
        if (!signal.aborted) {
          // Each watcher ends with the error; the next one to wait asks again.
          this.#fail(error);
        }
      }
      await this.#clock.sleep(this.#pollMs, signal);
    }
  }

  #fail(error: unknown): void {
    for (const waiter of this.#waiters) {
      waiter.reject(error);
    }
  }
}
