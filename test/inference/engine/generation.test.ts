import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { isRunning, untilGone } from '../../support/processes.ts';
import { job, type ScriptedGeneration, scriptedGeneration } from '../../support/scripted-generation.ts';
import { isError, rejection } from '../../support/service-errors.ts';

/** A job that is running, on the one engine that runs nothing else. */
async function begin({ generation }: ScriptedGeneration, script: string, signal?: AbortSignal) {
  const begun = job(script, signal);
  const answer = generation.predict(begun);
  answer.catch(() => undefined);
  await eventually(() => begun.stages.length > 0);
  return { answer, job: begun };
}

test('jobs are answered, each with its own answer', async (t) => {
  const { generation, pids } = await scriptedGeneration(t);
  const answers = await Promise.all(Array.from({ length: 6 }, () => generation.predict(job('done'))));
  assert.deepEqual(new Set(answers.map(({ distinctColours }) => distinctColours)), new Set(pids()));
  assert.deepEqual(
    generation.engines().map(({ isReady, restarts }) => ({ isReady, restarts })),
    [
      { isReady: true, restarts: 0 },
      { isReady: true, restarts: 0 },
    ],
  );
});

test('an engine that dies fails exactly the request it worked on; the others go on, and its seat is filled again', async (t) => {
  const scripted = await scriptedGeneration(t);
  const { generation, events } = scripted;
  const controller = new AbortController();
  const other = await begin(scripted, 'wait', controller.signal);
  const before = scripted.pids();
  const dying = generation.predict(job('exit'));
  const queued = generation.predict(job('done'));
  await assert.rejects(dying, isError('unavailable', 'ENGINE_CRASHED'));
  assert.equal(other.job.stages.length, 1);
  const answer = await queued;
  assert.ok(!before.includes(answer.distinctColours ?? 0), 'the new engine answers');
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['engine-ended', 'engine-restarted'],
  );
  assert.deepEqual(
    generation
      .engines()
      .map(({ restarts }) => restarts)
      .toSorted((left, right) => left - right),
    [0, 1],
  );
  assert.equal(scripted.pids().filter((pid) => before.includes(pid)).length, 1);
  controller.abort();
  await assert.rejects(other.answer, isError('cancelled', 'CANCELLED'));
});

test('so does one that is killed from outside', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1 });
  const [pid = 0] = scripted.pids();
  const running = await begin(scripted, 'wait');
  process.kill(pid, 'SIGKILL');
  const error = await rejection(running.answer);
  assert.deepEqual([error.kind, error.reason, error.retryDelayMs], ['unavailable', 'ENGINE_CRASHED', 0]);
  assert.ok(error.message.includes('SIGKILL'));
  assert.notEqual((await scripted.generation.predict(job('done'))).distinctColours, pid);
});

test('an idle engine that dies fails no request', async (t) => {
  const { generation, events, pids } = await scriptedGeneration(t, { engines: 1 });
  process.kill(pids()[0] ?? 0, 'SIGKILL');
  await eventually(() => events.some(({ kind }) => kind === 'engine-restarted'));
  assert.equal((await generation.predict(job('done'))).distinctColours, pids()[0]);
});

test('first come, first served', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1 });
  const controller = new AbortController();
  const running = await begin(scripted, 'wait', controller.signal);
  const order: number[] = [];
  const queued = [1, 2, 3].map(async (position) => {
    await scripted.generation.predict(job('done'));
    order.push(position);
  });
  controller.abort();
  await Promise.all(queued);
  await assert.rejects(running.answer, isError('cancelled', 'CANCELLED'));
  assert.deepEqual(order, [1, 2, 3]);
});

test('one more than may wait is refused with a retry delay; none of the others is', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1, maxWaiting: 2 });
  const controller = new AbortController();
  const running = await begin(scripted, 'wait', controller.signal);
  const queued = [scripted.generation.predict(job('done'))];
  assert.equal(scripted.generation.fullness(), undefined);
  queued.push(scripted.generation.predict(job('done')));
  const error = await rejection(scripted.generation.predict(job('done')));
  assert.deepEqual([error.kind, error.reason], ['resource-exhausted', 'QUEUE_FULL']);
  assert.ok((error.retryDelayMs ?? 0) > 0);
  assert.deepEqual(scripted.generation.fullness(), error);
  controller.abort();
  await Promise.all(queued);
  assert.equal(scripted.generation.fullness(), undefined);
  await assert.rejects(running.answer);
});

test('where none may wait, free engines still take jobs, and the retry delay is no nothing', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1, maxWaiting: 0 });
  await scripted.generation.predict(job('done'));
  const running = await begin(scripted, 'wait');
  const error = await rejection(scripted.generation.predict(job('done')));
  assert.deepEqual([error.kind, error.reason], ['resource-exhausted', 'QUEUE_FULL']);
  assert.ok((error.retryDelayMs ?? 0) > 0);
  await scripted.generation.close();
  await assert.rejects(running.answer);
});

test('who leaves the queue makes room in it', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1, maxWaiting: 1 });
  const running = new AbortController();
  const first = await begin(scripted, 'wait', running.signal);
  const leaving = new AbortController();
  const queued = scripted.generation.predict(job('done', leaving.signal));
  leaving.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(queued, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  const next = scripted.generation.predict(job('done'));
  running.abort();
  await next;
  await assert.rejects(first.answer);
});

test('a caller that is gone before the call costs nothing', async (t) => {
  const { generation } = await scriptedGeneration(t, { engines: 1 });
  const gone = job('exit', AbortSignal.abort());
  await assert.rejects(generation.predict(gone), isError('cancelled', 'CANCELLED'));
  await generation.predict(job('done'));
  assert.deepEqual(gone.stages, []);
});

test('a running job that is cancelled ends with its own reason, and its engine lives on', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1 });
  const [pid] = scripted.pids();
  const controller = new AbortController();
  const running = await begin(scripted, 'wait', controller.signal);
  controller.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(running.answer, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  assert.equal((await scripted.generation.predict(job('done'))).distinctColours, pid);
});

test('an engine that does not hear of it is killed; the job ends with its own reason, and another engine comes', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1, cancelGraceMs: () => 1 });
  const [pid = 0] = scripted.pids();
  const controller = new AbortController();
  const running = await begin(scripted, 'ignore cancel', controller.signal);
  controller.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(running.answer, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  assert.notEqual((await scripted.generation.predict(job('done'))).distinctColours, pid);
  assert.equal(isRunning(pid), false);
});

test('close ends every process and everything that waits; what comes later is refused', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 2 });
  const pids = scripted.pids();
  const running = await begin(scripted, 'wait');
  await begin(scripted, 'wait');
  const queued = scripted.generation.predict(job('done'));
  queued.catch(() => undefined);
  await scripted.generation.close();
  assert.deepEqual(pids.filter(isRunning), []);
  await assert.rejects(running.answer, isError('unavailable', 'ENGINE_CRASHED'));
  await assert.rejects(queued, isError('unavailable', 'SHUTTING_DOWN'));
  await assert.rejects(scripted.generation.predict(job('done')), isError('unavailable', 'SHUTTING_DOWN'));
  assert.deepEqual(scripted.events, []);
  await scripted.generation.close();
});

test('close while an engine is being started again leaves none behind', async (t) => {
  const scripted = await scriptedGeneration(t, { engines: 1 });
  process.kill(scripted.pids()[0] ?? 0, 'SIGKILL');
  await eventually(() => scripted.events.length > 0);
  await scripted.generation.close();
  await manyTurns();
  await untilGone(scripted.pids().filter((pid) => pid > 0));
  assert.equal(
    scripted.events.some(({ kind }) => kind === 'engine-restart-failed'),
    false,
  );
});
