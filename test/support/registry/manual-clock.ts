import type { Clock } from '../../../registry/release/clock.ts';

interface Sleeper {
  readonly wakeMs: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test advances it. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();
  #arrived: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor(startMs = Date.UTC(2025, 0, 1)) {
    this.#nowMs = startMs;
  }

  get sleepers(): number {
    return this.#sleepers.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = {
        wakeMs: this.#nowMs + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener('abort', sleeper.wake, { once: true });
      if (signal.aborted) {
        sleeper.wake();
      }
      if (this.#arrived !== undefined && this.#sleepers.size >= this.#arrived.count) {
        this.#arrived.resolve();
        this.#arrived = undefined;
      }
    });
  }

  /** Resolves once at least `count` sleep. */
  untilSleeping(count: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#sleepers.size >= count) {
        resolve();
      } else {
        this.#arrived = { count, resolve };
      }
    });
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = [...this.#sleepers].filter(({ wakeMs }) => wakeMs <= this.#nowMs);
    for (const { wake } of due) {
      wake();
    }
  }
}
