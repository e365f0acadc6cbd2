import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { EngineLoader } from '../../inference/engine/engine-loader.ts';
import { Generation } from '../../inference/engine/generation.ts';
import type { HeavySettings } from '../../inference/engine/heavy-engines.ts';
import type { ServableSpec } from '../../inference/rollout/servable.ts';
import { type Deferred, deferred } from './deferred.ts';
import { job, loaderSettings } from './scripted-generation.ts';

const never = new AbortController().signal;

export interface HeavyBench {
  readonly loader: EngineLoader;
  /** What happened to engines, in order. */
  readonly kinds: string[];
  /** Of loads for runs; none ends before the test says so. */
  readonly waits: { readonly ms: number; readonly over: Deferred<void> }[];
  load(...specs: ServableSpec[]): Promise<Generation>;
  /** Reasons of a load that failed, by label. */
  refusals(...specs: ServableSpec[]): Promise<Record<string, string>>;
}

/** Scripted engines, one for each heavy model, closed when the test ends. */
export function heavyBench(t: TestContext, heavy: Partial<HeavySettings> = {}): HeavyBench {
  const kinds: string[] = [];
  const waits: HeavyBench['waits'] = [];
  const pass = (ms: number): Promise<void> => {
    const over = deferred();
    waits.push({ ms, over });
    return over.promise;
  };
  const loader = new EngineLoader(
    { onEvent: ({ kind }) => void kinds.push(kind), pass },
    loaderSettings({ engines: 1 }, { memoryBytes: 1300e6, ...heavy }),
  );
  t.after(() => loader.close());
  return {
    loader,
    kinds,
    waits,
    load: async (...specs) => {
      const outcome = await loader.load(specs, never);
      assert.ok(outcome instanceof Generation, JSON.stringify(outcome));
      return outcome;
    },
    refusals: async (...specs) => {
      const outcome = await loader.load(specs, never);
      assert.ok(!(outcome instanceof Generation));
      return Object.fromEntries(outcome.map(({ id, error }) => [id, `${error.kind} ${error.reason}`]));
    },
  };
}

export const heavyJob = (script: string, { id }: ServableSpec, signal = never) => ({
  ...job(script, signal),
  models: { segmentation: id },
});

/** Of the engines that hold this heavy version. */
export const pidsOf = (generation: Generation, label: string): number[] =>
  generation.engines().flatMap(({ pid, heavyVersion }) => (heavyVersion === label ? [pid] : []));
