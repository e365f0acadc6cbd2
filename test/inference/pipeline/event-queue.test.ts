import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventQueue } from '../../../inference/pipeline/event-queue.ts';

async function take<T>(queue: EventQueue<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of queue) {
    taken.push(item);
  }
  return taken;
}

test('what was pushed before and during the loop comes in order, then the end', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.push(2);
  const taking = take(queue);
  await Promise.resolve();
  queue.push(3);
  queue.end();
  assert.deepEqual(await taking, [1, 2, 3]);
});

test('an end before the loop is an empty loop', async () => {
  const queue = new EventQueue<number>();
  queue.end();
  assert.deepEqual(await take(queue), []);
});

test('an error comes after everything pushed before it', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.fail(new RangeError('broken'));
  const taken: number[] = [];
  await assert.rejects(async () => {
    for await (const item of queue) {
      taken.push(item);
    }
  }, RangeError);
  assert.deepEqual(taken, [1]);
});

test('an error without a value is an error too', async () => {
  const queue = new EventQueue<number>();
  queue.fail(undefined);
  await assert.rejects(take(queue));
});

test('falsy items are items', async () => {
  const queue = new EventQueue<number | undefined | null>();
  queue.push(0);
  queue.push(undefined);
  queue.push(null);
  queue.end();
  assert.deepEqual(await take(queue), [0, undefined, null]);
});

test('the first end counts', async () => {
  const queue = new EventQueue<number>();
  queue.end();
  queue.fail(new Error('too late'));
  assert.deepEqual(await take(queue), []);
});
