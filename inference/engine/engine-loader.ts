import type { FailedLoad, Loader, ServableSpec } from '../rollout/servable.ts';
import { Generation, type GenerationDeps, type GenerationSettings } from './generation.ts';
import { fromWireError, type LoadFailure } from './protocol.ts';

/** Fulfils the rollout's Loader with engine processes: one generation a set. */
export class EngineLoader implements Loader<Generation> {
  readonly #settings: GenerationSettings;
  readonly #deps: GenerationDeps;
  #lastId = 0;

  constructor(deps: GenerationDeps, settings: GenerationSettings) {
    this.#deps = deps;
    this.#settings = settings;
  }

  async load(specs: readonly ServableSpec[], signal: AbortSignal): Promise<Generation | readonly FailedLoad[]> {
    this.#lastId += 1;
    const outcome = await Generation.start(this.#lastId, specs, this.#settings, this.#deps, signal);
    return outcome instanceof Generation ? outcome : outcome.map(toFailedLoad);
  }

  dispose(generation: Generation): Promise<void> {
    return generation.close();
  }
}

function toFailedLoad({ id, error, corrupt }: LoadFailure): FailedLoad {
  return { id, error: fromWireError(error), ...(corrupt === undefined ? {} : { corrupt }) };
}
