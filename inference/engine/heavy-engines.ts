import { getPriority, setPriority } from 'node:os';
import { isServiceError } from '../../proto/wire/errors.ts';
import type { Pass } from '../rollout/backoff.ts';
import type { ServableId, ServableSpec } from '../rollout/servable.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { type CancelledRun, cancelGraceMs } from './cancel-grace.ts';
import { EnginePool, type PoolSettings } from './engine-pool.ts';
import type { GenerationEvent } from './generation-event.ts';
import { HeavyMemory, type HeavyMemorySettings, type Place } from './heavy-memory.ts';
import { boundWithin, takenBytes, weigh } from './heavy-model.ts';
import type { HeavyDeps } from './heavy-runs.ts';
import { type LoadFailure, toWireError } from './protocol.ts';
import { RunGate } from './run-gate.ts';
import { startEngines } from './start-engines.ts';

export interface HeavySettings extends PoolSettings, AdmissionLimits, HeavyMemorySettings {
  /** Unset: cancelGraceMs. */
  readonly graceMs?: (run: CancelledRun) => number;
}

/** A generation's hold on the engines of one heavy model. */
export interface HeavyHold {
  readonly pool: EnginePool;
  /** Ends the engines once nobody holds them; resolves when they are gone. Idempotent. */
  release(): Promise<void>;
}

export interface HeavyEnginesDeps {
  readonly onEvent: (event: GenerationEvent) => void;
  /** Of the time that a load waits for runs of other models. Unset: as it does. */
  readonly pass?: Pass;
}

interface Held {
  readonly place: Place;
  readonly pool: EnginePool;
  holds: number;
}

/** A run of a full-size model on two cores. */
const FIRST_GUESS_MS = 10_000;
/** A busy core is then shared three to one with a light engine: neither starves. */
const NICER_BY = 5;
const NICEST = 19;

/**
 * The engines of heavy models: each has its own, beside which nothing else is loaded but the classifiers that its jobs bring along.
 * They outlive generations: what does not change is not loaded again. At most `engines` runs are under way at a time, whatever the
 * models, and all of them leave the processor to light engines where these want it.
 */
export class HeavyEngines {
  readonly #settings: HeavySettings;
  readonly #onEvent: (event: GenerationEvent) => void;
  readonly #admission: Admission;
  readonly #gate: RunGate;
  readonly #memory: HeavyMemory;
  readonly #held = new Map<ServableId, Held>();
  /** Let go of by all, but their processes are not gone yet. */
  readonly #leaving = new Set<Held>();

  constructor({ onEvent, pass }: HeavyEnginesDeps, settings: HeavySettings) {
    this.#settings = settings;
    this.#onEvent = onEvent;
    this.#memory = new HeavyMemory(settings, pass);
    this.#admission = new Admission(settings, FIRST_GUESS_MS);
    this.#gate = new RunGate(settings.engines);
  }

  /**
   * The engines of a model, started where there are none yet. Where its peak does not fit beside those that are there, or what
   * their runs take, nothing is started: resource-exhausted INSUFFICIENT_MEMORY naming them.
   * @throws ServiceError as startEngines does.
   */
  async hold(spec: ServableSpec, generation: number, signal: AbortSignal): Promise<HeavyHold | readonly LoadFailure[]> {
    const known = this.#held.get(spec.id);
    if (known !== undefined) {
      return this.#holdOf(spec.id, known);
    }
    // A process that is told to end has given its memory back in a moment.
    for (const leaving of this.#leaving) {
      await leaving.pool.close();
    }
    const place = await this.#memory.take(spec.label, this.#peakOf(spec), signal);
    if (isServiceError(place)) {
      return [{ id: spec.id, error: toWireError(place) }];
    }
    let hold: HeavyHold | readonly LoadFailure[] = [];
    try {
      hold = await this.#start(spec, place, generation, signal);
    } finally {
      if (!('pool' in hold)) {
        this.#memory.free(place);
      }
    }
    return hold;
  }

  async #start(
    spec: ServableSpec,
    place: Place,
    generation: number,
    signal: AbortSignal,
  ): Promise<HeavyHold | readonly LoadFailure[]> {
    const settings = this.#settings;
    const started = performance.now();
    const outcome = await startEngines([spec], settings, { lower: nicer, restore: () => undefined }, signal);
    if ('failures' in outcome) {
      return outcome.failures;
    }
    const reloadMs = (performance.now() - started) / settings.engines;
    const heavy: HeavyDeps = {
      gate: this.#gate,
      reloadMs,
      graceMs: settings.graceMs ?? cancelGraceMs,
      onSpawned: nicer,
      bound: (allowedBytes) => boundWithin(spec.manifest, allowedBytes),
      memory: {
        peakBytes: place.peakBytes / settings.engines,
        shareBytes: () => this.#memory.shareBytes(place),
        allowedBytes: (heldBytes) => this.#memory.allowedBytes(place, heldBytes),
        takenBytes: (image) => takenBytes(spec.manifest, image),
      },
      onLessHeld: () => this.#memory.changed(),
    };
    const deps = { generation, admission: this.#admission, onEvent: this.#onEvent, heavy };
    const pool = new EnginePool([spec], outcome.engines, settings, deps);
    place.kept = pool.kept;
    const held = { place, pool, holds: 0 };
    this.#held.set(spec.id, held);
    return this.#holdOf(spec.id, held);
  }

  #holdOf(id: ServableId, held: Held): HeavyHold {
    held.holds += 1;
    let released: Promise<void> | undefined;
    return { pool: held.pool, release: () => (released ??= this.#release(id, held)) };
  }

  async #release(id: ServableId, held: Held): Promise<void> {
    held.holds -= 1;
    if (held.holds === 0) {
      this.#held.delete(id);
      this.#leaving.add(held);
      held.place.state = 'leaving';
      await held.pool.close();
      this.#leaving.delete(held);
      this.#memory.free(held.place);
    }
  }

  /** Of all its engines. */
  #peakOf({ manifest }: ServableSpec): number {
    const { engines, warmUpPixels } = this.#settings;
    return weigh(manifest, warmUpPixels) * engines;
  }
}

/** Only ever less of the processor, which every process may give to its children; one that is gone needs none. */
function nicer(pid: number): void {
  try {
    setPriority(pid, Math.min(NICEST, getPriority() + NICER_BY));
  } catch {
    // Gone already, or a platform without priorities: it competes then as any other.
  }
}
