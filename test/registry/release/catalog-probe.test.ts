import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { probeCatalog } from '../../../registry/release/catalog-probe.ts';
import { manyTurns } from '../../support/eventually.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { isError } from '../../support/service-errors.ts';

const gone = new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'disk I/O error');

/** A catalog that does what `answer` says, asked every 100 ms of a clock in the test's hand. */
function start(answer: () => Promise<number>) {
  const bench = { answer, asked: 0 };
  const clock = new ManualClock();
  const changes: unknown[] = [];
  const stopping = new AbortController();
  const feedHead = (): Promise<number> => {
    bench.asked += 1;
    return bench.answer();
  };
  const deps = { catalog: { feedHead }, clock, onChange: (error: unknown) => changes.push(error) };
  const ended = probeCatalog(deps, { everyMs: 100, timeoutMs: 30 }, stopping.signal);
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await manyTurns();
  };
  const stop = async (): Promise<void> => {
    stopping.abort();
    await ended;
  };
  return { bench, changes, clock, pass, stop };
}

it('tells each change once, and asks no more often than it should', async () => {
  const { bench, changes, pass, stop } = start(async () => 7);
  await manyTurns();
  await pass(99);
  assert.deepEqual([bench.asked, changes], [1, []]);
  bench.answer = () => Promise.reject(gone);
  await pass(1);
  await pass(100);
  assert.deepEqual([bench.asked, changes], [3, [gone]]);
  bench.answer = async () => 8;
  await pass(100);
  await pass(100);
  assert.deepEqual(changes, [gone, undefined]);
  await stop();
});

it('a catalog that is gone at the start is told of', async () => {
  const { changes, stop } = start(() => Promise.reject(gone));
  await manyTurns();
  assert.deepEqual(changes, [gone]);
  await stop();
});

it('no answer in time is none', async () => {
  const { changes, pass, stop } = start(() => new Promise(() => undefined));
  await manyTurns();
  await pass(29);
  assert.deepEqual(changes, []);
  await pass(1);
  isError('unavailable', 'STORAGE_UNAVAILABLE')(changes[0]);
  await stop();
});

it('a stop in the middle of a question ends it, tells nothing and leaves no timer', async () => {
  const { changes, clock, stop } = start(() => new Promise(() => undefined));
  await manyTurns();
  await stop();
  assert.deepEqual([changes, clock.sleepers], [[], 0]);
});

it('asks a long time without making signals that the long-lived one remembers', async (t) => {
  const any = t.mock.method(AbortSignal, 'any');
  const { bench, pass, stop } = start(async () => 7);
  await manyTurns();
  for (let question = 0; question < 10; question++) {
    await pass(100);
  }
  assert.deepEqual([bench.asked, any.mock.callCount()], [11, 0]);
  await stop();
});
