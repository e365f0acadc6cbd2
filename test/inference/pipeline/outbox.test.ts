import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbox } from '../../../inference/pipeline/outbox.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { manyTurns } from '../../support/eventually.ts';
import { rejection } from '../../support/service-errors.ts';

const never = new AbortController().signal;

test('a producer waits until its item is taken', async () => {
  const outbox = new Outbox<number>();
  const done: number[] = [];
  void outbox.put(1, never).then(() => done.push(1));
  void outbox.put(2, never).then(() => done.push(2));
  const loop = outbox[Symbol.asyncIterator]();
  await manyTurns();
  assert.deepEqual(done, []);
  assert.deepEqual(await loop.next(), { done: false, value: 1 });
  await manyTurns();
  assert.deepEqual(done, [1]);
  assert.deepEqual(await loop.next(), { done: false, value: 2 });
});

test('an aborted producer takes its item back', async () => {
  const outbox = new Outbox<number>();
  const controller = new AbortController();
  const reason = new ServiceError('cancelled', 'CANCELLED', 'x');
  const put = rejection(outbox.put(1, controller.signal));
  void outbox.put(2, never);
  controller.abort(reason);
  assert.equal(await put, reason);
  assert.equal(await rejection(outbox.put(3, controller.signal)), reason);
  outbox.end();
  const taken: number[] = [];
  for await (const item of outbox) {
    taken.push(item);
  }
  assert.deepEqual(taken, [2]);
});

test('an item is taken back from a loop that is at the one before it', async () => {
  const outbox = new Outbox<number>();
  const controller = new AbortController();
  void outbox.put(1, never);
  const put = rejection(outbox.put(2, controller.signal));
  void outbox.put(3, never);
  const loop = outbox[Symbol.asyncIterator]();
  assert.equal((await loop.next()).value, 1);
  controller.abort(new ServiceError('cancelled', 'CANCELLED', 'x'));
  assert.equal((await put).kind, 'cancelled');
  assert.equal((await loop.next()).value, 3);
});

test('a taken item stays taken, and its producer was told first', async () => {
  const outbox = new Outbox<number>();
  const controller = new AbortController();
  let isTaken = false;
  const put = outbox.put(1, controller.signal, () => {
    isTaken = true;
  });
  await outbox[Symbol.asyncIterator]().next();
  assert.equal(isTaken, true);
  controller.abort();
  await put;
});

test('a failure comes after what was put before', async () => {
  const outbox = new Outbox<number>();
  void outbox.put(1, never);
  const failure = new RangeError('broken');
  outbox.fail(failure);
  outbox.end();
  const loop = outbox[Symbol.asyncIterator]();
  assert.equal((await loop.next()).value, 1);
  await assert.rejects(loop.next(), (error) => error === failure);
});
