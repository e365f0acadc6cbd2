import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../../../inference/rollout/follow.ts';
import type { RolloutStatus } from '../../../inference/rollout/rollout.ts';
import type { VersionState } from '../../../inference/rollout/state.ts';
import { toStatusResponse } from '../../../inference/rpc/status-service.ts';
import { GetStatusResponse } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { RegistryConnection, ServableState } from '../../../proto/gen/maskterial/inference/v1/status.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { fromRpcStatus } from '../../../proto/wire/status.ts';
import { makeVersion, pointing } from '../../support/made-version.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const down: Connection = { isConnected: false, error: new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'refused') };

function received(rollout: Partial<RolloutStatus>, generations: Parameters<typeof toStatusResponse>[0]['generations'] = []) {
  const status = { connection: { isConnected: true } as const, connectionSinceMs: 1000, aliases: [], versions: [], ...rollout };
  const response = toStatusResponse({ rollout: status, generations, serverVersion: '1.2.3' });
  return GetStatusResponse.decode(GetStatusResponse.encode(response).finish());
}

test('connected: no error, nothing served from the cache alone', () => {
  const { registry, registryError, registrySince, servingFromCache, serverVersion } = received({});
  assert.deepEqual(
    [registry, registryError, registrySince, servingFromCache, serverVersion],
    [RegistryConnection.REGISTRY_CONNECTION_CONNECTED, undefined, new Date(1000), false, '1.2.3'],
  );
});

test('disconnected: says why and since when', () => {
  const { registry, registryError, servingFromCache } = received({ connection: down });
  assert.deepEqual([registry, servingFromCache], [RegistryConnection.REGISTRY_CONNECTION_DISCONNECTED, true]);
  const error = registryError && fromRpcStatus(registryError);
  assert.deepEqual([error?.kind, error?.reason], ['unavailable', 'REGISTRY_UNAVAILABLE']);
});

test('before the first word of the registry there is no error either', () => {
  const { registryError, servingFromCache } = received({ connection: { isConnected: false, error: undefined } });
  assert.deepEqual([registryError, servingFromCache], [undefined, true]);
});

test('aliases: what is wanted, at which revision, and what serves; 0 is nothing', () => {
  const { aliases } = received({
    aliases: [
      { desired: pointing(two, 'production', 9), serving: one.key },
      { desired: pointing(one, 'canary', 1), serving: undefined },
    ],
  });
  assert.deepEqual(aliases, [
    { model: 'M', alias: 'production', desiredVersion: 2, desiredRevision: 9, servingVersion: 1 },
    { model: 'M', alias: 'canary', desiredVersion: 1, desiredRevision: 1, servingVersion: 0 },
  ]);
});

for (const [state, expected] of [
  ['wanted', ServableState.SERVABLE_STATE_WANTED],
  ['fetching', ServableState.SERVABLE_STATE_FETCHING],
  ['fetched', ServableState.SERVABLE_STATE_FETCHED],
  ['loading', ServableState.SERVABLE_STATE_LOADING],
  ['ready', ServableState.SERVABLE_STATE_READY],
  ['draining', ServableState.SERVABLE_STATE_DRAINING],
  ['failed', ServableState.SERVABLE_STATE_FAILED],
] satisfies [VersionState, ServableState][]) {
  test(`a version that is ${state}`, () => {
    const error = state === 'failed' ? new ServiceError('failed-precondition', 'LOAD_FAILED', 'broken') : undefined;
    const { servables } = received({
      versions: [{ id: one.id, key: one.key, state, sinceMs: 5000, error, retryAtMs: 0 }],
    });
    const [servable] = servables;
    assert.deepEqual(
      [servable?.model, servable?.version, servable?.manifestDigest, servable?.state, servable?.since],
      ['M', 1, one.key.manifest.digest, expected, new Date(5000)],
    );
    assert.equal(servable?.error && fromRpcStatus(servable.error).reason, error?.reason);
  });
}

test('the engines of every generation, shared ones once', () => {
  const light = (pid: number) => ({ pid, isReady: true, restarts: 0, heavyVersion: undefined });
  const heavy = { pid: 11, isReady: true, restarts: 1, heavyVersion: 'M:2' };
  const lost = { pid: 0, isReady: false, restarts: 2, heavyVersion: 'M:3' };
  const found = received({}, [
    { id: 4, engines: () => [light(12), heavy, lost] },
    { id: 3, engines: () => [light(13), heavy, lost] },
  ]);
  assert.deepEqual(found.engines, [
    { pid: 12, generation: 4, ready: true, restarts: 0, heavyVersion: '' },
    { pid: 11, generation: 4, ready: true, restarts: 1, heavyVersion: 'M:2' },
    { pid: 0, generation: 4, ready: false, restarts: 2, heavyVersion: 'M:3' },
    { pid: 13, generation: 3, ready: true, restarts: 0, heavyVersion: '' },
    { pid: 0, generation: 3, ready: false, restarts: 2, heavyVersion: 'M:3' },
  ]);
});
