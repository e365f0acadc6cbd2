import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { cacheFolder, never } from '../../support/cache-folder.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { blobOf, FakeBlobSource, patternBytes } from '../../support/fake-blob-source.ts';
import { makeVersion, pointing } from '../../support/made-version.ts';
import { RolloutBench, rolloutBench } from '../../support/rollout-bench.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const HOUR_MS = 3_600_000;
const broken = new ServiceError('failed-precondition', 'LOAD_FAILED', 'no such operator');

test('a prefetched version is fetched and not loaded; its promotion fetches nothing more', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.source.prefetch(two, HOUR_MS);
  await eventually(() => bench.stateOf(two) === 'fetched');
  await manyTurns();
  assert.deepEqual([bench.stateOf(two), bench.loader.loads], ['fetched', ['M:1']]);
  assert.equal(await bench.versionOf('M'), 1);
  const requests = bench.source.blobRequests(two);
  bench.source.change(pointing(two));
  await eventually(() => bench.stateOf(two) === 'ready');
  assert.equal(bench.source.blobRequests(two), requests);
});

test('it is kept from eviction until its time is up', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open({}, { maxBytes: 1 });
  const bench = new RolloutBench(cache);
  folder.beforeClose(() => bench.close());
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.source.prefetch(two, HOUR_MS);
  await eventually(() => bench.stateOf(two) === 'fetched');
  // Each blob that comes in makes room in a cache that is far over its budget.
  const fetchOther = async (seed: number): Promise<void> => {
    const bytes = patternBytes(100, seed);
    await cache.ensure(blobOf(bytes), [new FakeBlobSource('other', bytes)], never);
  };
  const [artifact] = two.manifest.artifacts;
  assert.ok(artifact);
  await fetchOther(1);
  assert.notEqual(await cache.lookup(artifact, never), undefined);
  bench.pass(HOUR_MS - 1);
  await manyTurns();
  assert.equal(bench.stateOf(two), 'fetched');
  bench.pass(1);
  await eventually(() => bench.stateOf(two) === undefined);
  await fetchOther(2);
  assert.equal(await cache.lookup(artifact, never), undefined);
});

test('a registry that goes away, or comes back and knows nothing of it, takes nothing away', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.source.prefetch(two, HOUR_MS);
  await eventually(() => bench.stateOf(two) === 'fetched');
  bench.source.goDown();
  bench.source.isDown = false;
  await eventually(() => bench.source.watches >= 2);
  bench.source.snapshot(pointing(one));
  bench.source.alive();
  await manyTurns();
  assert.equal(bench.stateOf(two), 'fetched');
});

test('a prefetch that fails is tried again, and then nothing of the failure is left', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  await bench.startWith(pointing(one));
  bench.source.prefetch(two, HOUR_MS);
  await eventually(() => bench.stateOf(two) === 'failed');
  assert.equal(bench.reasonOf(two), 'VERSION_NOT_FOUND');
  await bench.settled();
  bench.source.publish(two);
  bench.pass(30_000);
  await eventually(() => bench.stateOf(two) === 'fetched');
  assert.equal(bench.reasonOf(two), undefined);
});

test('a version that did not load is known for it, also while it is held ahead for another try', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.loader.refuse(broken, ({ label }) => label === 'M:2');
  bench.source.prefetch(two, HOUR_MS);
  bench.source.change(pointing(two, 'production', 3));
  await eventually(() => bench.stateOf(two) === 'failed');
  bench.source.change(pointing(one, 'production', 4));
  bench.pass(30_000);
  await eventually(() => bench.stateOf(two) === 'fetched');
  assert.equal(bench.reasonOf(two), 'LOAD_FAILED');
});

test('one that served and is prefetched stays when its alias moves on', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.source.prefetch(one, HOUR_MS);
  bench.source.change(pointing(two));
  await eventually(() => bench.stateOf(two) === 'ready');
  await eventually(() => bench.stateOf(one) === 'fetched');
  await manyTurns();
  assert.equal(bench.stateOf(one), 'fetched');
  assert.equal(bench.rollout.current?.labels(), 'M:2');
});

test('a prefetch of a model that this server does not serve is none of its business', async (t) => {
  const bench = await rolloutBench(t, { models: ['N*'] });
  bench.source.publish(one);
  await bench.startWith();
  bench.source.prefetch(one, HOUR_MS);
  bench.source.alive();
  await manyTurns();
  assert.equal(bench.stateOf(one), undefined);
});
