import type { ServiceError } from '../../proto/wire/errors.ts';
import { type RetryDeps, type RetrySettings, retryDelay } from '../retry.ts';

export interface PatienceSettings {
  /** How long trouble may last without any progress in between. */
  readonly retryForMs: number;
  /** Of which only the delays count. */
  readonly retry: RetrySettings;
}

/** What those who wait want to know. Called once a trouble. */
export interface PatienceListener {
  readonly onTrouble?: ((error: ServiceError, retryForMs: number) => void) | undefined;
  readonly onRecovery?: (() => void) | undefined;
}

/** Decides how long to wait for a server that is away, and when it was away for too long. */
export class Patience {
  readonly #settings: PatienceSettings;
  readonly #deps: Pick<RetryDeps, 'now' | 'random'>;
  readonly #listener: PatienceListener;
  /** Since when nothing went right. */
  #troubleSinceMs: number | undefined;
  #failureCount = 0;

  constructor(settings: PatienceSettings, deps: Pick<RetryDeps, 'now' | 'random'>, listener: PatienceListener) {
    this.#settings = settings;
    this.#deps = deps;
    this.#listener = listener;
  }

  /** The server answered for an image. */
  noteProgress(): void {
    if (this.#troubleSinceMs !== undefined) {
      this.#troubleSinceMs = undefined;
      this.#failureCount = 0;
      this.#listener.onRecovery?.();
    }
  }

  /** @returns how long to wait after this failure. @throws the failure once the trouble has lasted too long. */
  delayAfter(error: ServiceError): number {
    const { retryForMs, retry } = this.#settings;
    const nowMs = this.#deps.now();
    this.#failureCount += 1;
    const sinceMs = this.#troubleSinceMs ?? nowMs;
    const delayMs = retryDelay(this.#failureCount, error, retry, this.#deps);
    if (nowMs + delayMs - sinceMs >= retryForMs) {
      throw error;
    }
    if (this.#troubleSinceMs === undefined) {
      this.#troubleSinceMs = nowMs;
      this.#listener.onTrouble?.(error, retryForMs);
    }
    return delayMs;
  }
}
