import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OrderedResults } from '../../../clients/cli/ordered-results.ts';
import { WorkLimit } from '../../../clients/cli/work-limit.ts';
import { deferred } from '../../support/deferred.ts';
import { manyTurns } from '../../support/eventually.ts';

test('results come by their numbers, whatever order they were brought in', async () => {
  const results = new OrderedResults<string>(10);
  const source = results[Symbol.asyncIterator]();
  const first = source.next();
  results.put(2, 'c');
  results.put(1, 'b');
  results.put(0, 'a');
  assert.equal((await first).value, 'a');
  assert.equal((await source.next()).value, 'b');
  assert.equal((await source.next()).value, 'c');
  results.end();
  assert.equal((await source.next()).done, true);
});

test('one that is late holds back as many as the limit says, and a reader that stands still no more', async () => {
  const results = new OrderedResults<string>(2);
  await results.room(0);
  await results.room(1);
  let hasRoom = false;
  const third = results.room(2).then(() => (hasRoom = true));
  results.put(1, 'b');
  await manyTurns();
  assert.equal(hasRoom, false);
  const source = results[Symbol.asyncIterator]();
  results.put(0, 'a');
  assert.equal((await source.next()).value, 'a');
  await manyTurns();
  assert.equal(hasRoom, false, 'the reader is still at the first');
  assert.equal((await source.next()).value, 'b');
  await third;
});

test('at its end what is held is given, gaps or not, and nobody waits for room', async () => {
  const results = new OrderedResults<string>(1);
  const waiting = results.room(5);
  results.put(3, 'd');
  results.put(1, 'b');
  results.end();
  await waiting;
  const given: string[] = [];
  for await (const result of results) {
    given.push(result);
  }
  assert.deepEqual(given, ['b', 'd']);
});

test('work runs a few pieces at a time; a failure is told and stops no other', async () => {
  const failures: unknown[] = [];
  const limit = new WorkLimit(2, (error) => failures.push(error));
  const gates = [deferred(), deferred(), deferred()];
  const begun: number[] = [];
  const work = (index: number) => () => {
    begun.push(index);
    return gates[index]?.promise ?? Promise.reject(new Error('no gate'));
  };
  await limit.start(work(0));
  await limit.start(work(1));
  const third = limit.start(work(2));
  await manyTurns();
  assert.deepEqual(begun, [0, 1]);
  const failure = new Error('disk full');
  gates[1]?.reject(failure);
  await third;
  assert.deepEqual(begun, [0, 1, 2]);
  assert.deepEqual(failures, [failure]);
  let isIdle = false;
  const idle = limit.idle().then(() => (isIdle = true));
  gates[0]?.resolve();
  await manyTurns();
  assert.equal(isIdle, false);
  gates[2]?.resolve();
  await idle;
});
