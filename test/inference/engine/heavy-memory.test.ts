import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Generation } from '../../../inference/engine/generation.ts';
import type { ServableSpec } from '../../../inference/rollout/servable.ts';
import { eventually } from '../../support/eventually.ts';
import { heavyBench as bench, heavyJob, pidsOf } from '../../support/heavy-bench.ts';
import { isRunning } from '../../support/processes.ts';
import { scriptedHeavy } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';

test('what is counted for no model is shared by all: their largest images fit together, as long as they are loaded', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 200)];
  const { load, loader } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const boundOf = async (generation: Generation, spec: ServableSpec): Promise<number> => {
    const { width, height } = await generation.predict(heavyJob('bound', spec));
    assert.equal(height, 32);
    return width;
  };
  assert.equal(await boundOf(alone, one), (2000e6 - 250e6) / 100);
  const both = await load(one, other);
  await loader.dispose(alone);
  const [ofOne, ofOther] = [await boundOf(both, one), await boundOf(both, other)];
  const together = 250e6 + ofOne * 100 + 350e6 + ofOther * 200;
  assert.ok(together <= 2000e6 && together > 1999.9e6, `${together}`);
  assert.ok(ofOne >= 1216 * 1920 && ofOther >= 1216 * 1920);
});

test('what a large image took while there was room is given back before another model is loaded', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load, loader } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const [pid = 0] = pidsOf(alone, 'S:1');
  await alone.predict(heavyJob('bound', one));
  const both = await load(one, other);
  await loader.dispose(alone);
  assert.ok(!isRunning(pid), 'it would keep what the other one is counted for');
  assert.notEqual((await both.predict(heavyJob('done', one))).distinctColours, pid);
});

test('an engine that took no more than its share stays when another model is loaded', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load, loader } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const [pid = 0] = pidsOf(alone, 'S:1');
  await alone.predict(heavyJob('done', one));
  await assert.rejects(alone.predict(heavyJob('refuse', one)), isError('invalid-argument', 'IMAGE_TOO_LARGE'));
  const both = await load(one, other);
  await loader.dispose(alone);
  assert.equal((await both.predict(heavyJob('done', one))).distinctColours, pid);
});

test('a run that began when there was more for it is waited for, and its engine is renewed', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const [pid = 0] = pidsOf(alone, 'S:1');
  const stop = new AbortController();
  const running = heavyJob('wait with the largest image', one, stop.signal);
  const run = alone.predict(running);
  await eventually(() => running.stages.length > 0);
  let isLoaded = false;
  const loading = load(one, other).finally(() => {
    isLoaded = true;
  });
  // Elsewhere as much is loaded meanwhile, twice.
  for (const _ of [1, 2]) {
    await bench(t).load(other);
  }
  assert.ok(!isLoaded && isRunning(pid));
  stop.abort();
  await assert.rejects(run, isError('cancelled', 'CANCELLED'));
  const both = await loading;
  assert.ok(!isRunning(pid));
  assert.deepEqual((await both.predict(heavyJob('done', one))).flakes, []);
});

test('a cancelled run counts for its own image: no engine is lost for what it might have been', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load, loader } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const [pid = 0] = pidsOf(alone, 'S:1');
  const stop = new AbortController();
  const running = heavyJob('wait', one, stop.signal);
  const run = alone.predict(running);
  await eventually(() => running.stages.length > 0);
  stop.abort();
  await assert.rejects(run, isError('cancelled', 'CANCELLED'));
  const both = await load(one, other);
  await loader.dispose(alone);
  assert.equal((await both.predict(heavyJob('done', one))).distinctColours, pid);
});

test('an image is bound by an engine that may hold less than its share', async (t) => {
  const model = scriptedHeavy('S:1', 100e6, 100);
  const generation = await bench(t, { memoryBytes: 2000e6, memoryLimitBytes: 1000e6 }).load(model);
  assert.equal((await generation.predict(heavyJob('bound', model))).width, (1000e6 - 250e6) / 100);
});

test('a model is counted for the picture that it is warmed up with', async (t) => {
  const model = scriptedHeavy('S:1', 100e6, 100);
  const { refusals } = bench(t, { memoryBytes: 600e6, warmUpPixels: 4_000_000 });
  assert.deepEqual(await refusals(model), { [model.id]: 'resource-exhausted INSUFFICIENT_MEMORY' });
  await bench(t, { memoryBytes: 660e6, warmUpPixels: 4_000_000 }).load(model);
});
