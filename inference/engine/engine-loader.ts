import type { FailedLoad, Loader, ServableSpec } from '../rollout/servable.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { Generation, type GenerationSettings } from './generation.ts';
import type { GenerationEvent, LoadPriorityRefused } from './generation-event.ts';
import { LoadPriority, type PrioritySystem } from './load-priority.ts';
import { fromWireError, type LoadFailure } from './protocol.ts';

export interface EngineLoaderDeps {
  readonly onEvent: (event: GenerationEvent | LoadPriorityRefused) => void;
  /** Unset: the operating system. */
  readonly prioritySystem?: PrioritySystem;
}

/** Fulfils the rollout's Loader with engine processes: one generation a set. */
export class EngineLoader implements Loader<Generation> {
  readonly #settings: GenerationSettings;
  readonly #deps: EngineLoaderDeps;
  readonly #admission: Admission;
  readonly #loadPriority: LoadPriority;
  #lastId = 0;
  #alive = 0;

  constructor(deps: EngineLoaderDeps, settings: GenerationSettings & AdmissionLimits) {
    this.#deps = deps;
    this.#settings = settings;
    this.#admission = new Admission(settings);
    this.#loadPriority = new LoadPriority((error) => deps.onEvent({ kind: 'load-priority-refused', error }), deps.prioritySystem);
  }

  async load(specs: readonly ServableSpec[], signal: AbortSignal): Promise<Generation | readonly FailedLoad[]> {
    this.#lastId += 1;
    const deps = {
      onEvent: this.#deps.onEvent,
      admission: this.#admission,
      // With nothing to disturb, the first one is ready the sooner the better.
      beside: this.#alive > 0 ? this.#loadPriority : undefined,
    };
    const outcome = await Generation.start(this.#lastId, specs, this.#settings, deps, signal);
    if (outcome instanceof Generation) {
      this.#alive += 1;
      return outcome;
    }
    return outcome.map(toFailedLoad);
  }

  async dispose(generation: Generation): Promise<void> {
    await generation.close();
    this.#alive -= 1;
  }
}

function toFailedLoad({ id, error, corrupt }: LoadFailure): FailedLoad {
  return { id, error: fromWireError(error), ...(corrupt === undefined ? {} : { corrupt }) };
}
