import assert from 'node:assert/strict';
import { it } from 'node:test';
import { inParallel } from '../../../../registry/adapters/aws/in-parallel.ts';
import { type Deferred, deferred } from '../../../support/deferred.ts';

it('works on a few at a time and keeps the order', async () => {
  const waiting: Deferred<string>[] = [];
  const running = inParallel(['a', 'b', 'c'], 2, () => {
    const next = deferred<string>();
    waiting.push(next);
    return next.promise;
  });
  assert.equal(waiting.length, 2);
  waiting[1]?.resolve('second');
  await new Promise(setImmediate);
  assert.equal(waiting.length, 3);
  waiting[2]?.resolve('third');
  waiting[0]?.resolve('first');
  assert.deepEqual(await running, ['first', 'second', 'third']);
});

it('begins nothing after a failure, and ends when all that was begun has ended', async () => {
  const slow = deferred<number>();
  const begun: number[] = [];
  let isSettled = false;
  const running = inParallel([0, 1, 2, 3], 2, async (item) => {
    begun.push(item);
    if (item === 1) {
      throw new Error('broken');
    }
    return slow.promise;
  });
  const settled = running.catch((error: unknown) => {
    isSettled = true;
    return error;
  });
  await new Promise(setImmediate);
  assert.deepEqual([begun, isSettled], [[0, 1], false]);
  slow.reject(new Error('later'));
  assert.deepEqual(await settled, new Error('broken'));
});

it('has nothing to do for nothing', async () => {
  assert.deepEqual(await inParallel([], 4, async () => assert.fail()), []);
});
