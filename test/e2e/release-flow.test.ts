import assert from 'node:assert/strict';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { NO_RETRY } from '../../clients/retry.ts';
import { RegistryConnection, ServableState } from '../../proto/gen/maskterial/inference/v1/status.ts';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { publishBroken } from '../support/broken-version.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { standStill } from '../support/processes.ts';
import { isError } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
/** 40 x 30 pixels, well above the default size threshold, at the contrast that the bundles call 1 or 2. */
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };

test('versions that differ answer differently, each under its own name and digest', async () => {
  await using system = await TestSystem.start();
  const { first, second } = await twoVersions(system);
  const picture = await makePicture([PATCH]);

  await system.promote(first);
  await system.untilServing(first);
  assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), first, 1);

  await system.promote(second);
  await system.untilServing(second);
  assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), second, 2);

  await system.registry.rollback(MODEL, 'production');
  await system.untilServing(first);
  assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), first, 1);
});

test('a promotion in the middle of predictions: each ends on the version it began with', async () => {
  // An engine stands still for as long as a load takes: no hang.
  await using system = await TestSystem.start({ env: { ENGINE_RUN_LIMIT_MS: '3600000' } });
  const { first, second } = await twoVersions(system);
  await system.promote(first);
  await system.untilServing(first);
  const picture = await makePicture([PATCH]);
  let isPromoted = false;
  const predictOn = async (): Promise<void> => {
    while (!isPromoted) {
      const { flakes, summary, accepted } = await system.inference.predictFlakes(picture, {
        classification: MODEL,
        retry: NO_RETRY,
      });
      assert.deepEqual(summary.models, accepted.models);
      const [used] = summary.models;
      const isFirst = used?.version === first.version;
      assert.equal(used?.manifestDigest, (isFirst ? first : second).manifest?.digest);
      assert.deepEqual(
        flakes.map(({ classIndex }) => classIndex),
        [isFirst ? 1 : 2],
      );
      answered[isFirst ? 'first' : 'second'] += 1;
    }
  };
  const answered = { first: 0, second: 0 };
  const running = Array.from({ length: 3 }, predictOn);
  await system.until(async () => answered.first > 0, 'predictions run');
  const [engine] = (await system.inference.getStatus()).engines;
  // It stands still, so that predictions are in hand at the moment of the swap, however long the new version takes to load.
  const standing = standStill(engine?.pid ?? 0);
  let before = 0;
  try {
    await system.promote(second);
    await system.untilServing(second);
    const status = await system.inference.getStatus();
    const old = status.servables.find(({ version }) => version === first.version);
    assert.equal(old?.state, ServableState.SERVABLE_STATE_DRAINING, 'the swap happened while predictions ran on the old version');
    before = answered.first;
    assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), second, 2);
  } finally {
    isPromoted = true;
    standing.goOn();
  }
  await Promise.all(running);
  assert.ok(answered.first > before, 'predictions that began on the old version ended on it after the swap');

  await system.until(async () => {
    const { servables, engines } = await system.inference.getStatus();
    return servables.every(({ version }) => version === second.version) && engines.length === 1;
  }, 'the old version and its engine are gone');
});

test('a version that cannot be loaded leaves the old one serving and says why', async () => {
  await using system = await TestSystem.start();
  const { first } = await twoVersions(system);
  await system.promote(first);
  await system.untilServing(first);
  const broken = await publishBroken(system, MODEL);
  await system.promote(broken);
  await system.until(async () => {
    const { servables } = await system.inference.getStatus();
    return servables.some(({ version, state }) => version === broken.version && state === ServableState.SERVABLE_STATE_FAILED);
  }, 'the broken version has failed');

  const { aliases, servables } = await system.inference.getStatus();
  assert.deepEqual(
    aliases.map(({ desiredVersion, servingVersion }) => [desiredVersion, servingVersion]),
    [[broken.version, first.version]],
  );
  assert.match(servables.find(({ version }) => version === broken.version)?.error?.message ?? '', /cannot load the graph/);
  assertAnswer(await system.inference.predictFlakes(await makePicture([PATCH]), { classification: MODEL }), first, 1);
});

test('any finalized version is loaded when a request names it', async () => {
  await using system = await TestSystem.start();
  const { first, second } = await twoVersions(system);
  await system.promote(first);
  await system.untilServing(first);
  const picture = await makePicture([PATCH]);
  const cases = [];
  for await (const event of system.inference.predict(picture, { classification: `${MODEL}:${second.version}` })) {
    cases.push(event.$case);
  }
  assert.deepEqual(cases.slice(0, 2), ['loading', 'accepted']);
  assert.equal(cases.at(-1), 'summary');
  assertAnswer(await system.inference.predictFlakes(picture, { classification: `${MODEL}@latest` }), second, 2);
  assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), first, 1);
});

test('registry away: serves on, starts from the cache and says so; back: follows again', async () => {
  await using system = await TestSystem.start();
  const { first, second } = await twoVersions(system);
  await system.promote(first);
  await system.untilServing(first);
  const picture = await makePicture([PATCH]);

  await system.stopRegistry();
  assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), first, 1);

  await system.stopInference();
  await system.startInference();
  await system.untilServing(first);
  assertAnswer(await system.inference.predictFlakes(picture, { classification: MODEL }), first, 1);
  const away = await system.inference.getStatus();
  assert.equal(away.registry, RegistryConnection.REGISTRY_CONNECTION_DISCONNECTED);
  assert.equal(away.servingFromCache, true);
  await assert.rejects(
    system.inference.predictFlakes(picture, { classification: `${MODEL}:${second.version}`, retry: NO_RETRY }),
    isError('unavailable', 'REGISTRY_UNAVAILABLE'),
  );

  await system.restartRegistry();
  await system.promote(second);
  await system.untilServing(second);
  const back = await system.inference.getStatus();
  assert.equal(back.registry, RegistryConnection.REGISTRY_CONNECTION_CONNECTED);
  assert.equal(back.servingFromCache, false);
});

for (const [what, spoil] of [
  ['replaced by other bytes of the same size', (bytes: Buffer) => Buffer.alloc(bytes.byteLength, 0x41)],
  ['truncated', (bytes: Buffer) => bytes.subarray(0, bytes.byteLength >> 1)],
] as const) {
  test(`a cached graph that was ${what} is set aside, fetched again and never loaded`, async () => {
    await using system = await TestSystem.start();
    const { first } = await twoVersions(system);
    await system.promote(first);
    await system.untilServing(first);
    await system.stopInference();
    const artifact = first.artifacts.find(({ path }) => path === 'model.onnx');
    const hex = artifact?.blob?.digest.slice('sha256:'.length) ?? '';
    const path = join(system.modelPath, 'v1', 'blobs', 'sha256', hex.slice(0, 2), hex);
    const good = await readFile(path);
    await chmod(path, 0o644);
    await writeFile(path, spoil(good));

    await system.startInference();
    await system.untilServing(first);
    assertAnswer(await system.inference.predictFlakes(await makePicture([PATCH]), { classification: MODEL }), first, 1);
    assert.deepEqual(await readFile(path), good);
    assert.equal((await readdir(join(system.modelPath, 'v1', 'quarantine'))).length, 1);
  });
}

test('an engine that is killed takes its own request with it and nothing else', async () => {
  await using system = await TestSystem.start();
  const { first } = await twoVersions(system);
  await system.promote(first);
  await system.untilServing(first);
  const picture = await makePicture([PATCH]);
  const events = system.inference.predict(picture, { classification: MODEL, retry: NO_RETRY });
  const [engine] = (await system.inference.getStatus()).engines;
  // It stands still, so that it is killed in the middle, however slow this process is.
  const { pid } = standStill(engine?.pid ?? 0);
  await assert.rejects(
    async () => {
      for await (const event of events) {
        if (event.$case === 'accepted') {
          process.kill(pid, 'SIGKILL');
        }
      }
    },
    isError('unavailable', 'ENGINE_CRASHED'),
  );
  assertAnswer(await system.inference.predictFlakes(await makePicture([PATCH]), { classification: MODEL }), first, 1);
  const [back] = (await system.inference.getStatus()).engines;
  assert.notEqual(back?.pid, pid);
  assert.equal(back?.restarts, 1);
});

/** Two versions of one model: the first calls the patch class 1, the second class 2. */
async function twoVersions(system: TestSystem): Promise<{ readonly first: Version; readonly second: Version }> {
  const one = await writeGmmBundle(join(system.folder, 'one'), { 1: -0.15, 2: -0.4 });
  const two = await writeGmmBundle(join(system.folder, 'two'), { 1: -0.4, 2: -0.15 });
  return { first: await system.publish(one, MODEL), second: await system.publish(two, MODEL) };
}

type Prediction = Awaited<ReturnType<TestSystem['inference']['predictFlakes']>>;

function assertAnswer({ flakes, summary, accepted }: Prediction, version: Version, classIndex: number): void {
  assert.deepEqual(
    flakes.map((flake) => [flake.classIndex, flake.areaPx, flake.box]),
    [[classIndex, PATCH.width * PATCH.height, { x: PATCH.x, y: PATCH.y, width: PATCH.width, height: PATCH.height }]],
  );
  assert.equal(summary.models[0]?.version, version.version);
  assert.equal(summary.models[0]?.manifestDigest, version.manifest?.digest);
  assert.deepEqual(accepted.models, summary.models);
}
