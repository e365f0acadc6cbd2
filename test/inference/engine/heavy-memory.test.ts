import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Generation } from '../../../inference/engine/generation.ts';
import type { ServableSpec } from '../../../inference/rollout/servable.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { heavyBench as bench, heavyJob, pidsOf } from '../../support/heavy-bench.ts';
import { isRunning } from '../../support/processes.ts';
import { scriptedHeavy } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';

const never = new AbortController().signal;

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

/** A run under way that a load of another model may have to wait for; `stop` ends it. */
async function occupied(generation: Generation, script: string, spec: ServableSpec) {
  const stop = new AbortController();
  const running = heavyJob(script, spec, stop.signal);
  const run = generation.predict(running);
  // The scripted engine has told of the image by then.
  await eventually(() => running.stages.length > 0);
  return {
    stop: async () => {
      stop.abort();
      await assert.rejects(run, isError('cancelled', 'CANCELLED'));
    },
  };
}

test('a run on an image for which there is too little room is waited for, and its engine is renewed', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load, waits } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const [pid = 0] = pidsOf(alone, 'S:1');
  const { stop } = await occupied(alone, 'wait with the largest image', one);
  const loading = load(one, other);
  await eventually(() => waits.length > 0);
  // Elsewhere as much is loaded meanwhile.
  await bench(t).load(other);
  assert.ok(isRunning(pid));
  await stop();
  const both = await loading;
  assert.ok(!isRunning(pid));
  assert.deepEqual((await both.predict(heavyJob('done', one))).flakes, []);
});

test('a load waits so long for a run, and no second time: it fails while there is no room, and no engine ends for it', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load, loader, refusals, waits } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const pids = pidsOf(alone, 'S:1');
  const { stop } = await occupied(alone, 'wait with the largest image', one);
  const refused = refusals(one, other);
  await eventually(() => waits.length > 0);
  waits[0]?.over.resolve();
  const noRoom = { [other.id]: 'resource-exhausted INSUFFICIENT_MEMORY' };
  assert.deepEqual(await refused, noRoom);
  assert.deepEqual(await refusals(one, other), noRoom);
  const [failure] = await loader.load([one, other], never).then((outcome) => (Array.isArray(outcome) ? outcome : []));
  assert.match(failure?.error.message ?? '', /T:1 takes .* of 2000000000 .* by S:1 \(2000000000\) until runs under way/);
  assert.deepEqual(
    waits.map(({ ms }) => ms),
    [30_000],
  );
  assert.deepEqual(pidsOf(alone, 'S:1'), pids);
  await stop();
  // What it might have had is its own again: only what is there now counts.
  const both = await load(one, other);
  assert.deepEqual((await both.predict(heavyJob('done', one))).flakes, []);
  // Another run is waited for again.
  await loader.dispose(both);
  const next = await occupied(alone, 'wait with the largest image', one);
  const loading = load(one, other);
  await eventually(() => waits.length > 1);
  await next.stop();
  await loading;
});

test('beside a run that is given up a load that cannot fit fails at once: no other run is waited for, no engine ends', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 400e6, 100)];
  const { load, refusals, waits } = bench(t, { memoryBytes: 4000e6, engines: 2 });
  const alone = await load(one);
  const pids = pidsOf(alone, 'S:1');
  const hanging = await occupied(alone, 'wait with the largest image', one);
  const noRoom = { [other.id]: 'resource-exhausted INSUFFICIENT_MEMORY' };
  const refused = refusals(one, other);
  await eventually(() => waits.length > 0);
  waits[0]?.over.resolve();
  assert.deepEqual(await refused, noRoom);
  const next = await occupied(alone, 'wait with the largest image', one);
  assert.deepEqual(await refusals(one, other), noRoom);
  await next.stop();
  assert.deepEqual(await refusals(one, other), noRoom);
  assert.equal(waits.length, 1);
  assert.deepEqual(pidsOf(alone, 'S:1'), pids);
  // It runs on an engine that kept more than its share would be beside the other model.
  await alone.predict(heavyJob('done', one));
  assert.deepEqual(pidsOf(alone, 'S:1'), pids);
  await hanging.stop();
  await load(one, other);
});

for (const [image, script] of [
  ['a usual image', 'wait'],
  ['a large image beside which there is room', 'wait with half of it'],
] as const) {
  test(`a run on ${image} keeps no other model from loading`, async (t) => {
    const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
    const { load, waits } = bench(t, { memoryBytes: 2000e6 });
    const alone = await load(one);
    const pids = pidsOf(alone, 'S:1');
    const { stop } = await occupied(alone, script, one);
    const both = await load(one, other);
    assert.equal(waits.length, 0);
    assert.deepEqual(pidsOf(both, 'S:1'), pids);
    await stop();
    // What it took is more than its share since the other one came.
    const isRenewed = script !== 'wait';
    const { distinctColours } = await both.predict(heavyJob('done', one));
    assert.equal(distinctColours !== pids[0], isRenewed);
  });
}

test('beside a run that takes more than its share others take what is left, and all together never more than there is', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 50e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load } = bench(t, { memoryBytes: 4000e6, engines: 2 });
  const alone = await load(one);
  const large = await occupied(alone, 'wait with the largest image', one);
  const both = await load(one, other);
  const { width } = await both.predict(heavyJob('bound', other));
  const framePixels = 1216 * 1920;
  const peaks = [200e6, 350e6].map((baseBytes) => baseBytes + 100 * framePixels);
  const taken = 2000e6 + (peaks[0] ?? 0) + (350e6 + 100 * width) + (peaks[1] ?? 0);
  assert.ok(taken <= 4000e6 && taken > 3999.9e6, `${taken}`);
  const { width: later } = await both.predict(heavyJob('later bound', other));
  const pids = pidsOf(both, 'S:1').join();
  await large.stop();
  // Its engine is replaced; what it held is there for others once it is gone.
  await eventually(() => pidsOf(both, 'S:1').join() !== pids);
  assert.ok(later > width);
  assert.equal((await both.predict(heavyJob('bound', other))).width, later);
  assert.equal((await both.predict(heavyJob('later bound', other))).width, 0);
});

test('a load that is given up waits for no run any longer', async (t) => {
  const [one, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
  const { load, loader, waits } = bench(t, { memoryBytes: 2000e6 });
  const alone = await load(one);
  const { stop } = await occupied(alone, 'wait with the largest image', one);
  const closing = new AbortController();
  const loading = loader.load([one, other], closing.signal);
  await eventually(() => waits.length > 0);
  closing.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down'));
  await assert.rejects(loading, isError('unavailable', 'SHUTTING_DOWN'));
  await stop();
  assert.ok((await alone.predict(heavyJob('bound', one))).width === (2000e6 - 250e6) / 100);
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
