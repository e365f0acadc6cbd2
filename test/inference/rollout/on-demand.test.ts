import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OnDemand } from '../../../inference/rollout/on-demand.ts';
import type { ServableId } from '../../../inference/rollout/servable.ts';

const [a, b, c] = ['a', 'b', 'c'] as ServableId[] as [ServableId, ServableId, ServableId];

function useAndRelease(onDemand: OnDemand, ...ids: ServableId[]): void {
  for (const id of ids) {
    onDemand.use(id)();
  }
}

test('the least recently used one leaves first', () => {
  const onDemand = new OnDemand(2);
  useAndRelease(onDemand, a, b, c);
  assert.deepEqual(onDemand.ids(), [b, c]);
});

test('a use makes it the most recent', () => {
  const onDemand = new OnDemand(2);
  useAndRelease(onDemand, a, b, a, c);
  assert.deepEqual(onDemand.ids(), [a, c]);
});

test('none leaves that a request waits for, even if that is one too many', () => {
  const onDemand = new OnDemand(1);
  const releaseA = onDemand.use(a);
  const releaseB = onDemand.use(b);
  assert.deepEqual(onDemand.ids(), [a, b]);
  releaseA();
  assert.deepEqual(onDemand.ids(), [b]);
  releaseB();
  assert.deepEqual(onDemand.ids(), [b]);
});

test('the next one in order leaves in place of one in use', () => {
  const onDemand = new OnDemand(2);
  const release = onDemand.use(a);
  useAndRelease(onDemand, b, c);
  assert.deepEqual(onDemand.ids(), [a, c]);
  release();
  assert.deepEqual(onDemand.ids(), [a, c]);
});

test('each user counts, and releases once', () => {
  const onDemand = new OnDemand(1);
  const first = onDemand.use(a);
  const second = onDemand.use(a);
  first();
  first();
  useAndRelease(onDemand, b);
  assert.deepEqual(onDemand.ids(), [a]);
  second();
  useAndRelease(onDemand, b);
  assert.deepEqual(onDemand.ids(), [b]);
});

test('what weighs too much lets the least recently used go that weighs anything and that nobody waits for', () => {
  const weightOf = (id: ServableId): number => (id === b ? 0 : 4);
  const onDemand = new OnDemand(4);
  const d = 'd' as ServableId;
  useAndRelease(onDemand, a, b, c);
  const release = onDemand.use(d);
  onDemand.shed(weightOf, 12);
  assert.deepEqual(onDemand.ids(), [a, b, c, d]);
  onDemand.shed(weightOf, 8);
  assert.deepEqual(onDemand.ids(), [b, c, d]);
  onDemand.shed(weightOf, 0);
  assert.deepEqual(onDemand.ids(), [b, d]);
  release();
  onDemand.shed(weightOf, 0);
  assert.deepEqual(onDemand.ids(), [b]);
});
