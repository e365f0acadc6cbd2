import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GetStatusResponse } from '../../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { RegistryConnection, ServableState } from '../../../../proto/gen/maskterial/inference/v1/status.ts';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { toRpcStatus } from '../../../../proto/wire/status.ts';
import { FakeInference } from '../../../support/fake-inference.ts';
import { runCommand } from '../../../support/run-command.ts';

const SINCE = new Date('2026-03-04T05:06:07.890Z');
const STATUS: GetStatusResponse = {
  registry: RegistryConnection.REGISTRY_CONNECTION_DISCONNECTED,
  registryError: toRpcStatus(new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'refused')),
  registrySince: SINCE,
  servingFromCache: true,
  aliases: [
    { model: 'CLS', alias: 'production', desiredVersion: 3, desiredRevision: 5, servingVersion: 2 },
    { model: 'CLS', alias: 'canary', desiredVersion: 4, desiredRevision: 1, servingVersion: 3 },
  ],
  servables: [
    { model: 'CLS', version: 2, manifestDigest: 'sha256:aa', state: ServableState.SERVABLE_STATE_READY, since: SINCE },
    {
      model: 'CLS',
      version: 3,
      manifestDigest: 'sha256:bb',
      state: ServableState.SERVABLE_STATE_FAILED,
      error: toRpcStatus(new ServiceError('data-loss', 'DIGEST_MISMATCH', 'chunk 1 differs')),
      since: SINCE,
    },
  ],
  engines: [{ pid: 42, generation: 7, ready: true, restarts: 1, heavyVersion: '' }],
  serverVersion: '0.1.0',
};

async function status(...args: string[]): Promise<{ out: string; code: number; address: string }> {
  const inference = new FakeInference(async function* () {});
  inference.status = STATUS;
  await using server = await inference.start();
  const { out, code } = await runCommand(['status', '--inference', server.address, ...args]);
  return { out, code, address: server.address };
}

test('shows connection, cache, aliases, errors and engines', async () => {
  const { out, address } = await status();
  assert.equal(
    out,
    [
      `inference server ${address}, version 0.1.0`,
      'registry disconnected since 2026-03-04T05:06:07Z: refused [REGISTRY_UNAVAILABLE]',
      'serving from the cache, as the registry last said',
      '',
      'alias           desired  serving',
      'CLS@production  3        2        refused',
      'CLS@canary      4        3        not there yet',
      '',
      'version  state   since                 error',
      'CLS:2    ready   2026-03-04T05:06:07Z',
      'CLS:3    failed  2026-03-04T05:06:07Z  chunk 1 differs [DIGEST_MISMATCH]',
      '',
      'engine  generation  state  restarts',
      '42      7           ready  1',
      '',
    ].join('\n'),
  );
});

test('the same as one JSON object', async () => {
  const json = JSON.parse((await status('--json')).out);
  assert.equal(json.registry, 'disconnected');
  assert.equal(json.registry_error.reason, 'REGISTRY_UNAVAILABLE');
  assert.equal(json.is_serving_from_cache, true);
  assert.deepEqual(json.aliases[0], {
    model: 'CLS',
    alias: 'production',
    desired_version: 3,
    desired_revision: 5,
    serving_version: 2,
  });
  assert.equal(json.servables[1].error.reason, 'DIGEST_MISMATCH');
  assert.deepEqual(json.engines, [{ pid: 42, generation: 7, is_ready: true, restarts: 1 }]);
});
