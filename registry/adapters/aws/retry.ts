import { throwIfAborted } from '../../../proto/wire/errors.ts';
import type { Clock } from '../../release/clock.ts';

export interface RetrySettings {
  /** The longest first pause; each further one may be twice as long, up to `maxMs`. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** A pause that would end later than this after the first attempt is not begun. */
  readonly budgetMs: number;
}

/** Many callers that met one obstacle must not come back in step: each pause is drawn anew between nothing and its longest. */
export interface Pace {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly settings: RetrySettings;
}

/** A throttled table gives way within seconds; whoever has no deadline of his own is told after half a minute. */
export const DEFAULT_RETRY: RetrySettings = { firstMs: 25, maxMs: 2_000, budgetMs: 30_000 };

/** Somebody else wrote between our reading and our writing. */
export class LostRaceError extends Error {
  override readonly name = 'LostRaceError';
}

/**
 * Calls `attempt` until it succeeds, fails for good, or the time is up.
 * @throws the last failure; ServiceError when `signal` aborts.
 */
export async function retrying<T>(
  pace: Pace,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  isTransient: (error: unknown) => boolean,
): Promise<T> {
  const startMs = pace.clock.nowMs();
  for (let failures = 1; ; failures++) {
    throwIfAborted(signal);
    try {
      return await attempt();
    } catch (error) {
      throwIfAborted(signal);
      if (!isTransient(error) || !(await pauseAfter(pace, failures, startMs, signal))) {
        throw error;
      }
    }
  }
}

/** Waits before another attempt; false, at once, when the time since `startMs` does not allow one. */
export async function pauseAfter(pace: Pace, failures: number, startMs: number, signal: AbortSignal): Promise<boolean> {
  const { clock, random, settings } = pace;
  const pauseMs = random() * Math.min(settings.maxMs, settings.firstMs * 2 ** (failures - 1));
  if (clock.nowMs() - startMs + pauseMs > settings.budgetMs) {
    return false;
  }
  await clock.sleep(pauseMs, signal);
  return true;
}
