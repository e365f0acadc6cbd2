import type { RetryDeps } from '../../clients/retry.ts';
import { throwIfAborted } from '../../proto/wire/errors.ts';

/** Waits that take no time and are written down; chance always at its highest. */
export interface ManualRetry extends RetryDeps {
  /** Every wait asked for, in milliseconds. */
  readonly waits: number[];
}

export function manualRetry(): ManualRetry {
  const waits: number[] = [];
  let nowMs = 1_000_000;
  return {
    waits,
    async sleep(ms, signal) {
      if (signal !== undefined) {
        throwIfAborted(signal);
      }
      waits.push(ms);
      nowMs += ms;
    },
    random: () => 1,
    now: () => nowMs,
  };
}
