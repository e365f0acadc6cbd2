import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Admission, type AdmissionLimits } from '../../inference/engine/admission.ts';
import type { EngineLoaderSettings } from '../../inference/engine/engine-loader.ts';
import type { PoolSettings } from '../../inference/engine/engine-pool.ts';
import type { EngineJob } from '../../inference/engine/engine-process.ts';
import { Generation } from '../../inference/engine/generation.ts';
import type { GenerationEvent } from '../../inference/engine/generation-event.ts';
import type { HeavySettings } from '../../inference/engine/heavy-engines.ts';
import type { Stage } from '../../inference/predict/stages.ts';
import { DEFAULT_THRESHOLDS } from '../../inference/predict/thresholds.ts';
import type { ServableId, ServableSpec } from '../../inference/rollout/servable.ts';
import { makeVersion } from './made-version.ts';
import { SCRIPTED_ENGINE } from './processes.ts';

/** A servable of the scripted engine: its label says what it does while it loads. */
export function scriptedServable(label: string): ServableSpec {
  return { id: `${label}@sha256` as ServableId, label, manifest: makeVersion('M', 1).manifest, paths: {} };
}

/** A heavy servable of the scripted engine that takes so many bytes at its peak, whatever the image. */
export function scriptedHeavy(label: string, baseBytes: number, bytesPerPixel = 0): ServableSpec {
  const { manifest } = makeVersion('S', 1, label, 'mask2former-segmenter.v1');
  return { ...scriptedServable(label), manifest: { ...manifest, memory: { baseBytes, bytesPerPixel } } };
}

/** The id of the servable that a scripted generation holds. */
export const GOOD = 'good@sha256' as ServableId;

type Settings = PoolSettings & AdmissionLimits;

/** No limit that a test does not set itself comes before the file's own: on a busy machine an engine may get no turn for a minute. */
export const settingsOf = (settings: Partial<Settings> = {}): Settings => ({
  engines: 2,
  maxWaiting: 4,
  loadTimeoutMs: 600_000,
  memoryLimitBytes: 0,
  maxWaitingBytes: 1_000_000_000,
  runLimitMs: 600_000,
  cancelGraceMs: () => 600_000,
  maxPixels: 1000,
  threads: 1,
  modulePath: SCRIPTED_ENGINE,
  ...settings,
});

/** The same for engines of either kind. */
export function loaderSettings(settings: Partial<Settings> = {}, heavy: Partial<HeavySettings> = {}): EngineLoaderSettings {
  const light = settingsOf(settings);
  return { light, heavy: { ...light, engines: 1, memoryBytes: 1e12, graceMs: () => 600_000, ...heavy } };
}

export interface ScriptedGeneration {
  readonly generation: Generation;
  readonly events: GenerationEvent[];
  readonly admission: Admission;
  pids(): number[];
}

/** A generation of fake engines, closed when the test ends. */
export async function scriptedGeneration(t: TestContext, settings: Partial<Settings> = {}): Promise<ScriptedGeneration> {
  const events: GenerationEvent[] = [];
  const admission = new Admission(settingsOf(settings));
  const deps = { onEvent: (event: GenerationEvent) => events.push(event), admission };
  const generation = await Generation.start(
    7,
    [scriptedServable('good')],
    settingsOf(settings),
    deps,
    new AbortController().signal,
  );
  assert.ok(generation instanceof Generation);
  t.after(() => generation.close());
  return { generation, events, admission, pids: () => generation.engines().map(({ pid }) => pid) };
}

/** A job for a scripted engine: `script` says what it does. `stages` fills as it goes on. */
export function job(script: string, signal = new AbortController().signal): EngineJob & { readonly stages: Stage[] } {
  const stages: Stage[] = [];
  return {
    image: Buffer.from(script),
    models: { classification: GOOD },
    settings: { thresholds: DEFAULT_THRESHOLDS, includeReference: false, classNames: new Map() },
    onStage: (stage) => stages.push(stage),
    signal,
    stages,
  };
}
