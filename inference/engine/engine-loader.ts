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
  readonly #alive = new Set<Generation>();

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
      beside: this.#alive.size > 0 ? this.#loadPriority : undefined,
    };
    const outcome = await Generation.start(this.#lastId, specs, this.#settings, deps, signal);
    if (outcome instanceof Generation) {
      this.#alive.add(outcome);
      return outcome;
    }
    return outcome.map(toFailedLoad);
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
