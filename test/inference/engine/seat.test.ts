import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerationEvent } from '../../../inference/engine/generation-event.ts';
import { Seat, type SeatedEngine } from '../../../inference/engine/seat.ts';
import { createBackoff } from '../../../inference/rollout/backoff.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { type Deferred, deferred } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';

const refused = new ServiceError('unavailable', 'ENGINE_CRASHED', 'an engine ended while it loaded');

/** A seat whose engines, starts and pauses are in the test's hand. */
function bench() {
  const events: GenerationEvent[] = [];
  const starts: Deferred<SeatedEngine>[] = [];
  const pauses: { readonly ms: number; readonly over: Deferred<void> }[] = [];
  const ends: Deferred<string>[] = [];
  const engine = (isReplaced = false): SeatedEngine => {
    const end = deferred<string>();
    ends.push(end);
    return { pid: ends.length, exited: end.promise, isReplaced };
  };
  const pass = (ms: number): Promise<void> => {
    const over = deferred();
    pauses.push({ ms, over });
    return over.promise;
  };
  const closing = new AbortController();
  const deps = {
    generation: 1,
    startAnother: (): Promise<SeatedEngine> => {
      const start = deferred<SeatedEngine>();
      starts.push(start);
      return start.promise;
    },
    onEvent: (event: GenerationEvent) => events.push(event),
    onRefilled: () => undefined,
    backoff: createBackoff(undefined, () => 0, pass),
  };
  const seat = new Seat(engine(), deps, closing.signal);
  const kinds = (): string[] => events.map(({ kind }) => kind);
  return { seat, events, kinds, starts, pauses, ends, engine, closing };
}

test('starts that fail again and again come later and later, and nothing is started in between', async () => {
  const { seat, kinds, starts, pauses, ends, engine } = bench();
  ends[0]?.resolve('signal SIGKILL');
  await eventually(() => starts.length === 1);
  for (const [index, ms] of [250, 500, 1000].entries()) {
    starts[index]?.reject(refused);
    await eventually(() => pauses.length === index + 1);
    await manyTurns();
    assert.deepEqual([pauses[index]?.ms, starts.length, seat.isFailing], [ms, index + 1, true]);
    pauses[index]?.over.resolve();
    await eventually(() => starts.length === index + 2);
  }
  starts[3]?.resolve(engine());
  await eventually(() => seat.engine?.pid === 2);
  assert.deepEqual([seat.isFailing, seat.restarts], [false, 1]);
  const failed = ['engine-restart-failed', 'engine-backs-off'];
  assert.deepEqual(kinds(), ['engine-ended', ...failed, ...failed, ...failed, 'engine-restarted']);
});

test('an engine that starts well and ends at once costs a pause too, until one run went well', async () => {
  const { seat, starts, pauses, ends, engine } = bench();
  for (const end of [0, 1]) {
    ends[end]?.resolve('exit code 1');
    if (end === 1) {
      await eventually(() => pauses.length === 1);
      pauses[0]?.over.resolve();
    }
    await eventually(() => starts.length === end + 1);
    starts[end]?.resolve(engine());
    await eventually(() => seat.restarts === end + 1);
  }
  seat.proved();
  ends[2]?.resolve('exit code 1');
  await eventually(() => starts.length === 3);
  assert.equal(pauses.length, 1);
});

test('an engine that is replaced by choice is no step of the pauses; one that does not start in its place is', async () => {
  const { seat, kinds, starts, pauses, ends, engine } = bench();
  // A crash, two that are replaced, and a start that fails for the second.
  for (const [end, isNextReplaced] of [true, true, false].entries()) {
    ends[end]?.resolve('signal SIGKILL');
    await eventually(() => starts.length === end + 1);
    if (end < 2) {
      starts[end]?.resolve(engine(isNextReplaced));
      await eventually(() => seat.restarts === end + 1);
    }
  }
  assert.deepEqual([pauses.length, seat.isFailing], [0, false]);
  starts[2]?.reject(refused);
  await eventually(() => pauses.length === 1);
  assert.deepEqual([pauses[0]?.ms, seat.isFailing], [250, true]);
  assert.deepEqual(kinds().slice(-2), ['engine-restart-failed', 'engine-backs-off']);
});

test('a seat that is closed starts nothing more', async () => {
  const { seat, starts, ends, closing } = bench();
  closing.abort();
  ends[0]?.resolve('signal SIGKILL');
  await seat.supervised;
  assert.equal(starts.length, 0);
});
