import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { EngineLoader } from '../../../inference/engine/engine-loader.ts';
import { EngineProcess } from '../../../inference/engine/engine-process.ts';
import { Generation } from '../../../inference/engine/generation.ts';
import { peakBytes } from '../../../inference/engine/heavy-model.ts';
import { m2fServable } from '../../support/m2f/m2f-servable.ts';
import { randomM2f, TINY } from '../../support/m2f/random-model.ts';
import { job, loaderSettings } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';

const ENGINE_MODULE = fileURLToPath(new URL('../../../inference/engine/process.js', import.meta.url));

const line = (width: number): Promise<Buffer> =>
  sharp({ create: { width, height: 1, channels: 3, background: 'grey' } })
    .png()
    .toBuffer();

test('an engine tells of the size of an image that it was given a bound for, before it works on it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'image-bound-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const model = await m2fServable(folder, 'S:1', randomM2f(TINY));
  const limits = { threads: 1, maxPixels: 50_000_000, warmUpPixels: 64 * 64, loadTimeoutMs: 600_000, memoryLimitBytes: 0 };
  const { engine } = await EngineProcess.start(ENGINE_MODULE, [model], limits, new AbortController().signal);
  t.after(() => engine.kill());
  const told: string[] = [];
  const request = {
    ...job(''),
    models: { segmentation: model.id },
    onStage: (stage: string) => told.push(stage),
    onDecoded: ({ width, height }: { readonly width: number; readonly height: number }) => told.push(`${width} x ${height}`),
  };
  const bound = { maxPixels: 50_000_000, sideMultiple: 32 };
  await engine.run({ ...request, image: await line(300) }, { runLimitMs: 600_000, bound });
  assert.deepEqual(told.slice(0, 3), ['decode', '300 x 1', 'segment']);
});

test('an engine refuses an image that its padding makes larger than the memory allows', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'image-bound-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const model = await m2fServable(folder, 'S:1', randomM2f(TINY));
  const memoryBytes = peakBytes(model.manifest);
  const heavy = { memoryBytes, modulePath: ENGINE_MODULE, maxPixels: 50_000_000, warmUpPixels: 64 * 64 };
  const loader = new EngineLoader({ onEvent: () => undefined }, loaderSettings({}, heavy));
  t.after(() => loader.close());
  const generation = await loader.load([model], new AbortController().signal);
  assert.ok(generation instanceof Generation);
  const models = { segmentation: model.id };
  assert.equal((await generation.predict({ ...job(''), image: await line(300), models })).width, 300);
  const refused = generation.predict({ ...job(''), image: await line(73_000), models });
  await assert.rejects(refused, isError('invalid-argument', 'IMAGE_TOO_LARGE'));
});
