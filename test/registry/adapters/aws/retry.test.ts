import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { retrying } from '../../../../registry/adapters/aws/retry.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { ManualClock } from '../../../support/registry/manual-clock.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

const busy = new Error('busy');

function failing(times: number): () => Promise<string> {
  let left = times;
  return async () => {
    if (left-- > 0) {
      throw busy;
    }
    return 'done';
  };
}

it('tries again after pauses that grow up to a limit', async () => {
  const pace = instantPace({ firstMs: 10, maxMs: 100 });
  assert.equal(await retrying(pace, never, failing(6), () => true), 'done');
  assert.deepEqual(pace.pauses, [10, 20, 40, 80, 100, 100]);
});

it('draws each pause anew, from nothing on', async () => {
  const draws = [0, 0.5, 0.25];
  const pace = { ...instantPace({ firstMs: 100, maxMs: 1000 }), random: () => draws.shift() ?? 1 };
  await retrying(pace, never, failing(3), () => true);
  assert.deepEqual(pace.pauses, [0, 100, 100]);
});

it('does not begin a pause that would end too late, and throws the last failure', async () => {
  const pace = instantPace({ firstMs: 10, maxMs: 1000, budgetMs: 75 });
  await assert.rejects(
    retrying(pace, never, failing(100), () => true),
    busy,
  );
  assert.deepEqual(pace.pauses, [10, 20, 40]);
});

it('throws what is no use trying again at once', async () => {
  const pace = instantPace();
  await assert.rejects(
    retrying(pace, never, failing(1), () => false),
    busy,
  );
  assert.deepEqual(pace.pauses, []);
});

it('ends a pause when the caller has no more time, and tries no more', async () => {
  const clock = new ManualClock();
  const caller = new AbortController();
  let attempts = 0;
  const pace = { clock, random: () => 1, settings: { firstMs: 10, maxMs: 10, budgetMs: 1000 } };
  const trying = retrying(
    pace,
    caller.signal,
    async () => {
      attempts++;
      throw busy;
    },
    () => true,
  );
  await clock.untilSleeping(1);
  caller.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  await assert.rejects(trying, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  assert.equal(attempts, 1);
});

it('does not begin for a caller who left', async () => {
  await assert.rejects(
    retrying(instantPace(), AbortSignal.abort(), failing(0), () => true),
    isError('cancelled', 'CANCELLED'),
  );
});
