import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBackoff } from '../../../inference/rollout/backoff.ts';
import { follow } from '../../../inference/rollout/follow.ts';
import type { ModelSource, SourceEvent } from '../../../inference/rollout/model-source.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { type Deferred, deferred } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';

/** Each watch gives what its script says and ends. */
function scripted(watches: readonly (() => AsyncGenerator<SourceEvent>)[]): { source: ModelSource; watched(): number } {
  let watched = 0;
  const source: ModelSource = {
    watch: () => {
      const watch = watches[watched] ?? watches.at(-1);
      watched += 1;
      assert.ok(watch);
      return watch();
    },
    resolve: () => Promise.reject(new Error('not asked')),
  };
  return { source, watched: () => watched };
}

const snapshot: SourceEvent = { kind: 'snapshot', aliases: [] };

function listening(): { told: string[]; heard: string[]; listener: Parameters<typeof follow>[1] } {
  const told: string[] = [];
  const heard: string[] = [];
  return {
    told,
    heard,
    listener: {
      onEvent: ({ kind }) => heard.push(kind),
      onConnection: (connection) => told.push(connection.isConnected ? 'up' : `down ${connection.error?.reason}`),
    },
  };
}

test('a watch that ends is begun again at once, and the change of connection told', async () => {
  const stop = new AbortController();
  const { told, heard, listener } = listening();
  const { source, watched } = scripted([
    async function* () {
      yield snapshot;
      yield { kind: 'alive' };
    },
    async function* () {
      yield snapshot;
      yield { kind: 'alive' };
      await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
    },
  ]);
  const following = follow(source, listener, stop.signal);
  await eventually(() => heard.length === 4);
  stop.abort();
  await following;
  assert.equal(watched(), 2);
  assert.deepEqual(told, ['up', 'down REGISTRY_UNAVAILABLE', 'up']);
});

test('a registry that breaks after each snapshot is not asked in a tight loop', async () => {
  const stop = new AbortController();
  const { told, listener } = listening();
  const { source, watched } = scripted([
    async function* () {
      yield snapshot;
      throw new ServiceError('internal', 'INTERNAL', 'broken');
    },
  ]);
  const pauses: Deferred<void>[] = [];
  const backoff = createBackoff(undefined, undefined, () => {
    const over = deferred();
    pauses.push(over);
    return over.promise;
  });
  const following = follow(source, listener, stop.signal, backoff);
  for (const count of [1, 2]) {
    await eventually(() => pauses.length === count);
    await manyTurns();
    assert.deepEqual([watched(), pauses.length], [count, count]);
    if (count === 2) {
      stop.abort();
    }
    pauses[count - 1]?.resolve();
  }
  await following;
  assert.deepEqual(told.slice(0, 2), ['up', 'down INTERNAL']);
});

test('a foreign error is no end either', async () => {
  const stop = new AbortController();
  const { told, listener } = listening();
  const { source, watched } = scripted([
    // oxlint-disable-next-line require-yield
    async function* () {
      throw new RangeError('a defect');
    },
  ]);
  const following = follow(source, listener, stop.signal);
  await eventually(() => watched() >= 2);
  stop.abort();
  await following;
  assert.deepEqual(told, ['down INTERNAL']);
});
