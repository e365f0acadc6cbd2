import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { NO_RETRY } from '../../clients/retry.ts';
import { ServableState } from '../../proto/gen/maskterial/inference/v1/status.ts';
import { damageStored } from '../support/broken-version.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { type CommandResult, runCommand } from '../support/run-command.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };

test('a version is fetched ahead, required to be ready, and promoted', async () => {
  await using system = await TestSystem.start();
  const first = await system.release(await bundle(system, 'one', -0.15), MODEL);
  const second = await system.publish(await bundle(system, 'two', -0.155), MODEL);
  const early = await run(system, 'promote', `${MODEL}:2`, '--require-ready', '1');
  assert.equal(early.code, EXIT.failed);
  assert.match(early.err, /CLS_GMM_Test:2 is held ready by 0 of the 1 servers required .* \[NOT_ENOUGH_READY\]/);

  const prefetched = await run(system, 'prefetch', `${MODEL}:2`, '--wait', '1', '--wait-timeout', '180');
  assert.equal(prefetched.code, EXIT.ok, prefetched.err);
  assert.equal(await stateOf(system, 2), ServableState.SERVABLE_STATE_FETCHED);
  assert.equal(await versionOf(system, MODEL), first.version, 'the alias is where it was');

  // A server that starts later hears of it too.
  await system.stopInference();
  await system.startInference();
  await system.until(
    async () => (await stateOf(system, 2)) === ServableState.SERVABLE_STATE_FETCHED,
    'the server that started again holds the version',
  );
  await system.until(async () => {
    const { versions } = await system.registry.getRollout(MODEL);
    return versions.some(({ version, readyServers }) => version === 2 && readyServers === 1);
  }, 'the registry knows');

  const promoted = await run(system, 'promote', `${MODEL}:2`, '--require-ready', '1', '--wait', '--wait-timeout', '180');
  assert.equal(promoted.code, EXIT.ok, promoted.err);
  assert.equal(await versionOf(system, MODEL), second.version);
});

test('what is held ahead can be used while the registry is away', async () => {
  await using system = await TestSystem.start();
  await system.release(await bundle(system, 'one', -0.15), MODEL);
  const second = await system.publish(await bundle(system, 'two', -0.155), MODEL);
  assert.equal((await run(system, 'prefetch', `${MODEL}:2`, '--wait', '1', '--wait-timeout', '180')).code, EXIT.ok);
  await system.stopRegistry();
  assert.equal(await versionOf(system, `${MODEL}:2`), second.version);
});

test('a version that cannot be fetched is no version to promote, and says why', async () => {
  await using system = await TestSystem.start();
  const first = await system.release(await bundle(system, 'one', -0.15), MODEL);
  const damaged = await system.publish(await bundle(system, 'two', -0.155), MODEL);
  await damageStored(system, damaged);
  const refused = await run(system, 'prefetch', `${MODEL}:2`, '--wait', '1', '--wait-timeout', '180');
  assert.equal(refused.code, EXIT.failed);
  assert.match(refused.err, /cannot hold CLS_GMM_Test:2: .* \[DIGEST_MISMATCH\]/);
  const promoted = await run(system, 'promote', `${MODEL}:2`, '--require-ready', '1');
  assert.equal(promoted.code, EXIT.failed);
  assert.match(promoted.err, /\[DIGEST_MISMATCH\].* \[NOT_ENOUGH_READY\]/);
  assert.equal(await versionOf(system, MODEL), first.version);
  assert.equal((await system.registry.getModel(MODEL)).aliases[0]?.version, first.version);
});

function run(system: TestSystem, ...args: string[]): Promise<CommandResult> {
  return runCommand([...args, '--timeout', '180'], { MASKTERIAL_REGISTRY: system.registryAddress });
}

function bundle(system: TestSystem, name: string, contrast: number): Promise<string> {
  return writeGmmBundle(join(system.folder, name), { 1: contrast, 2: -0.4 });
}

async function stateOf(system: TestSystem, version: number): Promise<ServableState | undefined> {
  const { servables } = await system.inference.getStatus();
  return servables.find((servable) => servable.version === version)?.state;
}

async function versionOf(system: TestSystem, classification: string): Promise<number | undefined> {
  const { summary } = await system.inference.predictFlakes(await makePicture([PATCH]), { classification, retry: NO_RETRY });
  return summary.models[0]?.version;
}
