import type { ServiceError } from '../../proto/wire/errors.ts';
import type { LoadedSet, ServableId, ServableSpec } from '../rollout/servable.ts';
import type { Admission } from './admission.ts';
import { EnginePool, type EngineReport, type PoolSettings } from './engine-pool.ts';
import type { EngineJob } from './engine-process.ts';
import type { GenerationEvent } from './generation-event.ts';
import type { HeavyHold } from './heavy-engines.ts';
import { isHeavy } from './heavy-model.ts';
import type { LoadPriority } from './load-priority.ts';
import type { EngineAnswer, LoadFailure } from './protocol.ts';
import { startEngines } from './start-engines.ts';

export interface GenerationDeps {
  readonly onEvent: (event: GenerationEvent) => void;
  /** Of all generations of the server. */
  readonly admission: Admission;
  /**
   * Given where another generation serves meanwhile: the engines then start one after another, at a lower priority, so that
   * at most one core loads while requests run.
   */
  readonly beside?: LoadPriority | undefined;
  /** The engines of the heavy servables of the set, which this generation lets go of when it is closed. */
  readonly heavy?: ReadonlyMap<ServableId, HeavyHold>;
}

/**
 * A set of servables loaded in engine processes. Immutable: another set is another generation. The light ones are all loaded in
 * each of its own engines; each heavy one has engines of its own, which generations that have it in common share.
 */
export class Generation implements LoadedSet {
  readonly id: number;
  readonly servables: readonly ServableSpec[];
  /** Undefined where all servables are heavy. */
  readonly #light: EnginePool | undefined;
  readonly #heavy: ReadonlyMap<ServableId, HeavyHold>;

  private constructor(
    id: number,
    servables: readonly ServableSpec[],
    light: EnginePool | undefined,
    heavy: ReadonlyMap<ServableId, HeavyHold>,
  ) {
    this.id = id;
    this.servables = servables;
    this.#light = light;
    this.#heavy = heavy;
  }

  /**
   * Starts all engines and has each load and warm up every servable. With failures the engines are ended again and there is
   * no generation: what cannot load must not be served beside what can.
   * @throws ServiceError unavailable ENGINE_CRASHED when an engine ends before it is ready; failed-precondition LOAD_FAILED when
   * one is not ready in time; the signal's reason when aborted.
   */
  static async start(
    id: number,
    servables: readonly ServableSpec[],
    settings: PoolSettings,
    deps: GenerationDeps,
    signal: AbortSignal,
  ): Promise<Generation | readonly LoadFailure[]> {
    const { heavy = new Map<ServableId, HeavyHold>() } = deps;
    const light = servables.filter(({ manifest }) => !isHeavy(manifest));
    if (light.length === 0 && servables.length > 0) {
      return new Generation(id, servables, undefined, heavy);
    }
    const outcome = await startEngines(light, settings, deps.beside, signal);
    if ('failures' in outcome) {
      return outcome.failures;
    }
    const { admission, onEvent } = deps;
    const pool = new EnginePool(light, outcome.engines, settings, { admission, onEvent, generation: id });
    return new Generation(id, servables, pool, heavy);
  }

  has(id: ServableId): boolean {
    return this.servables.some((servable) => servable.id === id);
  }

  /**
   * Runs a job on a free engine that holds its models.
   * @throws ServiceError as EnginePool.predict does.
   */
  async predict(job: EngineJob): Promise<EngineAnswer> {
    const { segmentation, classification, postprocessing } = job.models;
    if (segmentation === undefined) {
      return poolOf(this.#light).predict(job);
    }
    // The heavy engine holds its own model alone, so that it stays when others come and go.
    const borrowed = this.servables.filter(({ id }) => id === classification || id === postprocessing);
    return poolOf(this.#heavy.get(segmentation)?.pool).predict({ ...job, borrowed });
  }

  /**
   * Why any image would be refused now, whichever models it is for: resource-exhausted QUEUE_FULL with a retry delay; undefined
   * where one may be taken. For callers whose image is still on its way.
   */
  fullness(): ServiceError | undefined {
    const answers = this.#pools().map((pool) => pool.fullness());
    return answers.includes(undefined) ? undefined : answers[0];
  }

  engines(): EngineReport[] {
    return this.#pools().flatMap((pool) => pool.engines());
  }

  /** No engine of the servable is left, and what comes in their place ends again and again: nothing is answered until one stays. */
  isFailing(id: ServableId): boolean {
    return (this.#heavy.get(id)?.pool ?? this.#light)?.isFailing === true;
  }

  /** Ends the engines that no other generation has and waits until the processes are gone. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([this.#light?.close(), ...[...this.#heavy.values()].map((hold) => hold.release())]);
  }

  #pools(): EnginePool[] {
    const heavy = [...this.#heavy.values()].map(({ pool }) => pool);
    return this.#light === undefined ? heavy : [this.#light, ...heavy];
  }
}

function poolOf(pool: EnginePool | undefined): EnginePool {
  if (pool === undefined) {
    throw new Error('a job for models that are not in this generation');
  }
  return pool;
}
