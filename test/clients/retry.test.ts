import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RetrySettings, retry } from '../../clients/retry.ts';
import { type ErrorKind, type ErrorReason, ServiceError } from '../../proto/wire/errors.ts';
import { manualRetry } from '../support/manual-retry.ts';
import { rejection } from '../support/service-errors.ts';

const SETTINGS: RetrySettings = { attempts: 4, firstDelayMs: 100, maxDelayMs: 250 };

function failing(
  kind: ErrorKind,
  times: number,
  retryDelayMs?: number,
  reason: ErrorReason = 'QUEUE_FULL',
): { body: () => Promise<string>; calls: () => number } {
  let calls = 0;
  return {
    calls: () => calls,
    body: async () => {
      calls += 1;
      if (calls <= times) {
        throw new ServiceError(kind, reason, `failure ${calls}`, retryDelayMs === undefined ? {} : { retryDelayMs });
      }
      return 'done';
    },
  };
}

test('waits longer each time, up to the most', async () => {
  const deps = manualRetry();
  const { body } = failing('unavailable', 3);
  assert.equal(await retry(body, { retry: SETTINGS }, deps), 'done');
  assert.deepEqual(deps.waits, [100, 200, 250]);
});

test('waits at least as long as the server asks', async () => {
  const deps = manualRetry();
  const { body } = failing('resource-exhausted', 1, 1000);
  await retry(body, { retry: SETTINGS }, { ...deps, random: () => 0 });
  assert.deepEqual(deps.waits, [1000]);
});

test('gives up after the last attempt with its error', async () => {
  const deps = manualRetry();
  const { body, calls } = failing('unavailable', 9);
  assert.match((await rejection(retry(body, { retry: SETTINGS }, deps))).message, /failure 4/);
  assert.equal(calls(), 4);
});

for (const reason of ['ENGINE_HUNG', 'ENGINE_OUT_OF_MEMORY'] as const) {
  test(`tries once more after ${reason}`, async () => {
    const { body, calls } = failing('unavailable', 9, undefined, reason);
    assert.match((await rejection(retry(body, { retry: SETTINGS }, manualRetry()))).message, /failure 2/);
    assert.equal(calls(), 2);
  });
}

const FINAL: ErrorKind[] = [
  'invalid-argument',
  'not-found',
  'already-exists',
  'failed-precondition',
  'aborted',
  'data-loss',
  'deadline-exceeded',
  'cancelled',
  'internal',
];
for (const kind of FINAL) {
  test(`does not retry ${kind}`, async () => {
    const deps = manualRetry();
    const { body, calls } = failing(kind, 1);
    assert.equal((await rejection(retry(body, { retry: SETTINGS }, deps))).kind, kind);
    assert.equal(calls(), 1);
    assert.deepEqual(deps.waits, []);
  });
}

test('the time limit bounds all attempts and the waits between them', async () => {
  const deps = manualRetry();
  const left: (number | undefined)[] = [];
  const outcome = retry(
    async ({ timeoutMs }) => {
      left.push(timeoutMs);
      throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'no');
    },
    { timeoutMs: 350, retry: SETTINGS },
    deps,
  );
  assert.equal((await rejection(outcome)).kind, 'unavailable');
  assert.deepEqual(left, [350, 250, 50]);
});

test('an abort ends the wait', async () => {
  const controller = new AbortController();
  const { body } = failing('unavailable', 9);
  const deps = manualRetry();
  const outcome = retry(
    async () => {
      controller.abort();
      return body();
    },
    { signal: controller.signal, retry: SETTINGS },
    deps,
  );
  assert.equal((await rejection(outcome)).kind, 'cancelled');
});
