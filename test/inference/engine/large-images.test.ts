import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { EngineLoader } from '../../../inference/engine/engine-loader.ts';
import { Generation } from '../../../inference/engine/generation.ts';
import { PIPED_FROM_BYTES } from '../../../inference/engine/image-pipe.ts';
import type { ServableId } from '../../../inference/rollout/servable.ts';
import { ENGINE_MODULE } from '../../support/processes.ts';
import { job, loaderSettings, scriptedGeneration } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';
import { tinyServable } from '../../support/tiny-classifier.ts';

const never = new AbortController().signal;

/** One real engine with a classifier; `at` says where the one flake of an image is. */
async function realEngine(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'large-images-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const servable = await tinyServable(folder, 'TINY:1');
  const loader = new EngineLoader(
    { onEvent: () => undefined },
    loaderSettings({ modulePath: ENGINE_MODULE, maxPixels: 4_000_000, engines: 1 }),
  );
  const generation = await loader.load([servable], never);
  assert.ok(generation instanceof Generation);
  t.after(() => loader.dispose(generation));
  const at = async (image: Uint8Array, signal = never, classification = servable.id): Promise<number[]> => {
    const { flakes } = await generation.predict({ ...job('', signal), image, models: { classification } });
    return flakes.map(({ box }) => box.x);
  };
  return { generation, at };
}

/** A picture of incompressible noise, hence larger than what a message carries, with a flake at `x`. */
async function picture(x: number, width: number): Promise<Uint8Array> {
  const rgb = new Uint8Array(width * 400 * 3);
  for (let index = 0; index < rgb.length; index += 1) {
    rgb[index] = 160 + (Math.imul(index + x, 0x9e3779b1) >>> 30);
  }
  for (let y = 20; y < 60; y += 1) {
    rgb.fill(120, (y * width + x) * 3, (y * width + x + 40) * 3);
  }
  // Uncompressed: its size is that of the pixels.
  return sharp(rgb, { raw: { width, height: 400, channels: 3 } })
    .tiff({ compression: 'none' })
    .toBuffer();
}

test('large and small images in turn: each request gets the flakes of its own', async (t) => {
  const { at } = await realEngine(t);
  const pictures = await Promise.all([100, 300, 50, 200].map((x, n) => picture(x, [500, 2000, 400, 1000][n] ?? 0)));
  const small = await sharp(await picture(10, 64))
    .webp({ lossless: true })
    .toBuffer();
  assert.ok(small.byteLength < PIPED_FROM_BYTES && pictures.every(({ byteLength }) => byteLength > PIPED_FROM_BYTES));
  for (let round = 0; round < 3; round += 1) {
    const found = await Promise.all([pictures[0], small, ...pictures.slice(1)].map((image) => at(image ?? small)));
    assert.deepEqual(found, [[100], [10], [300], [50], [200]]);
  }
});

test('a request that ends before its image has crossed leaves nothing for the next one', async (t) => {
  const { generation, at } = await realEngine(t);
  const [first, second] = [await picture(100, 2000), await picture(700, 1500)];
  const pids = generation.engines().map(({ pid }) => pid);
  for (let round = 0; round < 5; round += 1) {
    const leaving = new AbortController();
    const cancelled = at(first, leaving.signal);
    leaving.abort();
    await assert.rejects(cancelled, isError('cancelled', 'CANCELLED'));
    assert.deepEqual(await at(second), [700]);
    // Refused before the pipeline begins, and by the decoder.
    await assert.rejects(at(first, never, 'unknown@sha256' as ServableId), isError('internal', 'INTERNAL'));
    assert.deepEqual(await at(second), [700]);
    await assert.rejects(at(new Uint8Array(5_000_000)), isError('invalid-argument', 'UNDECODABLE_IMAGE'));
    assert.deepEqual(await at(first), [100]);
  }
  assert.deepEqual(
    generation.engines().map(({ pid }) => pid),
    pids,
    'the engine lived on',
  );
});

test('an engine that dies in the middle of a large image fails that request alone; the next ones get another engine', async (t) => {
  const { generation, events } = await scriptedGeneration(t, { engines: 1 });
  const classification = 'dies in the middle' as ServableId;
  const dying = generation.predict({ ...job(''), image: new Uint8Array(20_000_000), models: { classification } });
  const queued = generation.predict(job('done'));
  await assert.rejects(dying, isError('unavailable', 'ENGINE_CRASHED'));
  await queued;
  const large = Buffer.alloc(20_000_000);
  large.write('done');
  await generation.predict({ ...job(''), image: large });
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['engine-ended', 'engine-restarted'],
  );
});

test('an engine that shuts the pipe but lives on is replaced', async (t) => {
  const { generation, pids } = await scriptedGeneration(t, { engines: 1 });
  const [pid] = pids();
  const classification = 'shuts the pipe' as ServableId;
  const shut = generation.predict({ ...job(''), image: new Uint8Array(20_000_000), models: { classification } });
  await assert.rejects(shut, isError('unavailable', 'ENGINE_CRASHED'));
  assert.notEqual((await generation.predict(job('done'))).distinctColours, pid);
});
