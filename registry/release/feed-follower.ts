import { abortError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { ChangeFeed } from './catalog.ts';
import type { Clock } from './clock.ts';
import { SharedReads } from './shared-reads.ts';
import { NEEDLESS } from './wait-either.ts';

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
  readonly #questions: SharedReads<'head', number>;
  readonly #clock: Clock;
  readonly #pollMs: number;
  readonly #waiters = new Set<Waiter>();
  #head = 0;
  #askedMs = Number.NEGATIVE_INFINITY;
  #polling: AbortController | undefined;

  constructor(feed: Pick<ChangeFeed, 'feedHead'>, clock: Clock, settings: { readonly pollMs: number }) {
    this.#questions = new SharedReads((_, signal) => feed.feedHead(signal));
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
   * The newest change's number, as the store said it within the time between two questions, or later.
   * @throws ServiceError as `ChangeFeed.feedHead` does, or when `signal` aborts.
   */
  async current(signal: AbortSignal): Promise<number> {
    if (this.#dueInMs() === 0) {
      await this.#ask(signal);
    }
    return this.#head;
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
      settled.abort(NEEDLESS);
      if (this.#waiters.size === 0) {
        this.#polling?.abort(NEEDLESS);
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
      // All watchers may have been woken a moment ago, and wait again: that is no reason to ask sooner.
      const dueInMs = this.#dueInMs();
      if (dueInMs > 0) {
        await this.#clock.sleep(dueInMs, signal);
        continue;
      }
      try {
        await this.#ask(signal);
      } catch (error) {
        if (!signal.aborted) {
          // Each watcher ends with the error; the next one to wait asks again.
          this.#fail(error);
        }
        await this.#clock.sleep(this.#pollMs, signal);
      }
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const head = await this.#questions.get('head', signal);
    this.#askedMs = this.#clock.nowMs();
    this.notify(head);
  }

  /** Until the next question. A clock that was set back delays it no longer than any other. */
  #dueInMs(): number {
    const ageMs = this.#clock.nowMs() - this.#askedMs;
    return ageMs >= 0 && ageMs < this.#pollMs ? this.#pollMs - ageMs : 0;
  }

  #fail(error: unknown): void {
    for (const waiter of this.#waiters) {
      waiter.reject(error);
    }
  }
}
