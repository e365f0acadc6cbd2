import { setTimeout as sleepFor } from 'node:timers/promises';
import { abortError, isServiceError, type ServiceError } from '../proto/wire/errors.ts';

export interface RetrySettings {
  /** Tries in all, the first included. */
  readonly attempts: number;
  /** The wait before the second try is at most this, before the third twice this, and so on. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export const DEFAULT_RETRY: RetrySettings = { attempts: 5, firstDelayMs: 200, maxDelayMs: 5_000 };
/** The engine was ended at a limit, after a minute or with a machine's memory: the same image would most likely do that again. */
const COSTLY_REASONS: ReadonlySet<string> = new Set(['ENGINE_HUNG', 'ENGINE_OUT_OF_MEMORY']);
const COSTLY_ATTEMPTS = 2;

export const NO_RETRY: RetrySettings = { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 };

/** Time and chance, so that tests wait for nothing. */
export interface RetryDeps {
  /** Rejects with the signal's reason when aborted. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
  /** In [0, 1). */
  random(): number;
  /** Milliseconds since the epoch. */
  now(): number;
}

export const SYSTEM_RETRY_DEPS: RetryDeps = { sleep, random: Math.random, now: Date.now };

export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bounds all tries and the waits between them. */
  readonly timeoutMs?: number | undefined;
  readonly retry?: RetrySettings | undefined;
}

export interface Attempt {
  /** From 1. */
  readonly number: number;
  /** What is left of `timeoutMs`. */
  readonly timeoutMs: number | undefined;
}

/**
 * Calls `body` until it succeeds, fails for good, or no try is left. Only `unavailable` and `resource-exhausted` are tried again:
 * `aborted` needs the caller to read again first, and everything else would fail the same way. What ran an engine into its limits
 * is tried twice at most: once more in case others did it.
 * @throws what the last try threw; the signal's reason when aborted while waiting.
 */
export async function retry<R>(
  body: (attempt: Attempt) => Promise<R>,
  options: RetryOptions = {},
  deps: RetryDeps = SYSTEM_RETRY_DEPS,
): Promise<R> {
  const settings = options.retry ?? DEFAULT_RETRY;
  const endMs = options.timeoutMs === undefined ? undefined : deps.now() + options.timeoutMs;
  for (let number = 1; ; number += 1) {
    try {
      return await body({ number, timeoutMs: endMs === undefined ? undefined : Math.max(0, endMs - deps.now()) });
    } catch (error) {
      const delayMs = isRetryable(error) ? retryDelay(number, error, settings, deps) : undefined;
      if (
        delayMs === undefined ||
        number >= attemptsFor(error, settings.attempts) ||
        (endMs !== undefined && deps.now() + delayMs >= endMs)
      ) {
        throw error;
      }
      await deps.sleep(delayMs, options.signal);
    }
  }
}

/** How often one request is tried that fails with `error`, where `attempts` is the rule. */
export function attemptsFor(error: unknown, attempts: number): number {
  return isServiceError(error) && COSTLY_REASONS.has(error.reason) ? Math.min(attempts, COSTLY_ATTEMPTS) : attempts;
}

export function isRetryable(error: unknown): error is ServiceError {
  return isServiceError(error, 'unavailable') || isServiceError(error, 'resource-exhausted');
}

/**
 * How long to wait after failure number `failures`. What the server asked for is the least, with up to a tenth on top; else
 * "full jitter": anything up to the doubled delay, so that clients that failed together do not come back together.
 */
export function retryDelay(
  failures: number,
  error: ServiceError,
  settings: RetrySettings,
  { random }: Pick<RetryDeps, 'random'>,
): number {
  if (error.retryDelayMs !== undefined) {
    return error.retryDelayMs * (1 + random() / 10);
  }
  return random() * Math.min(settings.maxDelayMs, settings.firstDelayMs * 2 ** (failures - 1));
}

async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleepFor(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throw signal?.aborted === true ? abortError(signal) : error;
  }
}
