import { getPriority, setPriority } from 'node:os';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { ServableId, ServableSpec } from '../rollout/servable.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { type CancelledRun, cancelGraceMs } from './cancel-grace.ts';
import { EnginePool, type PoolSettings } from './engine-pool.ts';
import type { GenerationEvent } from './generation-event.ts';
import { boundWithin, type ImageBound, type Sides, takenBytes, weigh } from './heavy-model.ts';
import { type LoadFailure, toWireError } from './protocol.ts';
import { RunGate } from './run-gate.ts';
import { startEngines } from './start-engines.ts';

export interface HeavySettings extends PoolSettings, AdmissionLimits {
  /** What the engines of all heavy models may take together at their peaks. */
  readonly memoryBytes: number;
  /** Unset: cancelGraceMs. */
  readonly graceMs?: (run: CancelledRun) => number;
}

/** A generation's hold on the engines of one heavy model. */
export interface HeavyHold {
  readonly pool: EnginePool;
  /** Ends the engines once nobody holds them; resolves when they are gone. Idempotent. */
  release(): Promise<void>;
}

interface Counted {
  readonly label: string;
  readonly peakBytes: number;
}

interface Held extends Counted {
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
  readonly #held = new Map<ServableId, Held>();
  /** Let go of by all, but their processes are not gone yet. */
  readonly #leaving = new Set<Held>();
  /** Their engines are being started. */
  readonly #coming = new Set<Counted>();

  constructor(deps: { readonly onEvent: (event: GenerationEvent) => void }, settings: HeavySettings) {
    this.#settings = settings;
    this.#onEvent = deps.onEvent;
    this.#admission = new Admission(settings, FIRST_GUESS_MS);
    this.#gate = new RunGate(settings.engines);
  }

  /**
   * The engines of a model, started where there are none yet. Where its peak does not fit beside those that are there, nothing is
   * started: resource-exhausted INSUFFICIENT_MEMORY naming them.
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
    const refusal = this.#refusal(spec);
    if (refusal !== undefined) {
      return [{ id: spec.id, error: toWireError(refusal) }];
    }
    const coming = { label: spec.label, peakBytes: this.#peakOf(spec) };
    this.#coming.add(coming);
    try {
      // What large images took while there was room for them is needed now.
      await Promise.all([...this.#held.values()].map(({ pool }) => pool.shrink(signal)));
      return await this.#start(spec, generation, signal);
    } finally {
      this.#coming.delete(coming);
    }
  }

  async #start(spec: ServableSpec, generation: number, signal: AbortSignal): Promise<HeavyHold | readonly LoadFailure[]> {
    const settings = this.#settings;
    const started = performance.now();
    const outcome = await startEngines([spec], settings, { lower: nicer, restore: () => undefined }, signal);
    if ('failures' in outcome) {
      return outcome.failures;
    }
    const reloadMs = (performance.now() - started) / settings.engines;
    const { graceMs = cancelGraceMs } = settings;
    const allowedBytes = (): number => this.#allowedBytes(spec);
    const heavy = {
      gate: this.#gate,
      reloadMs,
      graceMs,
      onSpawned: nicer,
      bound: (): ImageBound | undefined => boundWithin(spec.manifest, allowedBytes()),
      memory: { allowedBytes, takenBytes: (image: Sides): number => takenBytes(spec.manifest, image) },
    };
    const deps = { generation, admission: this.#admission, onEvent: this.#onEvent, heavy };
    const pool = new EnginePool([spec], outcome.engines, settings, deps);
    const held = { label: spec.label, peakBytes: this.#peakOf(spec), pool, holds: 0 };
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
      await held.pool.close();
      this.#leaving.delete(held);
    }
  }

  /** Of all its engines. */
  #peakOf({ manifest }: ServableSpec): number {
    const { engines, warmUpPixels } = this.#settings;
    return weigh(manifest, warmUpPixels) * engines;
  }

  #refusal(spec: ServableSpec): ServiceError | undefined {
    const { label } = spec;
    const { memoryBytes } = this.#settings;
    const needed = this.#peakOf(spec);
    const resident = this.#resident();
    const taken = takenBy(resident);
    if (needed + taken <= memoryBytes) {
      return undefined;
    }
    const names = resident.map((held) => `${held.label} (${held.peakBytes})`).join(', ');
    const message = `${label} takes ${needed} bytes at its peak; of ${memoryBytes} for such models ${taken} are taken by ${names || 'none'}`;
    return new ServiceError('resource-exhausted', 'INSUFFICIENT_MEMORY', message);
  }

  #resident(): readonly Counted[] {
    return [...this.#held.values(), ...this.#leaving, ...this.#coming];
  }

  /**
   * An image may take what its model is counted for, and an equal part of what is counted for none: an engine keeps what an image
   * took, so no model may use what another one needs.
   */
  #allowedBytes(spec: ServableSpec): number {
    const { memoryBytes, memoryLimitBytes, engines } = this.#settings;
    const free = Math.max(0, memoryBytes - takenBy(this.#resident()));
    const share = (this.#peakOf(spec) + free / Math.max(1, this.#held.size + this.#coming.size)) / engines;
    return memoryLimitBytes > 0 ? Math.min(memoryLimitBytes, share) : share;
  }
}

function takenBy(resident: readonly Counted[]): number {
  return resident.reduce((sum, { peakBytes }) => sum + peakBytes, 0);
}

/** Only ever less of the processor, which every process may give to its children; one that is gone needs none. */
function nicer(pid: number): void {
  try {
    setPriority(pid, Math.min(NICEST, getPriority() + NICER_BY));
  } catch {
    // Gone already, or a platform without priorities: it competes then as any other.
  }
}
