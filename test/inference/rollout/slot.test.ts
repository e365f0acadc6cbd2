import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slot } from '../../../inference/rollout/slot.ts';
import { deferred } from '../../support/deferred.ts';
import { manyTurns } from '../../support/eventually.ts';

function recording(): { slot: Slot<string>; disposed: string[] } {
  const disposed: string[] = [];
  const slot = new Slot<string>(async (value) => {
    disposed.push(value);
  });
  return { slot, disposed };
}

test('an empty slot gives no lease', () => {
  const { slot } = recording();
  assert.equal(slot.acquire(), undefined);
  assert.equal(slot.current, undefined);
});

test('content without leases is disposed at the swap', async () => {
  const { slot, disposed } = recording();
  slot.swap('old');
  slot.swap('new');
  await manyTurns();
  assert.deepEqual(disposed, ['old']);
  assert.equal(slot.current, 'new');
});

test('a lease from before the swap stays on the old content, which is disposed after the last one', async () => {
  const { slot, disposed } = recording();
  slot.swap('old');
  const first = slot.acquire();
  const second = slot.acquire();
  slot.swap('new');
  using third = slot.acquire();
  assert.deepEqual([first?.value, second?.value, third?.value], ['old', 'old', 'new']);
  assert.deepEqual(slot.draining, ['old']);
  first?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, []);
  second?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, ['old']);
  assert.deepEqual(slot.draining, []);
});

test('a lease ends once, however often it is disposed', async () => {
  const { slot, disposed } = recording();
  slot.swap('old');
  const first = slot.acquire();
  const second = slot.acquire();
  slot.swap(undefined);
  first?.[Symbol.dispose]();
  first?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, []);
  second?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, ['old']);
});

test('a lease that ends while its content is current disposes nothing', async () => {
  const { slot, disposed } = recording();
  slot.swap('only');
  slot.acquire()?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, []);
});

test('each generation drains on its own, in the order its leases end', async () => {
  const { slot, disposed } = recording();
  slot.swap('one');
  const one = slot.acquire();
  slot.swap('two');
  const two = slot.acquire();
  slot.swap('three');
  assert.deepEqual(slot.draining, ['one', 'two']);
  two?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, ['two']);
  one?.[Symbol.dispose]();
  await manyTurns();
  assert.deepEqual(disposed, ['two', 'one']);
});

test('close waits for leases, and for what is being disposed', async () => {
  const gate = deferred();
  const slot = new Slot<string>(() => gate.promise);
  slot.swap('only');
  const lease = slot.acquire();
  let isClosed = false;
  const closing = slot.close().then(() => {
    isClosed = true;
  });
  await manyTurns();
  assert.equal(isClosed, false);
  assert.equal(slot.acquire(), undefined);
  lease?.[Symbol.dispose]();
  await manyTurns();
  assert.equal(isClosed, false);
  gate.resolve();
  await closing;
});
