import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from '../../../inference/engine/admission.ts';
import { Generation } from '../../../inference/engine/generation.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { isRunning } from '../../support/processes.ts';
import { GOOD, job, scriptedGeneration, scriptedServable, settingsOf } from '../../support/scripted-generation.ts';
import { isError, rejection } from '../../support/service-errors.ts';

/** A generation whose only engine works on something until `free` is called. */
async function occupied(t: Parameters<typeof scriptedGeneration>[0], settings: Parameters<typeof scriptedGeneration>[1] = {}) {
  const scripted = await scriptedGeneration(t, { engines: 1, ...settings });
  const controller = new AbortController();
  const running = job('wait', controller.signal);
  const answer = scripted.generation.predict(running);
  answer.catch(() => undefined);
  await eventually(() => running.stages.length > 0);
  return { ...scripted, free: () => controller.abort() };
}

test('a run over its limit fails as hung; its engine is ended and another comes', async (t) => {
  const { generation, pids } = await scriptedGeneration(t, { engines: 1, runLimitMs: 50 });
  const [pid = 0] = pids();
  const error = await rejection(generation.predict(job('block')));
  assert.deepEqual([error.kind, error.reason, error.retryDelayMs], ['unavailable', 'ENGINE_HUNG', undefined]);
  assert.match(error.message, /longer than 50 ms/);
  assert.equal(isRunning(pid), false);
  await eventually(() => generation.engines().every(({ isReady, restarts }) => isReady && restarts === 1));
  assert.notEqual(pids()[0], pid);
});

test('a hung run of a caller that is gone ends with its own reason', async (t) => {
  const { generation, events } = await scriptedGeneration(t, { engines: 1, runLimitMs: 50 });
  const controller = new AbortController();
  // The free engine has it at once, and hears of no cancel.
  const answer = generation.predict(job('block', controller.signal));
  controller.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(answer, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  await eventually(() => events.length > 0);
  const [ended] = events;
  assert.ok(ended?.kind === 'engine-ended' && /longer than any may/.test(ended.how), JSON.stringify(ended));
});

const onLinux = { skip: process.platform === 'linux' ? false : 'memory is read from /proc' };
/** Between an idle engine and one that grew. */
const MEMORY_LIMIT_BYTES = 300_000_000;

test('an engine over its memory limit is ended with its run alone, and another comes', onLinux, async (t) => {
  const { generation, events, pids } = await scriptedGeneration(t, { memoryLimitBytes: MEMORY_LIMIT_BYTES });
  const [first = 0, second = 0] = pids();
  const other = job('wait');
  generation.predict(other).catch(() => undefined);
  await eventually(() => other.stages.length > 0);
  const error = await rejection(generation.predict(job('grow')));
  assert.deepEqual([error.kind, error.reason, error.retryDelayMs], ['unavailable', 'ENGINE_OUT_OF_MEMORY', undefined]);
  assert.match(error.message, /more than 300000000 bytes/);
  assert.deepEqual([isRunning(first), isRunning(second)], [true, false]);
  await eventually(() => generation.engines().every(({ isReady }) => isReady));
  const [ended] = events;
  assert.ok(ended?.kind === 'engine-ended' && /SIGKILL: .*memory/.test(ended.how));
});

test('an engine that is being ended gets no job, though its process is still there', onLinux, async (t) => {
  // So that the test says when its memory is looked at.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const settings = { engines: 1, memoryLimitBytes: MEMORY_LIMIT_BYTES };
  const { generation, events, pids } = await scriptedGeneration(t, settings);
  const [pid = 0] = pids();
  assert.equal((await generation.predict(job('grow and answer'))).distinctColours, pid);
  t.mock.timers.tick(1000);
  // Killed, and still in its seat: that its process is gone can be heard no earlier than in the next turn.
  assert.deepEqual([pids(), events], [[pid], []]);
  assert.notEqual((await generation.predict(job('done'))).distinctColours, pid);
  const [ended] = events;
  assert.ok(ended?.kind === 'engine-ended' && /SIGKILL: .*memory/.test(ended.how));
});

test('an engine that grows over the limit while it loads has failed to load', onLinux, async () => {
  const settings = settingsOf({ memoryLimitBytes: MEMORY_LIMIT_BYTES });
  const deps = { onEvent: () => undefined, admission: new Admission(settings) };
  const start = Generation.start(1, [scriptedServable('grows')], settings, deps, new AbortController().signal);
  const error = await rejection(start);
  assert.deepEqual([error.kind, error.reason], ['failed-precondition', 'LOAD_FAILED']);
  assert.match(error.message, /grows.*memory/);
});

test('engines that crash again and again start later and later, and that is told; one good run ends it', async (t) => {
  const { generation, events } = await scriptedGeneration(t, { engines: 1 });
  const backedOff = (): unknown[] => events.filter(({ kind }) => kind === 'engine-backs-off');
  const crash = () => assert.rejects(generation.predict(job('exit')), isError('unavailable', 'ENGINE_CRASHED'));
  await crash();
  await generation.predict(job('done'));
  await crash();
  await crash();
  await eventually(() => backedOff().length > 0);
  assert.deepEqual(backedOff(), [{ kind: 'engine-backs-off', generation: 7, crashes: 2, upToMs: 250 }]);
  await eventually(() => generation.isFailing(GOOD));
  await crash();
  await eventually(() => backedOff().length > 1);
  assert.deepEqual(backedOff()[1], { kind: 'engine-backs-off', generation: 7, crashes: 3, upToMs: 500 });
  assert.equal(generation.isFailing(GOOD), true);
  await generation.predict(job('done'));
  assert.equal(generation.isFailing(GOOD), false);
});

test('a generation is not failing while one of its engines stays', async (t) => {
  const { generation, events } = await scriptedGeneration(t, { engines: 2 });
  const crashes = (): number => events.filter(({ kind }) => kind === 'engine-ended').length;
  const staying = job('wait', new AbortController().signal);
  generation.predict(staying).catch(() => undefined);
  await eventually(() => staying.stages.length > 0);
  for (const count of [1, 2]) {
    await assert.rejects(generation.predict(job('exit')), isError('unavailable', 'ENGINE_CRASHED'));
    await eventually(() => crashes() === count);
    assert.equal(generation.isFailing(GOOD), false);
  }
  await eventually(() => events.some(({ kind }) => kind === 'engine-backs-off'));
  assert.equal(generation.isFailing(GOOD), false);
});

test('high goes before normal, low after it', async (t) => {
  const { generation, free } = await occupied(t);
  const order: string[] = [];
  const queued = (['low', 'normal', 'high'] as const).map(async (priority) => {
    await generation.predict({ ...job('done'), priority });
    order.push(priority);
  });
  free();
  await Promise.all(queued);
  assert.deepEqual(order, ['high', 'normal', 'low']);
});

test('images beyond the bytes that may wait are refused', async (t) => {
  const { generation, free } = await occupied(t, { maxWaitingBytes: 5 });
  const first = generation.predict(job('done'));
  await assert.rejects(generation.predict(job('done')), isError('resource-exhausted', 'QUEUE_FULL'));
  free();
  await first;
});

test('a deadline that cannot be kept is refused at once; on a free engine it is tried', async (t) => {
  const { generation, admission, free } = await occupied(t);
  admission.measured(1e6);
  const deadlineMs = Date.now() + 600_000;
  const error = await rejection(generation.predict({ ...job('done'), deadlineMs }));
  assert.deepEqual([error.kind, error.reason], ['resource-exhausted', 'DEADLINE_UNREACHABLE']);
  assert.ok((error.retryDelayMs ?? 0) > 1e6);
  const last = generation.predict(job('done'));
  free();
  await last;
  await generation.predict({ ...job('done'), deadlineMs });
});

test('one that waited too long costs no run while others wait, and the others are not held up', async (t) => {
  const { generation, admission, free } = await occupied(t);
  const late = { ...job('exit'), deadlineMs: Date.now() + 600_000 };
  const refused = assert.rejects(generation.predict(late), isError('resource-exhausted', 'DEADLINE_UNREACHABLE'));
  const other = generation.predict(job('done'));
  admission.measured(1e6);
  free();
  await refused;
  await other;
  assert.deepEqual(late.stages, []);
});

test('what left the queue, ran or was closed out counts no more', async (t) => {
  const { generation, admission, free } = await occupied(t, { maxWaiting: 2, maxWaitingBytes: 1000 });
  const controller = new AbortController();
  const leaving = generation.predict(job('done', controller.signal));
  const running = generation.predict(job('done'));
  controller.abort();
  await assert.rejects(leaving, isError('cancelled', 'CANCELLED'));
  free();
  await running;
  const asked = job('wait');
  generation.predict(asked).catch(() => undefined);
  await eventually(() => asked.stages.length > 0);
  const closedOut = [generation.predict(job('done')), generation.predict(job('done'))];
  const settled = Promise.allSettled(closedOut);
  await generation.close();
  await settled;
  const all = { sizeBytes: 1000, ahead: 0, engines: 1, deadlineMs: undefined };
  assert.equal(admission.refusal(all, 0), undefined, 'the whole of the bytes is free');
});
