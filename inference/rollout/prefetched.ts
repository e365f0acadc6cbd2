import { isServedModel } from '../../proto/wire/served-set.ts';
import { type ServableId, servableId, type VersionKey } from './servable.ts';

/** Held ahead at once; a registry asks for no more. Those that would leave first are given up first. */
const MAX_PREFETCHED = 100;

/**
 * Versions to fetch and keep without loading them, each until its time is up. A registry that says nothing more of one, or that
 * forgot it, takes nothing away.
 */
export class Prefetched {
  readonly #models: readonly string[];
  readonly #held = new Map<ServableId, { readonly key: VersionKey; readonly untilMs: number }>();

  /** `models`: names or patterns of the models that this server keeps loaded; it holds no other's. */
  constructor(models: readonly string[]) {
    this.#models = models;
  }

  hold(key: VersionKey, untilMs: number): void {
    if (!isServedModel(this.#models, key.model)) {
      return;
    }
    const id = servableId(key);
    this.#held.set(id, { key, untilMs: Math.max(untilMs, this.#held.get(id)?.untilMs ?? 0) });
    if (this.#held.size > MAX_PREFETCHED) {
      const [first] = [...this.#held].toSorted(([, a], [, b]) => a.untilMs - b.untilMs);
      this.#held.delete(first?.[0] ?? id);
    }
  }

  /** Those whose time is not up. */
  keys(nowMs: number): VersionKey[] {
    for (const [id, { untilMs }] of this.#held) {
      if (untilMs <= nowMs) {
        this.#held.delete(id);
      }
    }
    return [...this.#held.values()].map(({ key }) => key);
  }

  /** When the next one's time is up; undefined when there is none. */
  get nextEndMs(): number | undefined {
    return this.#held.size === 0 ? undefined : Math.min(...[...this.#held.values()].map(({ untilMs }) => untilMs));
  }
}
