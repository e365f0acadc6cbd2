import { throwIfAborted } from '../../proto/wire/errors.ts';
import type { CancelledRun } from './cancel-grace.ts';
import type { EngineProcess, RunLimits } from './engine-process.ts';
import type { ImageBound } from './heavy-model.ts';
import { type ImageSize, KeptMemory, type MemoryShare } from './kept-memory.ts';
import { RunAverage } from './run-average.ts';
import type { RunGate } from './run-gate.ts';

export interface HeavyDeps {
  /** Of all heavy pools. */
  readonly gate: RunGate;
  /** What it took to start an engine and load the model. */
  readonly reloadMs: number;
  /** How long a cancelled run may go on; see cancelGraceMs. */
  readonly graceMs: (run: CancelledRun) => number;
  /** Called for each engine that takes the place of another. */
  readonly onSpawned: (pid: number) => void;
  /** The largest image that the memory has room for, asked before each run. */
  readonly bound: () => ImageBound | undefined;
  readonly memory: MemoryShare;
}

interface HeavySeat {
  readonly engine: EngineProcess | undefined;
  readonly isBusy: boolean;
}

/** What sets the runs of a heavy model apart: they take turns with those of others, have a bound, and keep what they took. */
export class HeavyRuns {
  readonly #deps: HeavyDeps;
  readonly #seats: readonly HeavySeat[];
  readonly #kept: KeptMemory<EngineProcess>;
  /** Of this model: heavy models differ in what a run takes. */
  readonly #runs = new RunAverage();
  #stopListening: (() => void) | undefined;
  #onRunEnded: (() => void)[] = [];

  /** `onTurn` is called whenever the gate may have opened. */
  constructor(deps: HeavyDeps, seats: readonly HeavySeat[], onTurn: () => void) {
    this.#deps = deps;
    this.#seats = seats;
    this.#kept = new KeptMemory(deps.memory);
    this.#stopListening = deps.gate.listen(onTurn);
  }

  /** One more may begin. */
  get isTurn(): boolean {
    return this.#deps.gate.isOpen;
  }

  begins(engine: EngineProcess): Pick<RunLimits, 'cancelGraceMs' | 'bound'> {
    const { gate, bound, graceMs, reloadMs } = this.#deps;
    gate.enter();
    this.#kept.begins(engine);
    return {
      cancelGraceMs: (elapsedMs) => graceMs({ elapsedMs, runMs: this.#runs.meanMs, reloadMs }),
      bound: bound(),
    };
  }

  /** A run ended well after this long. */
  measured(durationMs: number): void {
    this.#runs.add(durationMs);
  }

  /** It ended after an image of this size, undefined before any was decoded; its seat is free. */
  ended(engine: EngineProcess, image: ImageSize | undefined): void {
    this.#kept.ended(engine, image);
    // Before others hear that the turn is theirs, this pool's line among them.
    this.#renewIfLarge({ engine, isBusy: false });
    this.#tellRunEnded();
    this.#deps.gate.leave();
  }

  /**
   * Resolves once no engine keeps, or may still take, more than it is allowed now. One that does is ended as soon as it works on
   * nothing, and another takes its place. @throws the signal's reason when aborted, no sooner than the runs end.
   */
  async shrink(signal: AbortSignal): Promise<void> {
    const engines = this.#seats.flatMap(({ engine }) => engine ?? []);
    for (const seat of this.#seats) {
      while (seat.engine !== undefined && this.#kept.mayOutgrow(seat.engine)) {
        await new Promise<void>((resolve) => this.#onRunEnded.push(resolve));
      }
      this.#renewIfLarge(seat);
    }
    await Promise.all(engines.filter(({ isEnding }) => isEnding).map(({ exited }) => exited));
    throwIfAborted(signal);
  }

  /** Hears of no turn any more. Idempotent. */
  close(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  #renewIfLarge({ engine, isBusy }: HeavySeat): void {
    if (engine !== undefined && !isBusy && !engine.isEnding && this.#kept.isTooMuch(engine)) {
      engine.renew();
    }
  }

  #tellRunEnded(): void {
    const waiting = this.#onRunEnded;
    this.#onRunEnded = [];
    for (const resolve of waiting) {
      resolve();
    }
  }
}
