import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { collectGarbage } from '../../../infra/process/garbage-collection.ts';

function useBuffer(): WeakRef<Buffer> {
  return new WeakRef(Buffer.alloc(1_000_000, 1));
}

test('a buffer that nobody holds any more is gone', async () => {
  const buffer = useBuffer();
  // Until a turn ends, what was referred to in it stays.
  await setImmediate();
  collectGarbage();
  assert.equal(buffer.deref(), undefined);
});
