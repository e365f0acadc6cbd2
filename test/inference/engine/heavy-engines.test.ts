import assert from 'node:assert/strict';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import type { CancelledRun } from '../../../inference/engine/cancel-grace.ts';
import { Generation } from '../../../inference/engine/generation.ts';
import { checkSupported } from '../../../inference/engine/supported.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { heavyBench as bench, heavyJob, pidsOf } from '../../support/heavy-bench.ts';
import { isRunning } from '../../support/processes.ts';
import { job, scriptedHeavy, scriptedServable } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';

const never = new AbortController().signal;
const light = scriptedServable('good');
const [first, second] = [scriptedHeavy('S:1', 400e6), scriptedHeavy('T:1', 500e6)];

/** What it gives, and how long it took, seen from outside. */
async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  return [await work(), performance.now() - began];
}

test('a heavy model has an engine of its own; light jobs go to the light ones, whatever it does', async (t) => {
  const generation = await bench(t).load(light, first);
  const [heavyPid = 0] = pidsOf(generation, 'S:1');
  const stop = new AbortController();
  const running = heavyJob('wait', first, stop.signal);
  const heavyRun = generation.predict(running);
  await eventually(() => running.stages.length > 0);
  assert.notEqual((await generation.predict(job('done'))).distinctColours, heavyPid);
  stop.abort();
  await assert.rejects(heavyRun, isError('cancelled', 'CANCELLED'));
  assert.equal((await generation.predict(heavyJob('done', first))).distinctColours, heavyPid);
});

test('what stays in the set is not loaded again: generations share its engine, and the last one ends it', async (t) => {
  const { load, loader } = bench(t);
  const before = await load(light, first);
  const pids = pidsOf(before, 'S:1');
  const after = await load(light, scriptedServable('other'), first);
  assert.deepEqual(pidsOf(after, 'S:1'), pids);
  await loader.dispose(before);
  assert.ok(pids.every(isRunning));
  assert.equal((await after.predict(heavyJob('done', first))).distinctColours, pids[0]);
  await loader.dispose(after);
  await loader.dispose(after);
  assert.ok(!pids.some(isRunning));
});

test('a set of heavy models alone has no light engines', async (t) => {
  const generation = await bench(t).load(first);
  assert.deepEqual(
    generation.engines().map(({ heavyVersion }) => heavyVersion),
    ['S:1'],
  );
  await assert.rejects(generation.predict(job('done')));
});

test('what does not fit beside the others is refused before an engine starts, and names them', async (t) => {
  const { load, refusals, loader } = bench(t, { memoryBytes: 1100e6 });
  const generation = await load(first);
  assert.deepEqual(await refusals(first, second), { [second.id]: 'resource-exhausted INSUFFICIENT_MEMORY' });
  const outcome = await loader.load([first, second], never);
  assert.ok(!(outcome instanceof Generation));
  assert.match(outcome[0]?.error.message ?? '', /T:1 takes 650000000 .* 1100000000 .* 550000000 .* S:1 \(550000000\)/);
  assert.deepEqual(await generation.predict(heavyJob('done', first)).then(({ flakes }) => flakes), []);
  await loader.dispose(generation);
  await load(second);
});

test('a heavy model that fails to load fails alone, and what was started for it ends', async (t) => {
  const { load, refusals } = bench(t);
  const generation = await load(light, first);
  const bad = scriptedHeavy('fails', 100e6);
  assert.deepEqual(await refusals(light, first, bad), { [bad.id]: 'failed-precondition LOAD_FAILED' });
  assert.equal((await generation.predict(heavyJob('done', first))).width, 1);
});

test('heavy runs take turns, whatever their models; as many as there are engines of each are under way', async (t) => {
  const generation = await bench(t).load(first, second);
  const stop = new AbortController();
  const running = heavyJob('wait', first, stop.signal);
  const waiting = heavyJob('done', second);
  const [one, other] = [generation.predict(running), generation.predict(waiting)];
  await eventually(() => running.stages.length > 0);
  await generation.predict(heavyJob('done', second, AbortSignal.abort())).catch(() => undefined);
  assert.equal(waiting.stages.length, 0);
  stop.abort();
  await assert.rejects(one, isError('cancelled', 'CANCELLED'));
  assert.deepEqual((await other).flakes, []);
});

test('a model that leaves while another loads takes nobody out of the line of those that stay', async (t) => {
  const { load, loader } = bench(t, { memoryBytes: 5000e6 });
  const third = scriptedHeavy('U:1', 100e6);
  const both = await load(first, second);
  const kept = await load(second);
  const leaving = loader.dispose(both);
  // Its load waits for what leaves.
  const generation = await load(second, third);
  await leaving;
  await loader.dispose(kept);
  const stop = new AbortController();
  const running = heavyJob('wait', third, stop.signal);
  const run = generation.predict(running);
  await eventually(() => running.stages.length > 0);
  const waiting = generation.predict(heavyJob('done', second));
  stop.abort();
  await assert.rejects(run, isError('cancelled', 'CANCELLED'));
  assert.deepEqual((await waiting).flakes, []);
});

test('an engine that goes on with a cancelled run for longer than it may, by what was measured, is replaced', async (t) => {
  const asked: CancelledRun[] = [];
  const graceMs = (run: CancelledRun): number => {
    asked.push(run);
    return 1;
  };
  const [generation, loadMs] = await timed(() => bench(t, { graceMs }).load(first));
  const pids = pidsOf(generation, 'S:1');
  const [, doneMs] = await timed(() => generation.predict(heavyJob('done', first)));
  const stop = new AbortController();
  const deaf = heavyJob('ignore cancel', first, stop.signal);
  const run = generation.predict(deaf);
  await eventually(() => deaf.stages.length > 0);
  stop.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(run, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  const { distinctColours } = await generation.predict(heavyJob('done', first));
  assert.ok(!pids.includes(distinctColours ?? 0));
  const [{ elapsedMs, runMs = 0, reloadMs } = assert.fail(), ...others] = asked;
  const isMeasured = (ms: number, atMostMs: number): boolean => ms > 0 && ms <= atMostMs;
  assert.ok(isMeasured(runMs, doneMs) && isMeasured(reloadMs, loadMs) && elapsedMs > 0, JSON.stringify(asked));
  assert.deepEqual(others, []);
});

test('how long a cancelled run may go on is judged by runs of its own model', async (t) => {
  const asked: CancelledRun[] = [];
  const graceMs = (run: CancelledRun): number => {
    asked.push(run);
    return 1;
  };
  const generation = await bench(t, { graceMs }).load(first, second);
  await generation.predict(heavyJob('done', first));
  for (const spec of [first, second]) {
    const stop = new AbortController();
    const deaf = heavyJob('ignore cancel', spec, stop.signal);
    const run = generation.predict(deaf);
    await eventually(() => deaf.stages.length > 0);
    stop.abort();
    await assert.rejects(run, isError('cancelled', 'CANCELLED'));
  }
  assert.deepEqual(
    asked.map(({ runMs }) => runMs !== undefined),
    [true, false],
  );
});

test('an early refusal needs both lines full: a heavy queue says nothing of light images', async (t) => {
  const generation = await bench(t, { maxWaiting: 1 }).load(light, first);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const running = heavyJob('wait', first, stop.signal);
  generation.predict(running).catch(() => undefined);
  generation.predict(heavyJob('wait', first, stop.signal)).catch(() => undefined);
  await eventually(() => running.stages.length > 0);
  await assert.rejects(generation.predict(heavyJob('done', first)), isError('resource-exhausted', 'QUEUE_FULL'));
  assert.equal(generation.fullness(), undefined);
  assert.deepEqual((await generation.predict(job('done'))).flakes, []);
});

test('heavy engines leave the processor to others', { skip: process.platform !== 'linux' }, async (t) => {
  const generation = await bench(t).load(first);
  const [pid = 0] = pidsOf(generation, 'S:1');
  assert.equal(getPriority(pid), Math.min(19, getPriority() + 5));
  process.kill(pid, 'SIGKILL');
  await eventually(() => pidsOf(generation, 'S:1').some((other) => other !== pid && other !== 0));
  const [next = 0] = pidsOf(generation, 'S:1');
  assert.equal(getPriority(next), Math.min(19, getPriority() + 5));
});

test('a model that could never fit is not even fetched', () => {
  const { manifest } = scriptedHeavy('S:1', 500, 1);
  checkSupported(manifest, 'S:1', 153_000_000);
  assert.throws(() => checkSupported(manifest, 'S:1', 152_000_000), isError('failed-precondition', 'INSUFFICIENT_MEMORY'));
  checkSupported(manifest, 'S:1');
  // A larger picture than a usual frame, once it is warmed up with that.
  assert.throws(
    () => checkSupported(manifest, 'S:1', 153_000_000, 4_000_000),
    isError('failed-precondition', 'INSUFFICIENT_MEMORY'),
  );
  checkSupported(manifest, 'S:1', 155_000_000, 4_000_000);
});

for (const how of ['given up', 'renewed']) {
  test(`an engine that is ${how} is replaced at once, and the next crash is the first`, async (t) => {
    const [model, other] = [scriptedHeavy('S:1', 100e6, 100), scriptedHeavy('T:1', 200e6, 100)];
    const { load, loader, kinds } = bench(t, { memoryBytes: 2000e6, graceMs: () => 1 });
    const generation = await load(model);
    const restarts = (count: number): Promise<void> =>
      eventually(() => generation.engines().every(({ isReady, restarts: done }) => isReady && done === count));
    for (const round of [1, 2]) {
      if (how === 'given up') {
        const stop = new AbortController();
        const deaf = heavyJob('ignore cancel', model, stop.signal);
        const run = generation.predict(deaf);
        await eventually(() => deaf.stages.length > 0);
        stop.abort();
        await assert.rejects(run, isError('cancelled', 'CANCELLED'));
      } else {
        await generation.predict(heavyJob('bound', model));
        await loader.dispose(await load(model, other));
      }
      await restarts(round);
    }
    await assert.rejects(generation.predict(heavyJob('exit', model)), isError('unavailable', 'ENGINE_CRASHED'));
    await restarts(3);
    const replaced = ['engine-ended', 'engine-restarted'];
    assert.deepEqual(kinds, [...replaced, ...replaced, ...replaced]);
  });
}
