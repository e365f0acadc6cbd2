import assert from 'node:assert/strict';
import { test } from 'node:test';
import { residentBytes, watchMemory } from '../../../inference/engine/memory-watch.ts';

test('what exceeds the limit is told once, and not looked at any more', () => {
  const looks: (() => void)[] = [];
  const sizes = [100, 101, 500];
  let exceeded = 0;
  let asked = 0;
  watchMemory(7, 100, () => (exceeded += 1), {
    residentBytes: (pid) => {
      assert.equal(pid, 7);
      return sizes[asked++];
    },
    every: (_, look) => {
      looks.push(look);
      return () => looks.pop();
    },
  });
  while (looks.length > 0 && asked < 3) {
    looks[0]?.();
  }
  assert.deepEqual([exceeded, asked], [1, 2]);
});

test('a process that nothing is known of is let be', () => {
  let look = (): void => undefined;
  watchMemory(7, 0, () => assert.fail('told'), {
    residentBytes: () => undefined,
    every: (_, looking) => {
      look = looking;
      return () => undefined;
    },
  });
  look();
});

test('the memory of a process, and none of one that is gone', {
  skip: process.platform === 'linux' ? false : 'read from /proc',
}, () => {
  const own = residentBytes(process.pid) ?? 0;
  assert.ok(own > 1e7 && own < 1e11, String(own));
  assert.equal(residentBytes(2 ** 30), undefined);
});
