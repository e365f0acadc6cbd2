import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBackoff, pauseMs } from '../../../inference/rollout/backoff.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { isError } from '../../support/service-errors.ts';

const settings = { firstMs: 100, maxMs: 1000 };
const never = new AbortController().signal;

test('none, then doubled up to the maximum', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 2000].map((failures) => pauseMs(failures, settings)),
    [0, 0, 100, 200, 400, 800, 1000, 1000, 1000],
  );
});

for (const [draw, length] of [
  [0, 100],
  [0.5, 75],
  [1, 50],
] as const) {
  test(`a draw of ${draw} makes ${length} of 100 ms; the first wait is nil, and the one after a reset`, async () => {
    const waits: number[] = [];
    const backoff = createBackoff(
      settings,
      () => draw,
      async (ms) => {
        waits.push(ms);
      },
    );
    await backoff.wait(never);
    await backoff.wait(never);
    await backoff.wait(never);
    backoff.reset();
    await backoff.wait(never);
    assert.deepEqual(waits, [length, 2 * length]);
  });
}

test('an abort ends the wait with its reason', async () => {
  const controller = new AbortController();
  const backoff = createBackoff({ firstMs: 1e9, maxMs: 1e9 });
  await backoff.wait(controller.signal);
  const waiting = backoff.wait(controller.signal);
  controller.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'down'));
  await assert.rejects(waiting, isError('unavailable', 'SHUTTING_DOWN'));
});

test('an aborted signal is not waited with, not even for nothing', async () => {
  await assert.rejects(createBackoff().wait(AbortSignal.abort()), isError('cancelled', 'CANCELLED'));
});
