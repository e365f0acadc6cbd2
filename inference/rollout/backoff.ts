import { setTimeout as sleep } from 'node:timers/promises';
import { abortError } from '../../proto/wire/errors.ts';

/** Waits longer after each failure; `reset` after a success. The first wait is nil. */
export interface Backoff {
  /** @throws the signal's reason when aborted. */
  wait(signal: AbortSignal): Promise<void>;
  reset(): void;
  /** Waits since the last success. */
  readonly failures: number;
}

export interface BackoffSettings {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** One failure is often chance: try again at once. From the second on, double up to half a minute. */
export const DEFAULT_BACKOFF: BackoffSettings = { firstMs: 250, maxMs: 30_000 };

/** The pause before try number `failures` + 1: none, first, 2 x first, 4 x first, ... up to max. */
export function pauseMs(failures: number, { firstMs, maxMs }: BackoffSettings): number {
  return failures <= 1 ? 0 : Math.min(maxMs, firstMs * 2 ** (failures - 2));
}

/** Fulfilled after `ms`, rejected when aborted. */
export type Pass = (ms: number, value: undefined, options: { readonly signal: AbortSignal }) => Promise<void>;

/** Jitter takes up to half off each pause, so that many clients of one broken server do not come back in step. */
export function createBackoff(settings = DEFAULT_BACKOFF, random = Math.random, pass: Pass = sleep): Backoff {
  let failures = 0;
  return {
    wait: async (signal) => {
      failures += 1;
      const pause = pauseMs(failures, settings) * (1 - random() / 2);
      if (pause > 0) {
        await pass(pause, undefined, { signal }).catch(() => undefined);
      }
      if (signal.aborted) {
        throw abortError(signal);
      }
    },
    reset: () => {
      failures = 0;
    },
    get failures() {
      return failures;
    },
  };
}
