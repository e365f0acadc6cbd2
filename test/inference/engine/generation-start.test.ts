import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { Admission } from '../../../inference/engine/admission.ts';
import { EngineLoader } from '../../../inference/engine/engine-loader.ts';
import { Generation } from '../../../inference/engine/generation.ts';
import type { PrioritySystem } from '../../../inference/engine/load-priority.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { ENGINE_MODULE, GENERATION_PARENT, isRunning, SCRIPTED_ENGINE, standStill, untilGone } from '../../support/processes.ts';
import { job, loaderSettings, scriptedGeneration, scriptedServable, settingsOf } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';
import { tinyServable } from '../../support/tiny-classifier.ts';

const never = new AbortController().signal;
const quietEvents: unknown[] = [];
const quiet = { onEvent: (event: unknown) => void quietEvents.push(event), admission: new Admission(settingsOf()) };

const isRefusedPriority = (event: unknown): boolean => JSON.stringify(event).includes('load-priority-refused');

/** Ids of this process's children that run an engine. */
async function children(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [stat, command] = await Promise.all([
        readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''),
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      ]);
      const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
      return parent === String(process.pid) && command.includes('engine') ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

/** A process that starts engines, and what it tells of them first. */
async function startParent(...args: readonly string[]): Promise<{ readonly parent: ChildProcess; readonly pids: number[] }> {
  const parent = fork(GENERATION_PARENT, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = once(parent, 'exit').then(([code]) => assert.fail(`it ended with ${String(code)}`));
  const [pids] = (await Promise.race([once(parent, 'message'), ended])) as [number[]];
  ended.catch(() => undefined);
  return { parent, pids };
}

const onLinux = { skip: process.platform === 'linux' ? false : 'the list of processes is read from /proc' };

test('what fails to load is reported, and no engine is left', onLinux, async () => {
  const loader = new EngineLoader(quiet, loaderSettings());
  const outcome = await loader.load([scriptedServable('good'), scriptedServable('fails')], never);
  assert.ok(!(outcome instanceof Generation));
  assert.deepEqual(new Set(outcome.map(({ id }) => id)), new Set(['fails@sha256']));
  assert.ok(outcome.every(({ error }) => error instanceof ServiceError && error.reason === 'LOAD_FAILED'));
  assert.deepEqual(await children(), []);
});

test('an engine has one heap for native memory, whatever threads it has', onLinux, async (t) => {
  const { pids } = await scriptedGeneration(t);
  for (const pid of pids()) {
    assert.ok((await readFile(`/proc/${pid}/environ`, 'latin1')).split('\0').includes('MALLOC_ARENA_MAX=1'));
  }
});

test('an engine that ends while it loads fails the start, and no engine is left', onLinux, async () => {
  const start = Generation.start(1, [scriptedServable('exits')], settingsOf(), quiet, never);
  await assert.rejects(start, isError('unavailable', 'ENGINE_CRASHED'));
  assert.deepEqual(await children(), []);
});

test('a module that is not there fails the start', async () => {
  const settings = settingsOf({ modulePath: join(tmpdir(), 'no-such-engine.js') });
  await assert.rejects(Generation.start(1, [], settings, quiet, never), isError('unavailable', 'ENGINE_CRASHED'));
});

test('an abort ends engines that hang while they load', onLinux, async () => {
  const controller = new AbortController();
  const start = Generation.start(1, [scriptedServable('hangs')], settingsOf(), quiet, controller.signal);
  const refused = assert.rejects(start, isError('unavailable', 'SHUTTING_DOWN'));
  assert.equal((await children()).length, 2);
  controller.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'closing'));
  await refused;
  assert.deepEqual(await children(), []);
});

test('engines that hang while they load are given up in time, and none is left', onLinux, async () => {
  const settings = settingsOf({ loadTimeoutMs: 1 });
  const start = Generation.start(1, [scriptedServable('hangs')], settings, quiet, never);
  await assert.rejects(start, isError('failed-precondition', 'LOAD_FAILED'));
  assert.deepEqual(await children(), []);
});

test('an aborted start starts nothing', onLinux, async () => {
  const start = Generation.start(1, [], settingsOf(), quiet, AbortSignal.abort());
  await assert.rejects(start, isError('cancelled', 'CANCELLED'));
  assert.deepEqual(await children(), []);
});

test('real engines: a picture in, flakes out; a killed one fails its own request alone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'generation-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const servable = await tinyServable(folder, 'TINY:1');
  const loader = new EngineLoader(quiet, loaderSettings({ modulePath: ENGINE_MODULE, maxPixels: 4_000_000, engines: 2 }));
  const generation = await loader.load([servable], never);
  assert.ok(generation instanceof Generation);
  t.after(() => loader.dispose(generation));
  assert.equal(generation.has(servable.id), true);

  const rgb = new Uint8Array(100 * 100 * 3).fill(160);
  for (let y = 20; y < 50; y += 1) {
    rgb.fill(120, (y * 100 + 20) * 3, (y * 100 + 50) * 3);
  }
  const image = await sharp(rgb, { raw: { width: 100, height: 100, channels: 3 } })
    .png()
    .toBuffer();
  const picture = () => ({ ...job(''), image, models: { classification: servable.id } });
  const asked = picture();
  const answer = await generation.predict(asked);
  assert.deepEqual(
    answer.flakes.map(({ areaPx, box }) => ({ areaPx, box })),
    [{ areaPx: 900, box: { x: 20, y: 20, width: 30, height: 30 } }],
  );
  assert.equal('classMasks' in answer, false);
  assert.deepEqual(asked.stages, ['decode', 'colours', 'classify', 'class-map', 'geometry']);

  await assert.rejects(
    generation.predict({ ...picture(), image: Buffer.from('no picture') }),
    isError('invalid-argument', 'UNDECODABLE_IMAGE'),
  );
  await assert.rejects(
    generation.predict({ ...picture(), models: { classification: scriptedServable('unknown').id } }),
    isError('internal', 'INTERNAL'),
  );

  // The first free engine takes the first job: stopped, so that it cannot answer before it is killed, it fails that one only.
  const [first = 0] = generation.engines().map(({ pid }) => pid);
  standStill(first);
  const doomed = generation.predict(picture());
  const lucky = generation.predict(picture());
  process.kill(first, 'SIGKILL');
  await assert.rejects(doomed, isError('unavailable', 'ENGINE_CRASHED'));
  assert.equal((await lucky).flakes.length, 1);
  const pids = generation.engines().flatMap(({ pid }) => (pid === 0 ? [] : [pid]));
  await loader.dispose(generation);
  assert.deepEqual(pids.filter(isRunning), []);
});

test('a stop that is sent to the whole group of processes leaves the engines to their supervisor', async (t) => {
  const loader = new EngineLoader(quiet, loaderSettings({ modulePath: ENGINE_MODULE, engines: 1 }));
  const generation = await loader.load([], never);
  assert.ok(generation instanceof Generation);
  t.after(() => loader.dispose(generation));
  const before = generation.engines();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.kill(before[0]?.pid ?? 0, signal);
    // It answers, if only that it has no model.
    await assert.rejects(generation.predict(job('')), isError('internal', 'INTERNAL'));
  }
  assert.deepEqual(generation.engines(), before);
});

test('a supervisor that is killed leaves no engine running', async () => {
  const { parent, pids } = await startParent(ENGINE_MODULE);
  assert.equal(pids.length, 2);
  assert.ok(pids.every(isRunning));
  parent.kill('SIGKILL');
  await untilGone(pids);
});

test('not even engines that are blocked and hear nothing', async () => {
  const { parent, pids } = await startParent(SCRIPTED_ENGINE, 'block');
  assert.equal(pids.length, 2);
  assert.ok(pids.every(isRunning));
  parent.kill('SIGKILL');
  await untilGone(pids);
});

for (const label of ['hangs', 'blocks'] as const) {
  test(`nor one that ${label} while it loads, killed the moment it was started`, async () => {
    const { parent, pids } = await startParent(SCRIPTED_ENGINE, '', label);
    parent.kill('SIGKILL');
    await untilGone(pids);
  });
}

test('the kernel takes an engine before the server', onLinux, async (t) => {
  const { pids } = await scriptedGeneration(t);
  for (const pid of pids()) {
    assert.equal((await readFile(`/proc/${pid}/oom_score_adj`, 'utf8')).trim(), '500');
  }
});

test('the first generation starts at once; one beside it engine by engine, at a lower priority until it is ready', async (t) => {
  const changes: string[] = [];
  const prioritySystem: PrioritySystem = {
    own: () => 0,
    set: (id, priority) => changes.push(`${id}:${priority}`),
    threads: (pid) => [pid],
  };
  const loader = new EngineLoader({ ...quiet, prioritySystem }, loaderSettings());
  const load = async (label: string) => {
    const outcome = await loader.load([scriptedServable(label)], never);
    t.after(() => (outcome instanceof Generation ? loader.dispose(outcome) : undefined));
    return outcome;
  };
  await load('good');
  assert.equal(changes.length, 0);
  const second = await load('good');
  assert.ok(second instanceof Generation);
  const lowered = changes.filter((change) => change.endsWith(':10'));
  const pids = second.engines().map(({ pid }) => pid);
  assert.deepEqual(lowered, [`${pids[0]}:10`, `${pids[1]}:10`]);
  assert.deepEqual(changes.slice(-4), [`${pids[0]}:0`, `${pids[0]}:0`, `${pids[1]}:0`, `${pids[1]}:0`]);

  changes.splice(0);
  const failures = await load('fails');
  assert.ok(!(failures instanceof Generation));
  assert.equal(failures.length, 1, 'the second engine was never started');
  assert.equal(changes.filter((change) => change.endsWith(':10')).length, 1);
});

test('every thread of a ready engine has the priority of the server', onLinux, async (t) => {
  const loader = new EngineLoader(quiet, loaderSettings({ engines: 1 }));
  for (let turn = 0; turn < 2; turn += 1) {
    const generation = await loader.load([scriptedServable('good')], never);
    assert.ok(generation instanceof Generation);
    t.after(() => loader.dispose(generation));
    const [pid = 0] = generation.engines().map((engine) => engine.pid);
    const threads = (await readdir(`/proc/${pid}/task`)).map(Number);
    // Without the right to raise a priority, the one step of the first try stays.
    const allowed = !quietEvents.some(isRefusedPriority) ? [getPriority()] : [getPriority(), getPriority() + 1];
    assert.ok(threads.every((thread) => allowed.includes(getPriority(thread))));
  }
});
