import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { it } from 'node:test';
import { callAfter, systemClock } from '../../../infra/process/clock.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';

const LONG_MS = 3_600_000;

it('a sleep ends at once, without an error and without a trace, when its signal aborts', async () => {
  const over = new AbortController();
  const asleep = systemClock.sleep(LONG_MS, over.signal);
  assert.equal(getEventListeners(over.signal, 'abort').length, 1);
  over.abort();
  await asleep;
  // On a signal that is aborted already, too; a timer that was left would keep this file from ending.
  await systemClock.sleep(LONG_MS, over.signal);
  assert.deepEqual(getEventListeners(over.signal, 'abort'), []);
});

it('a sleep that ends by itself leaves nothing on its signal', async () => {
  const { signal } = new AbortController();
  await systemClock.sleep(0, signal);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

it('calls after the time, once, and not what was called off', async () => {
  const clock = new ManualClock();
  const calls: string[] = [];
  callAfter(clock, 10, () => calls.push('late'));
  const off = callAfter(clock, 5, () => calls.push('never'));
  const once = callAfter(clock, 5, () => calls.push('early'));
  off();
  clock.advance(5);
  await Promise.resolve();
  once();
  assert.deepEqual([calls, clock.sleepers], [['early'], 1]);
  clock.advance(100);
  await Promise.resolve();
  assert.deepEqual([calls, clock.sleepers], [['early', 'late'], 0]);
});
