import type { Pass } from '../rollout/backoff.ts';
import type { FailedLoad, Loader, ServableId, ServableSpec } from '../rollout/servable.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import type { PoolSettings } from './engine-pool.ts';
import { Generation } from './generation.ts';
import type { GenerationEvent, LoadPriorityRefused } from './generation-event.ts';
import { HeavyEngines, type HeavyHold, type HeavySettings } from './heavy-engines.ts';
import { isHeavy } from './heavy-model.ts';
import { LoadPriority, type PrioritySystem } from './load-priority.ts';
import { fromWireError, type LoadFailure } from './protocol.ts';

export interface EngineLoaderDeps {
  readonly onEvent: (event: GenerationEvent | LoadPriorityRefused) => void;
  /** Unset: the operating system. */
  readonly prioritySystem?: PrioritySystem;
  /** See HeavyEnginesDeps. */
  readonly pass?: Pass;
}

export interface EngineLoaderSettings {
  /** Engines that hold all light servables. */
  readonly light: PoolSettings & AdmissionLimits;
  /** Engines of one heavy servable each. */
  readonly heavy: HeavySettings;
}

/** Fulfils the rollout's Loader with engine processes: one generation a set. */
export class EngineLoader implements Loader<Generation> {
  readonly #settings: EngineLoaderSettings;
  readonly #deps: EngineLoaderDeps;
  readonly #admission: Admission;
  readonly #heavy: HeavyEngines;
  readonly #loadPriority: LoadPriority;
  #lastId = 0;
  readonly #alive = new Set<Generation>();

  constructor(deps: EngineLoaderDeps, settings: EngineLoaderSettings) {
    this.#deps = deps;
    this.#settings = settings;
    this.#admission = new Admission(settings.light);
    this.#heavy = new HeavyEngines(deps, settings.heavy);
    this.#loadPriority = new LoadPriority((error) => deps.onEvent({ kind: 'load-priority-refused', error }), deps.prioritySystem);
  }

  async load(specs: readonly ServableSpec[], signal: AbortSignal): Promise<Generation | readonly FailedLoad[]> {
    this.#lastId += 1;
    const holds = new Map<ServableId, HeavyHold>();
    let outcome: Generation | readonly LoadFailure[] = [];
    try {
      outcome = await this.#load(specs, holds, signal);
    } finally {
      if (!(outcome instanceof Generation)) {
        await Promise.all([...holds.values()].map((hold) => hold.release()));
      }
    }
    if (outcome instanceof Generation) {
      this.#alive.add(outcome);
      return outcome;
    }
    return outcome.map(toFailedLoad);
  }

  /** Fills `holds` with what is to be released when this fails. */
  async #load(
    specs: readonly ServableSpec[],
    holds: Map<ServableId, HeavyHold>,
    signal: AbortSignal,
  ): Promise<Generation | readonly LoadFailure[]> {
    const failures: LoadFailure[] = [];
    for (const spec of specs.filter(({ manifest }) => isHeavy(manifest))) {
      const hold = await this.#heavy.hold(spec, this.#lastId, signal);
      if ('pool' in hold) {
        holds.set(spec.id, hold);
      } else {
        failures.push(...hold);
      }
    }
    if (failures.length > 0) {
      return failures;
    }
    const deps = {
      onEvent: this.#deps.onEvent,
      admission: this.#admission,
      // With nothing to disturb, the first one is ready the sooner the better.
      beside: this.#alive.size > 0 ? this.#loadPriority : undefined,
      heavy: holds,
    };
    return Generation.start(this.#lastId, specs, this.#settings.light, deps, signal);
  }

  async dispose(generation: Generation): Promise<void> {
    await generation.close();
    this.#alive.delete(generation);
  }

  /** Ends every engine at once, whatever it works on: for a server that answers nobody any more. */
  async close(): Promise<void> {
    await Promise.all([...this.#alive].map((generation) => generation.close()));
  }
}

function toFailedLoad({ id, error, corrupt }: LoadFailure): FailedLoad {
  return { id, error: fromWireError(error), ...(corrupt === undefined ? {} : { corrupt }) };
}
