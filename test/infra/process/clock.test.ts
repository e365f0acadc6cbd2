import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { it } from 'node:test';
import { systemClock } from '../../../infra/process/clock.ts';

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
