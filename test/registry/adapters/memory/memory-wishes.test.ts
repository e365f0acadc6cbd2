import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryWishes } from '../../../../registry/adapters/memory/memory-wishes.ts';
import { describePrefetchWishes, wish } from '../../../contract/prefetch-wishes-contract.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

describePrefetchWishes('memory', async () => new MemoryWishes());

test('holds a hundred; a known one may be put again, and one that expired makes room', async () => {
  const wishes = new MemoryWishes();
  const start = wish('M', 1, 0).expireTimeMs;
  for (let version = 1; version <= 100; version += 1) {
    await wishes.put(wish('M', version, version === 1 ? 1000 : 5000), start, never);
  }
  await assert.rejects(wishes.put(wish('M', 101, 5000), start, never), isError('resource-exhausted', 'PREFETCHES_FULL'));
  await wishes.put(wish('M', 2, 6000), start, never);
  await wishes.put(wish('M', 101, 5000), start + 1000, never);
});
