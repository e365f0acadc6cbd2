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
  /** The largest image that a run may take which may take so much memory; undefined where that depends on no image. */
  readonly bound: (allowedBytes: number) => ImageBound | undefined;
  readonly memory: MemoryShare;
  /** Less of it may be held than before. */
  readonly onLessHeld: () => void;
}

const NO_IMAGE = { width: 0, height: 0 };

/** What sets the runs of a heavy model apart: they take turns with those of others, have a bound, and keep what they took. */
export class HeavyRuns {
  readonly kept: KeptMemory<EngineProcess>;
  readonly #deps: HeavyDeps;
  /** Of this model: heavy models differ in what a run takes. */
  readonly #runs = new RunAverage();
  #stopListening: (() => void) | undefined;

  /** `onTurn` is called whenever the gate may have opened. */
  constructor(deps: HeavyDeps, seats: readonly { readonly engine: EngineProcess | undefined }[], onTurn: () => void) {
    this.#deps = deps;
    this.kept = new KeptMemory(deps.memory, seats, deps.onLessHeld);
    this.#stopListening = deps.gate.listen(onTurn);
  }

  /** One more may begin. */
  get isTurn(): boolean {
    return this.#deps.gate.isOpen;
  }

  begins(engine: EngineProcess): Pick<RunLimits, 'cancelGraceMs' | 'bound'> {
    const { gate, graceMs, reloadMs } = this.#deps;
    gate.enter();
    const imageBound = this.#boundWithin(this.kept.begins(engine));
    if (imageBound === undefined) {
      // No engine tells of an image that makes no difference.
      this.kept.decoded(engine, NO_IMAGE);
    }
    return {
      cancelGraceMs: (elapsedMs) => graceMs({ elapsedMs, runMs: this.#runs.meanMs, reloadMs }),
      bound: imageBound,
    };
  }

  decoded(engine: EngineProcess, image: ImageSize): void {
    this.kept.decoded(engine, image);
  }

  /** A run ended well after this long. */
  measured(durationMs: number): void {
    this.#runs.add(durationMs);
  }

  /** It ended, well or not; its seat is free. */
  ended(engine: EngineProcess): void {
    // Before others hear that the turn is theirs, this pool's line among them.
    this.kept.ended(engine);
    this.#deps.gate.leave();
  }

  #boundWithin(allowedBytes: number): ImageBound | undefined {
    const { bound, memory } = this.#deps;
    const now = bound(allowedBytes);
    const later = bound(memory.shareBytes());
    return now !== undefined && later !== undefined && later.maxPixels > now.maxPixels
      ? { ...now, laterMaxPixels: later.maxPixels }
      : now;
  }

  /** Hears of no turn any more. Idempotent. */
  close(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }
}
