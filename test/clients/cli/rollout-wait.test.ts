import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitUntilServed } from '../../../clients/cli/rollout-wait.ts';
import { type Rollout, ServableState } from '../../../proto/gen/maskterial/registry/v1/rollout.ts';
import { abortError, ServiceError } from '../../../proto/wire/errors.ts';
import { whenAborted } from '../../support/deferred.ts';
import { digestOf, makeRollout } from '../../support/made-rollout.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const { SERVABLE_STATE_FAILED: FAILED } = ServableState;
const MOVED = {
  model: 'CLS',
  alias: 'production',
  version: 2,
  revision: 1,
  manifest: { digest: digestOf(2), sizeBytes: 10n },
  updateTime: undefined,
};
const away = new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'the bucket is away');

/** Shows these rollouts, then calls `then` and stays open. */
async function waitFor(
  rollouts: readonly Rollout[],
  then: 'late' | 'interrupt',
): Promise<{ error: ServiceError; told: string[] }> {
  const late = new AbortController();
  const stop = new AbortController();
  const told: string[] = [];
  const registry = {
    async *watchRollout(_model: string, _alias?: string, options: { signal?: AbortSignal | undefined } = {}) {
      yield* rollouts;
      (then === 'late' ? late : stop).abort();
      const signal = options.signal ?? new AbortController().signal;
      await whenAborted(signal);
      throw abortError(signal);
    },
  };
  const onProgress = async (line: string): Promise<void> => void told.push(line);
  const error = await rejection(waitUntilServed(registry, MOVED, { late: late.signal, signal: stop.signal, onProgress }));
  return { error, told };
}

test('too late, it says how far each server is', async () => {
  const rollout = makeRollout(2, 1, [
    { name: 'a', serving: 1, coming: FAILED, error: away },
    { name: 'b', serving: 1 },
  ]);
  const { error, told } = await waitFor([rollout, rollout], 'late');
  assert.deepEqual([error.kind, error.reason], ['unavailable', 'MODEL_NOT_READY']);
  assert.equal(error.message, 'not in time: 0 of 2 servers serve CLS:2 (a is failed: the bucket is away, b has not begun)');
  assert.deepEqual(told, ['0 of 2 servers serve CLS:2']);
});

for (const rollouts of [[], [makeRollout(2, 1, [])]]) {
  test(`nobody who could serve it (${rollouts.length} looks) is not everybody`, async () => {
    const { error } = await waitFor(rollouts, 'late');
    assert.equal(error.message, 'not in time: no inference server that keeps CLS@production loaded is known to the registry');
  });
}

test('a server that merely has the version, for another alias, is not asked to serve it', async () => {
  const broken = new ServiceError('failed-precondition', 'LOAD_FAILED', 'no such operator');
  const rollout = makeRollout(2, 1, [{ name: 'b', serving: 1, coming: FAILED, error: broken }]);
  const elsewhere = { ...rollout, servers: rollout.servers.map((server) => ({ ...server, aliases: [] })) };
  assert.equal((await waitFor([elsewhere], 'late')).error.reason, 'MODEL_NOT_READY');
  assert.equal((await waitFor([rollout], 'late')).error.reason, 'LOAD_FAILED');
});

test("the failure of other bytes under the same number is not this version's", async () => {
  const broken = new ServiceError('failed-precondition', 'LOAD_FAILED', 'no such operator');
  const rollout = makeRollout(2, 1, [{ name: 'b', serving: 1, coming: FAILED, error: broken }]);
  const renamed = rollout.servers.map((server) => ({
    ...server,
    servables: server.servables.map((servable) => ({ ...servable, manifestDigest: digestOf(7) })),
  }));
  assert.equal((await waitFor([{ ...rollout, servers: renamed }], 'late')).error.reason, 'MODEL_NOT_READY');
});

test('interrupted, it is cancelled and not late', async () => {
  const { error } = await waitFor([makeRollout(2, 1, [{ name: 'a', serving: 1 }])], 'interrupt');
  assert.ok(isError('cancelled', 'CANCELLED')(error));
});
