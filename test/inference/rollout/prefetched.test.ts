import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prefetched } from '../../../inference/rollout/prefetched.ts';
import { makeVersion } from '../../support/made-version.ts';

const versionsOf = (prefetched: Prefetched, nowMs: number): number[] => prefetched.keys(nowMs).map(({ version }) => version);

test('holds each version until its time is up, which later word can only put off', () => {
  const prefetched = new Prefetched(['*']);
  prefetched.hold(makeVersion('M', 1).key, 1000);
  prefetched.hold(makeVersion('M', 2).key, 2000);
  assert.equal(prefetched.nextEndMs, 1000);
  assert.deepEqual(versionsOf(prefetched, 999), [1, 2]);
  prefetched.hold(makeVersion('M', 2).key, 1500);
  assert.deepEqual(versionsOf(prefetched, 1999), [2]);
  prefetched.hold(makeVersion('M', 2).key, 3000);
  assert.equal(prefetched.nextEndMs, 3000);
  assert.deepEqual(versionsOf(prefetched, 3000), []);
  assert.equal(prefetched.nextEndMs, undefined);
});

test('holds nothing of a model that this server does not keep loaded', () => {
  const prefetched = new Prefetched(['CLS_*']);
  prefetched.hold(makeVersion('SEG_A', 1).key, 1000);
  prefetched.hold(makeVersion('CLS_A', 2).key, 1000);
  assert.deepEqual(versionsOf(prefetched, 0), [2]);
});

test('holds a hundred; beyond that, what would leave first leaves at once', () => {
  const prefetched = new Prefetched(['*']);
  for (let version = 1; version <= 101; version += 1) {
    prefetched.hold(makeVersion('M', version).key, version === 50 ? 10 : 1000);
  }
  const held = versionsOf(prefetched, 0);
  assert.deepEqual([held.length, held.includes(50)], [100, false]);
});
