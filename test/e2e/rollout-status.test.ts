import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { ServableState, type ServerRollout } from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import { encodeManifest } from '../../proto/wire/manifest.ts';
import { fromRpcStatus } from '../../proto/wire/status.ts';
import { damageStored, publishBroken } from '../support/broken-version.ts';
import { checkBytes, importedVersion, publishFiles, withCheck } from '../support/imported-version.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { type CommandResult, runCommand } from '../support/run-command.ts';
import { startServeProcess } from '../support/serve-process.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };

for (const { what, publish, reason, message } of [
  {
    what: 'whose bytes are corrupt',
    publish: async (system: TestSystem) => {
      const version = await system.publish(await bundle(system, 'damaged', 0.3), MODEL);
      await damageStored(system, version);
      return version;
    },
    reason: 'DIGEST_MISMATCH',
    message: /expected sha256:[0-9a-f]+, found/,
  },
  {
    what: 'whose graph does not load',
    publish: (system: TestSystem) => publishBroken(system, MODEL),
    reason: 'LOAD_FAILED',
    message: /cannot load the graph/,
  },
  {
    what: 'whose graph does not give what its golden check expects',
    publish: publishUnmet,
    reason: 'GOLDEN_CHECK_FAILED',
    message: /golden check: output distance: \d+ of \d+ elements/,
  },
]) {
  test(`a promotion ${what} is refused, visibly everywhere; a later good one clears it`, async () => {
    await using system = await TestSystem.start();
    const run = (...args: string[]) => command(system, args);
    const good = await system.publish(await bundle(system, 'one', -0.15), MODEL);
    const promoted = await run('promote', `${MODEL}:${good.version}`, '--wait', '--wait-timeout', '180');
    assert.equal(promoted.code, EXIT.ok, promoted.err);
    assert.match(promoted.out, /1 of 1 servers serve CLS_GMM_Test:1/);

    const bad = await publish(system);
    const refused = await run('promote', `${MODEL}:${bad.version}`, '--wait', '--wait-timeout', '180');
    assert.equal(refused.code, EXIT.failed, refused.err);
    assert.match(refused.err, new RegExp(`cannot serve ${MODEL}:2, it goes on with ${MODEL}:1: .*\\[${reason}\\]`));

    const { aliases, servers, versions } = await system.registry.getRollout(MODEL, 'production');
    assert.deepEqual(
      aliases.map(({ alias, requiredServers, servingServers, readyServers, failedServers }) => [
        alias?.version,
        requiredServers,
        servingServers,
        readyServers,
        failedServers,
      ]),
      [[bad.version, 1, 0, 0, 1]],
    );
    assert.deepEqual(
      versions.map(({ version, loadedServers, failedServers }) => [version, loadedServers, failedServers]),
      [
        [bad.version, 0, 1],
        [good.version, 1, 0],
      ],
    );
    const [server] = servers;
    assert.equal(server?.aliases[0]?.servingVersion, good.version);
    const failure = failureOf(server, bad);
    assert.equal(failure?.reason, reason);
    assert.match(failure?.message ?? '', message);
    assert.match((await run('rollout', MODEL)).out, new RegExp(`${MODEL}:2 +\\w+ .*\\[${reason}\\]`));
    const status = (await run('status')).out;
    assert.match(status, new RegExp(`${MODEL}@production +2 +1 +refused`));
    assert.match(status, new RegExp(`${MODEL}:2 .*\\[${reason}\\]`));
    await assertAnsweredBy(system, good);

    const better = await system.publish(await bundle(system, 'three', -0.155), MODEL);
    assert.equal((await run('promote', `${MODEL}:${better.version}`, '--wait', '--wait-timeout', '180')).code, EXIT.ok);
    await system.until(async () => {
      const now = await system.registry.getRollout(MODEL, 'production');
      return now.versions.every(({ version }) => version === better.version) && now.aliases[0]?.failedServers === 0;
    }, 'only the good version is left');
    assert.doesNotMatch((await run('status')).out, /refused|error\n.*\[/);
    await assertAnsweredBy(system, better);
  });
}

/** Its check was made for other weights. */
async function publishUnmet(system: TestSystem): Promise<Version> {
  const made = async (name: string, contrast: number) => {
    const file = join(await bundle(system, name, contrast), 'contrast_dict.json');
    return importedVersion({ 'contrast_dict.json': await readFile(file) });
  };
  const version = withCheck(await made('unmet', -0.16), checkBytes(await made('other', -0.17)));
  const { manifest } = version;
  const request = { model: MODEL, manifestBytes: encodeManifest(manifest), files: publishFiles(version) };
  return (await system.registry.publishVersion(request)).version;
}

test('a registry that starts again is told what is served, one that stays learns who stops', async () => {
  await using system = await TestSystem.start();
  const version = await system.release(await bundle(system, 'one', -0.15), MODEL);
  const serving = async () => (await system.registry.getRollout(MODEL)).aliases[0]?.servingServers;
  await system.until(async () => (await serving()) === 1, 'the registry knows');
  await system.stopRegistry();
  await system.restartRegistry();
  await system.until(async () => (await serving()) === 1, 'the registry that started again knows');
  await system.stopInference();
  const { aliases, servers } = await system.registry.getRollout(MODEL);
  assert.deepEqual([aliases[0]?.requiredServers, servers, aliases[0]?.alias?.version], [0, [], version.version]);
});

test('an inference server that is killed leaves the rollout when its time is up', async () => {
  await using system = await TestSystem.start({ inference: false, registryEnv: { REGISTRY_SERVER_TTL_MS: '1000' } });
  const version = await system.publish(await bundle(system, 'one', -0.15), MODEL);
  await system.promote(version);
  const server = await startServeProcess('inference', {
    INFERENCE_PORT: '0',
    MODEL_PATH: system.modelPath,
    REGISTRY_ADDRESS: system.registryAddress,
    ENGINES: '1',
    LOG_LEVEL: 'fatal',
  });
  try {
    const counts = async () => {
      const { aliases } = await system.registry.getRollout(MODEL);
      return [aliases[0]?.requiredServers, aliases[0]?.servingServers].join();
    };
    await system.until(async () => (await counts()) === '1,1', 'the registry knows the server');
    await server.end('SIGKILL');
    await system.until(async () => (await counts()) === '0,0', 'the registry has forgotten the server');
  } finally {
    await server.end('SIGKILL');
  }
});

/** No call is given up, however long it takes. */
function command(system: TestSystem, args: readonly string[]): Promise<CommandResult> {
  return runCommand([...args, '--timeout', '180'], {
    MASKTERIAL_REGISTRY: system.registryAddress,
    MASKTERIAL_INFERENCE: system.inference.address,
  });
}

/** A classifier whose one layer has this contrast. */
function bundle(system: TestSystem, name: string, contrast: number): Promise<string> {
  return writeGmmBundle(join(system.folder, name), { 1: contrast, 2: -0.4 });
}

function failureOf(server: ServerRollout | undefined, { version }: Version) {
  const servable = server?.servables.find((found) => found.version === version);
  assert.notEqual(servable?.state, ServableState.SERVABLE_STATE_READY);
  return servable?.error && fromRpcStatus(servable.error);
}

async function assertAnsweredBy(system: TestSystem, version: Version): Promise<void> {
  const { summary, flakes } = await system.inference.predictFlakes(await makePicture([PATCH]), { classification: MODEL });
  assert.equal(flakes.length, 1);
  assert.deepEqual([summary.models[0]?.version, summary.models[0]?.manifestDigest], [version.version, version.manifest?.digest]);
}
