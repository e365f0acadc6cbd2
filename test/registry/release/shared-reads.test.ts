import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { it } from 'node:test';
import { SharedReads } from '../../../registry/release/shared-reads.ts';
import { type Deferred, deferred } from '../../support/deferred.ts';
import { isError } from '../../support/service-errors.ts';

function start() {
  const begun: { readonly key: string; readonly signal: AbortSignal; readonly answer: Deferred<number> }[] = [];
  const reads = new SharedReads<string, number>((key, signal) => {
    const answer = deferred<number>();
    begun.push({ key, signal, answer });
    return answer.promise;
  });
  return { reads, begun };
}

it('reads a thing once for all who ask at one time, and anew for who asks later', async () => {
  const { reads, begun } = start();
  const { signal } = new AbortController();
  const asked = [reads.get('a', signal), reads.get('a', signal), reads.get('b', signal)];
  begun[0]?.answer.resolve(1);
  begun[1]?.answer.resolve(2);
  assert.deepEqual(await Promise.all(asked), [1, 1, 2]);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
  const later = reads.get('a', signal);
  begun[2]?.answer.resolve(3);
  assert.equal(await later, 3);
  assert.deepEqual(
    begun.map(({ key }) => key),
    ['a', 'b', 'a'],
  );
});

it('one who leaves ends the wait of no other; once all left, the read is called off and not joined any more', async () => {
  const { reads, begun } = start();
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  const asked = [first, second].map(({ signal }) => reads.get('a', signal));
  first.abort();
  await assert.rejects(asked[0] ?? Promise.resolve(), isError('cancelled', 'CANCELLED'));
  assert.equal(begun[0]?.signal.aborted, false);
  second.abort();
  await assert.rejects(asked[1] ?? Promise.resolve(), isError('cancelled', 'CANCELLED'));
  assert.equal(begun[0]?.signal.aborted, true);
  const again = reads.get('a', third.signal);
  begun[1]?.answer.resolve(7);
  assert.equal(await again, 7);
  await assert.rejects(reads.get('a', second.signal), isError('cancelled', 'CANCELLED'));
  assert.equal(begun.length, 2);
});

it('a read that fails fails for all who wait, and the next one begins anew', async () => {
  const { reads, begun } = start();
  const { signal } = new AbortController();
  const asked = Promise.allSettled([reads.get('a', signal), reads.get('a', signal)]);
  begun[0]?.answer.reject(new Error('gone'));
  assert.deepEqual(
    (await asked).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  const again = reads.get('a', signal);
  begun[1]?.answer.resolve(1);
  assert.equal(await again, 1);
});
