import { throwIfAborted } from '../../proto/wire/errors.ts';

export type Stage = 'decode' | 'colours' | 'classify' | 'class-map' | 'segment' | 'vote' | 'geometry' | 'postprocess';

export interface StageTiming {
  readonly stage: Stage;
  readonly durationMs: number;
}

/** Tells of each stage, measures it, and goes no further once the signal is aborted. */
export class Stages {
  readonly #clock: () => number;
  readonly #hearEvents: () => Promise<void>;
  readonly #onStage: (stage: Stage) => void;
  readonly #signal: AbortSignal;
  readonly #timings: StageTiming[] = [];
  #current: { readonly stage: Stage; readonly since: number } | undefined;

  constructor(clock: () => number, hearEvents: () => Promise<void>, onStage: (stage: Stage) => void, signal: AbortSignal) {
    this.#clock = clock;
    this.#hearEvents = hearEvents;
    this.#onStage = onStage;
    this.#signal = signal;
  }

  async begin(stage: Stage): Promise<void> {
    this.end();
    await this.pause();
    this.#onStage(stage);
    this.#current = { stage, since: this.#clock() };
  }

  /** Within a stage. @throws the signal's reason once it is aborted. */
  async pause(): Promise<void> {
    await this.#hearEvents();
    throwIfAborted(this.#signal);
  }

  end(): readonly StageTiming[] {
    if (this.#current !== undefined) {
      this.#timings.push({ stage: this.#current.stage, durationMs: this.#clock() - this.#current.since });
      this.#current = undefined;
    }
    return this.#timings;
  }
}
