import { abortError } from '../../proto/wire/errors.ts';

/** Lets any number of waiters sleep until something changed. */
export class Notice {
  #waiters = new Set<() => void>();

  notify(): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) {
      wake();
    }
  }

  /** Resolves at the next `notify` or after `timeoutMs`. @throws the signal's reason when aborted. */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', settle);
        this.#waiters.delete(settle);
        if (signal.aborted) {
          reject(abortError(signal));
        } else {
          resolve();
        }
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(settle, timeoutMs);
      this.#waiters.add(settle);
      signal.addEventListener('abort', settle, { once: true });
      if (signal.aborted) {
        settle();
      }
    });
  }
}
