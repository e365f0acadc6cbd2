import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { LastKnown } from '../../../inference/rollout/last-known.ts';
import { lastKnownFormat } from '../../../inference/rollout/last-known.ts';
import { type CacheFolder, cacheFolder } from '../../support/cache-folder.ts';
import { eventually } from '../../support/eventually.ts';
import { type MadeVersion, makeVersion, pointing } from '../../support/made-version.ts';
import { RolloutBench } from '../../support/rollout-bench.ts';
import { isError } from '../../support/service-errors.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const other = makeVersion('N', 1);

/** The folder and the document that a first run leaves which served `aliases`. */
async function afterRun(
  t: TestContext,
  ...served: MadeVersion[]
): Promise<{ folder: CacheFolder; remembered: LastKnown | undefined }> {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const bench = new RolloutBench(cache);
  bench.source.publish(...served);
  await bench.startWith(...served.map((made) => pointing(made)));
  await eventually(() => bench.remembered?.aliases.length === served.length);
  await bench.close();
  await cache.close();
  return { folder, remembered: bench.remembered };
}

/** A second run, its registry down. */
async function coldStart(folder: CacheFolder, remembered: LastKnown | undefined): Promise<RolloutBench> {
  const bench = new RolloutBench(await folder.open(), {}, remembered);
  folder.beforeClose(() => bench.close());
  bench.source.isDown = true;
  await bench.rollout.start();
  return bench;
}

test('with the registry down a server starts from its cache and says so', async (t) => {
  const { folder, remembered } = await afterRun(t, one, other);
  const bench = await coldStart(folder, remembered);
  await bench.settled();
  assert.equal(await bench.versionOf('M'), 1);
  assert.equal(await bench.versionOf('N'), 1);
  assert.deepEqual(bench.source.resolved, []);
  await eventually(() => bench.source.watches > 0);
  assert.equal(bench.rollout.status().connection.isConnected, false);
});

test('when the registry is back its snapshot replaces what was remembered', async (t) => {
  const { folder, remembered } = await afterRun(t, one, other);
  const bench = await coldStart(folder, remembered);
  await bench.settled();
  bench.source.isDown = false;
  bench.source.publish(two);
  bench.source.snapshot(pointing(two));
  await eventually(() => bench.rollout.current?.labels() === 'M:2');
  assert.equal(bench.rollout.status().connection.isConnected, true);
  await eventually(() => bench.remembered?.aliases.map(({ version }) => version).join() === '2');
});

test('one artifact that is gone from the cache does not keep the others from serving', async (t) => {
  const { folder, remembered } = await afterRun(t, one, other);
  await rm(folder.layout.blob(other.graphDigest));
  const bench = await coldStart(folder, remembered);
  await bench.settled();
  assert.equal(await bench.versionOf('M'), 1);
  await assert.rejects(bench.acquire('N'), isError('unavailable', 'MODEL_NOT_READY'));
  // It is still remembered: the next start may find the registry up.
  assert.deepEqual(bench.remembered?.aliases.map(({ model }) => model).toSorted(), ['M', 'N']);
});

test('an alias is remembered before its version is loaded: a server that is stopped in between forgets nothing', async (t) => {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open());
  folder.beforeClose(() => bench.close());
  bench.source.publish(one, other);
  const source = bench.source.blobs.get(other.id);
  assert.ok(source);
  source.onOpen = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  await bench.rollout.start();
  bench.source.snapshot(pointing(one), pointing(other));
  await eventually(() => (bench.remembered?.aliases.length ?? 0) > 0);
  assert.deepEqual(bench.remembered?.aliases.map(({ model }) => model).toSorted(), ['M', 'N']);
});

test('where the new version cannot be fetched after a restart, the one that was served last is', async (t) => {
  const { folder, remembered } = await afterRun(t, one);
  const bench = new RolloutBench(await folder.open(), {}, remembered);
  folder.beforeClose(() => bench.close());
  bench.source.publish(one, two, other);
  const source = bench.source.blobs.get(two.id);
  assert.ok(source);
  source.faultOf = () => 'unavailable';
  await bench.startWith(pointing(two), pointing(other));
  assert.equal(await bench.versionOf('M'), 1);
  await eventually(() => bench.remembered?.aliases.length === 2);
  assert.deepEqual(
    bench.remembered?.aliases.map(({ model, version, revision }) => `${model}:${version} r${revision}`).toSorted(),
    ['M:1 r0', 'N:1 r1'],
  );
  source.faultOf = () => undefined;
  bench.pass(500);
  await eventually(() => bench.stateOf(two) === 'ready');
  await eventually(() => bench.stateOf(one) === undefined);
  assert.equal(await bench.versionOf('M'), 2);
});

test('a registry that was set up anew does not fill the gaps of what is remembered with other bytes', async (t) => {
  const { folder, remembered } = await afterRun(t, one);
  await rm(folder.layout.blob(one.graphDigest));
  const bench = new RolloutBench(await folder.open(), {}, remembered);
  folder.beforeClose(() => bench.close());
  bench.source.publish(makeVersion('M', 1, 'other bytes under the same number'));
  await bench.rollout.start();
  await bench.settled();
  assert.deepEqual([bench.stateOf(one), bench.reasonOf(one)], ['failed', 'DIGEST_MISMATCH']);
  assert.deepEqual(bench.loader.loads, []);
});

test('without anything remembered a server is not settled before the registry has spoken', async (t) => {
  const folder = await cacheFolder(t);
  const bench = await coldStart(folder, undefined);
  const impatient = new AbortController();
  const settling = bench.rollout.settled(impatient.signal);
  await eventually(() => bench.source.watches >= 2);
  impatient.abort();
  await assert.rejects(settling, isError('cancelled', 'CANCELLED'));
  bench.source.isDown = false;
  bench.source.snapshot();
  await bench.settled();
});

test("what is remembered goes through the cache's own state file", async (t) => {
  const folder = await cacheFolder(t);
  const file = (await folder.open()).stateFile(lastKnownFormat('abc123'));
  assert.equal(await file.read(), undefined);
  const { model, alias, version, revision, manifest } = pointing(one);
  const state = { aliases: [{ model, alias, version, revision, manifest }] };
  await file.write(state);
  assert.deepEqual(await file.read(), state);
});

for (const [what, change] of [
  ['a model name that is a path', { model: '../../etc' }],
  ['an alias that cannot be', { alias: 'latest' }],
  ['a version below 1', { version: 0 }],
  ['a digest of another form', { manifest: { digest: 'md5:00', sizeBytes: 1 } }],
] as const) {
  test(`a document with ${what} counts as none`, () => {
    const { schema } = lastKnownFormat('x');
    const { model, alias, version, revision, manifest } = pointing(one);
    const alright = { model, alias, version, revision, manifest };
    assert.equal(schema.safeParse({ aliases: [alright] }).success, true);
    assert.equal(schema.safeParse({ aliases: [{ ...alright, ...change }] }).success, false);
  });
}
