import { type Backoff, createBackoff, DEFAULT_BACKOFF, pauseMs } from '../rollout/backoff.ts';
import type { GenerationEvent } from './generation-event.ts';

/** What a seat needs of its engine. */
export interface SeatedEngine {
  readonly pid: number;
  /** Resolves with what ended it. */
  readonly exited: Promise<string>;
  /** It was ended by choice, so that another takes its place. */
  readonly isReplaced: boolean;
}

export interface SeatDeps<E extends SeatedEngine> {
  readonly generation: number;
  /** A ready engine. @throws ServiceError when it could not be started, the signal's reason when aborted. */
  readonly startAnother: (signal: AbortSignal) => Promise<E>;
  readonly onEvent: (event: GenerationEvent) => void;
  /** A new engine sits here. */
  readonly onRefilled: () => void;
  /** Unset: the default pauses. */
  readonly backoff?: Backoff;
}

/**
 * Holds one engine, and puts another in its place whenever it ends, until `signal` is aborted: at once after an end by choice, and
 * after crashes without a good run between them later and later.
 */
export class Seat<E extends SeatedEngine> {
  isBusy = false;
  /** Fulfilled once the signal is aborted and no process of this seat is left. Never rejects. */
  readonly supervised: Promise<void>;
  readonly #deps: SeatDeps<E>;
  readonly #signal: AbortSignal;
  readonly #backoff: Backoff;
  #engine: E | undefined;
  #restarts = 0;
  #isFailing = false;

  constructor(engine: E, deps: SeatDeps<E>, signal: AbortSignal) {
    this.#engine = engine;
    this.#deps = deps;
    this.#backoff = deps.backoff ?? createBackoff();
    this.#signal = signal;
    this.supervised = this.#supervise();
  }

  /** Undefined while a new one is being started. */
  get engine(): E | undefined {
    return this.#engine;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** It is empty, and what sat here ended again and again. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** The engine did what it is for: what ends it next is not a crash again and again. */
  proved(): void {
    this.#backoff.reset();
  }

  async #supervise(): Promise<void> {
    while (this.#engine !== undefined) {
      const engine = this.#engine;
      const { pid } = engine;
      const how = await engine.exited;
      this.#engine = undefined;
      if (!this.#signal.aborted) {
        this.#deps.onEvent({ kind: 'engine-ended', generation: this.#deps.generation, pid, how });
        await this.#refill(engine.isReplaced);
      }
    }
  }

  async #refill(isReplaced: boolean): Promise<void> {
    const { generation, startAnother, onEvent, onRefilled } = this.#deps;
    let failures = 0;
    let isCrash = !isReplaced;
    while (!this.#signal.aborted) {
      try {
        if (isCrash) {
          await this.#pause();
        }
        // What comes in its place has no such excuse.
        isCrash = true;
        const engine = await startAnother(this.#signal);
        this.#engine = engine;
        this.#restarts += 1;
        this.#isFailing = false;
        onEvent({ kind: 'engine-restarted', generation, pid: engine.pid });
        onRefilled();
        return;
      } catch (error) {
        if (!this.#signal.aborted) {
          failures += 1;
          onEvent({ kind: 'engine-restart-failed', generation, error, failures });
        }
      }
    }
  }

  /** Crashes without a good run between them are told of, with the pause that they cost. */
  async #pause(): Promise<void> {
    const crashes = this.#backoff.failures + 1;
    const upToMs = pauseMs(crashes, DEFAULT_BACKOFF);
    if (upToMs > 0) {
      this.#isFailing = true;
      this.#deps.onEvent({ kind: 'engine-backs-off', generation: this.#deps.generation, crashes, upToMs });
    }
    await this.#backoff.wait(this.#signal);
  }
}
