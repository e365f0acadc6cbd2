import assert from 'node:assert/strict';
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { cacheFolder } from '../../support/cache-folder.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { makeVersion, pointing } from '../../support/made-version.ts';
import { RolloutBench, rolloutBench } from '../../support/rollout-bench.ts';
import { isError } from '../../support/service-errors.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const other = makeVersion('N', 1);
const broken = new ServiceError('failed-precondition', 'LOAD_FAILED', 'no such operator');
const corrupt = new ServiceError('data-loss', 'DIGEST_MISMATCH', 'other bytes on the disk');
const died = new ServiceError('unavailable', 'ENGINE_CRASHED', 'signal SIGSEGV');
const LONG_MS = 24 * 3600 * 1000;

test('a version that does not load leaves the old one serving and is tried again later', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.loader.refuse(broken, ({ label }) => label === 'M:2');
  bench.source.change(pointing(two));
  await eventually(() => bench.stateOf(two) === 'failed');
  assert.equal(bench.reasonOf(two), 'LOAD_FAILED');
  assert.equal(await bench.versionOf('M'), 1);
  await bench.settled();

  bench.pass(29_999);
  await manyTurns();
  assert.equal(bench.loader.loads.length, 2);
  bench.pass(1);
  await eventually(() => bench.loader.loads.length === 3);
  await eventually(() => bench.stateOf(two) === 'failed');
  // The pause doubles.
  bench.pass(59_999);
  await manyTurns();
  assert.equal(bench.loader.loads.length, 3);
  bench.loader.refuse(broken, () => false);
  bench.pass(1);
  await eventually(() => bench.stateOf(two) === 'ready');
  assert.equal(await bench.versionOf('M'), 2);
  assert.equal(bench.reasonOf(two), undefined);
});

test('where nothing serves yet, a request is told why', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  bench.loader.refuse(broken, () => true);
  await bench.startWith(pointing(one));
  await assert.rejects(bench.acquire('M'), isError('failed-precondition', 'LOAD_FAILED'));
});

test('one broken version does not keep the others from loading', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, other);
  bench.loader.refuse(broken, ({ label }) => label === 'M:1');
  await bench.startWith(pointing(one), pointing(other));
  assert.equal(bench.rollout.current?.labels(), 'N:1');
});

test('a contract that engines cannot run is refused before any artifact is fetched', async (t) => {
  const bench = await rolloutBench(t);
  const generic = makeVersion('G', 1, 'graph', 'tensors.v1');
  bench.source.publish(generic);
  await bench.startWith(pointing(generic));
  assert.equal(bench.stateOf(generic), 'failed');
  assert.equal(bench.source.blobRequests(generic), 0);
  assert.deepEqual(bench.loader.loads, []);
  await assert.rejects(bench.acquire('G'), isError('failed-precondition', 'UNSUPPORTED_MODEL'));
});

test('a corrupt file that an engine finds is set aside, fetched again and loaded', async (t) => {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open());
  folder.beforeClose(() => bench.close());
  bench.source.publish(one);
  bench.loader.refuse(corrupt, () => bench.loader.loads.length === 1, one.graphDigest);
  await bench.startWith(pointing(one));
  assert.equal(bench.reasonOf(one), 'DIGEST_MISMATCH');
  assert.equal((await folder.quarantined()).length, 1);
  bench.pass(500);
  await eventually(() => bench.stateOf(one) === 'ready');
  assert.equal(bench.source.blobRequests(one), 2);
  assert.equal(await bench.versionOf('M'), 1);
});

test('a serving version whose file went bad goes on serving while its file is fetched again', async (t) => {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open());
  folder.beforeClose(() => bench.close());
  bench.source.publish(one, two, other);
  await bench.startWith(pointing(one), pointing(other));
  const path = bench.rollout.current?.specs.find(({ id }) => id === other.id)?.paths[other.graphDigest] ?? '';
  await chmod(path, 0o644);
  await writeFile(path, 'rotten');
  const before = bench.loader.loads.length;
  bench.loader.refuse(corrupt, ({ label }) => label === 'N:1' && bench.loader.loads.length === before + 1, other.graphDigest);
  bench.source.change(pointing(two));
  await eventually(() => bench.stateOf(two) === 'ready');
  assert.equal(await bench.versionOf('N'), 1);
  assert.equal(bench.stateOf(other), 'ready');
  assert.equal(bench.source.blobRequests(other), 2);
  assert.equal((await folder.quarantined()).length, 1);
});

test('a serving version that fails to load again keeps serving, also with the registry down, and there is no tight loop', async (t) => {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open());
  folder.beforeClose(() => bench.close());
  bench.source.publish(one, two, other);
  await bench.startWith(pointing(one), pointing(other));
  bench.loader.script = async (specs) => {
    bench.source.goDown();
    return specs.filter(({ id }) => id === other.id).map(({ id }) => ({ id, error: corrupt, corrupt: other.graphDigest }));
  };
  const paused = deferred();
  const goOn = deferred();
  bench.pause = async (_ms, _value, { signal }) => {
    paused.resolve();
    await Promise.race([goOn.promise, whenAborted(signal)]);
  };
  bench.source.change(pointing(two));
  await paused.promise;
  const loads = bench.loader.loads.length;
  await manyTurns();
  assert.equal(bench.loader.loads.length, loads);
  assert.deepEqual([bench.stateOf(one), bench.stateOf(other), bench.stateOf(two)], ['ready', 'ready', 'fetched']);
  assert.deepEqual([await bench.versionOf('M'), await bench.versionOf('N')], [1, 1]);
  // Once the registry is back, everything goes its way.
  bench.source.isDown = false;
  bench.loader.refuse(broken, () => false);
  goOn.resolve();
  await eventually(() => bench.stateOf(two) === 'ready');
  assert.equal(
    bench.events.some(({ kind }) => kind === 'defect'),
    false,
  );
});

test("an engine that dies while loading is the new version's fault, not that of what serves", async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two, other);
  await bench.startWith(pointing(one), pointing(other));
  bench.loader.crash(died, ({ label }) => label === 'M:2');
  bench.source.change(pointing(two));
  await eventually(() => bench.stateOf(two) === 'failed');
  assert.equal(bench.reasonOf(two), 'LOAD_FAILED');
  assert.deepEqual([bench.stateOf(one), bench.stateOf(other)], ['ready', 'ready']);
  assert.equal(await bench.versionOf('M'), 1);
});

test('of several new versions the one that kills its engine is found, and the others serve', async (t) => {
  const bench = await rolloutBench(t);
  const third = makeVersion('O', 1);
  const first = makeVersion('Z', 1);
  bench.source.publish(one, other, third, first);
  // The three come in while another one is being loaded, so that they are loaded together next.
  const bytes = deferred();
  for (const made of [one, other, third]) {
    const source = bench.source.blobs.get(made.id);
    assert.ok(source);
    source.onOpen = () => bytes.promise;
  }
  const load = bench.loader.hold();
  await bench.rollout.start();
  bench.source.snapshot(pointing(one), pointing(other), pointing(third), pointing(first));
  await eventually(() => bench.stateOf(first) === 'loading');
  bytes.resolve();
  await eventually(() => bench.events.filter(({ kind }) => kind === 'fetched').length === 4);
  bench.loader.crash(died, ({ label }) => label === 'N:1');
  load.resolve();
  await bench.settled();
  assert.deepEqual([bench.stateOf(one), bench.stateOf(other), bench.stateOf(third)], ['ready', 'failed', 'ready']);
  assert.equal(bench.rollout.current?.labels(), 'M:1 O:1 Z:1');
  assert.equal(bench.loader.loads[1], 'M:1 N:1 O:1 Z:1');
});

test("an engine that dies while loading what serves already is no version's fault and is tried again", async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, other);
  await bench.startWith(pointing(one), pointing(other));
  const before = bench.loader.loads.length;
  bench.loader.crash(died, () => bench.loader.loads.length === before + 1);
  bench.source.snapshot(pointing(one));
  await eventually(() => bench.rollout.current?.labels() === 'M:1');
  assert.equal(bench.loader.loads.length, before + 2);
  assert.equal(
    bench.events.some(({ kind }) => kind === 'failed'),
    false,
  );
  assert.equal(bench.stateOf(one), 'ready');
});

test('a registry that gives other bytes under a version number is data loss', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(makeVersion('M', 1, 'other bytes'));
  await bench.startWith(pointing(one));
  assert.equal(bench.stateOf(one), 'failed');
  assert.equal(bench.reasonOf(one), 'DIGEST_MISMATCH');
  await assert.rejects(bench.acquire('M'), isError('unavailable', 'MODEL_NOT_READY'));
});

test('a fetch that fails is tried again after a pause that grows', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  const source = bench.source.blobs.get(one.id);
  assert.ok(source);
  source.faultOf = () => 'unavailable';
  await bench.startWith(pointing(one));
  await assert.rejects(bench.acquire('M'), isError('unavailable', 'MODEL_NOT_READY'));
  const tries = (): number => source.requests.length;
  const first = tries();
  bench.pass(499);
  await manyTurns();
  assert.equal(tries(), first);
  bench.pass(1);
  await eventually(() => tries() > first);
  source.faultOf = () => undefined;
  await eventually(() => bench.stateOf(one) === 'failed');
  bench.pass(1000);
  await eventually(() => bench.stateOf(one) === 'ready');
});

test('a failed version that nobody wants any more is forgotten', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  bench.loader.refuse(broken, ({ label }) => label === 'M:2');
  await bench.startWith(pointing(two));
  bench.source.change(pointing(one, 'production', 3));
  await eventually(() => bench.stateOf(two) === undefined && bench.stateOf(one) === 'ready');
  bench.pass(LONG_MS);
  await manyTurns();
  assert.deepEqual(bench.loader.loads, ['M:2', 'M:1']);
});

test('what cannot be remembered is an event, and serves all the same', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  bench.remembering = Promise.reject(new ServiceError('resource-exhausted', 'STORAGE_FULL', 'full'));
  bench.remembering.catch(() => undefined);
  await bench.startWith(pointing(one));
  await eventually(() => bench.events.some(({ kind }) => kind === 'defect'));
  assert.equal(await bench.versionOf('M'), 1);
});

test('a quarantine that fails leaves nothing half-way', async (t) => {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open());
  folder.beforeClose(() => bench.close());
  bench.source.publish(one, other);
  await writeFile(folder.layout.quarantine, 'a file where the folder should be').catch(() => undefined);
  bench.loader.refuse(corrupt, ({ label }) => label === 'M:1', one.graphDigest);
  await bench.startWith(pointing(one), pointing(other));
  assert.deepEqual([bench.stateOf(one), bench.stateOf(other)], ['failed', 'ready']);
  assert.ok((await readdir(folder.root)).length > 0);
});
