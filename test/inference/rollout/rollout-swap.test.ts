import assert from 'node:assert/strict';
import { test } from 'node:test';
import { never } from '../../support/cache-folder.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { makeVersion, pointing } from '../../support/made-version.ts';
import { rolloutBench } from '../../support/rollout-bench.ts';
import { isError } from '../../support/service-errors.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const other = makeVersion('N', 1);

test('what the registry wants is fetched, loaded and served', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, other);
  await bench.startWith(pointing(one), pointing(other, 'canary'));
  assert.equal(bench.rollout.current?.labels(), 'M:1 N:1');
  assert.equal(await bench.versionOf('M'), 1);
  assert.equal(await bench.versionOf('N@canary'), 1);
  assert.deepEqual(
    bench.rollout.status().aliases.map(({ desired, serving }) => `${desired.model} ${desired.version} ${serving?.version}`),
    ['M 1 1', 'N 1 1'],
  );
});

test('an engine gets the paths of verified files that are pinned in the cache', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  await bench.startWith(pointing(one));
  const path = bench.rollout.current?.specs[0]?.paths[one.graphDigest];
  assert.ok(path?.endsWith(one.graphDigest.slice('sha256:'.length)));
});

test('the old version serves until the new one is loaded; then every new request has the new one', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  const old = bench.rollout.current;
  const loading = bench.loader.hold();
  bench.source.change(pointing(two));
  await eventually(() => bench.stateOf(two) === 'loading');
  using before = await bench.acquire('M');
  assert.deepEqual([before.key.version, before.set], [1, old]);
  loading.resolve();
  await eventually(() => bench.rollout.current !== old);
  assert.equal(await bench.versionOf('M'), 2);

  // The request that began before stays on the old set, which lives as long as it does.
  assert.equal(before.set.has(one.id), true);
  assert.equal(bench.stateOf(one), 'draining');
  assert.deepEqual(bench.rollout.draining, [old]);
  await manyTurns();
  assert.equal(old?.isDisposed, false);
  before[Symbol.dispose]();
  await eventually(() => (old?.isDisposed ?? false) && bench.stateOf(one) === undefined);
  assert.deepEqual(bench.rollout.draining, []);
});

test('no moment of a swap shows new content under an old alias', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  const seen = new Set<string>();
  bench.source.change(pointing(two));
  while (!seen.has('2 in 2')) {
    using use = await bench.acquire('M');
    seen.add(`${use.key.version} in ${use.set.specs.map(({ label }) => label.slice(2)).join()}`);
    await new Promise(setImmediate);
  }
  assert.deepEqual([...seen].toSorted(), ['1 in 1', '2 in 2']);
});

test('a disk that does not answer keeps no request waiting for ever', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  let isWritten = (): void => undefined;
  bench.remembering = new Promise((resolve) => {
    isWritten = () => resolve();
  });
  await bench.rollout.start();
  bench.source.snapshot(pointing(one));
  assert.equal(await bench.versionOf('M'), 1);
  isWritten();
});

test('what is served is remembered already: a server that is killed then starts with it', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.source.change(pointing(two, 'production', 2));
  await eventually(() => bench.rollout.current?.has(two.id) === true);
  assert.deepEqual(
    bench.remembered?.aliases.map(({ version }) => version),
    [2],
  );
});

test('an older revision is ignored', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(two, 'production', 5));
  bench.source.change(pointing(one, 'production', 4));
  await manyTurns();
  assert.equal(await bench.versionOf('M'), 2);
  assert.equal(bench.loader.loads.length, 1);
});

test('a snapshot that lacks an alias unloads it', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, other);
  await bench.startWith(pointing(one), pointing(other));
  bench.source.snapshot(pointing(other));
  await eventually(() => bench.stateOf(one) === undefined);
  assert.equal(bench.rollout.current?.labels(), 'N:1');
  bench.source.snapshot();
  await eventually(() => bench.rollout.current === undefined);
  await eventually(() => bench.loader.sets.every(({ isDisposed }) => isDisposed));
  await assert.rejects(bench.acquire('M'), isError('not-found', 'VERSION_NOT_FOUND'));
});

test('silence unloads nothing: not a sign of life, not a broken watch, not a registry that is gone', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  await bench.startWith(pointing(one));
  bench.source.alive();
  bench.source.goDown();
  await eventually(() => !bench.rollout.status().connection.isConnected);
  bench.pass(1e9);
  await manyTurns();
  assert.equal(await bench.versionOf('M'), 1);
  assert.deepEqual(bench.loader.loads, ['M:1']);
});

test('the connection is told once per change', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  await bench.startWith(pointing(one));
  bench.source.goDown();
  await eventually(() => bench.source.watches >= 3);
  bench.source.isDown = false;
  bench.source.snapshot(pointing(one));
  await eventually(() => bench.rollout.status().connection.isConnected);
  const told = bench.events.flatMap((event) => (event.kind === 'connection' ? [event.connection] : []));
  assert.deepEqual(
    told.map((connection) => (connection.isConnected ? 'up' : connection.error?.reason)),
    ['up', 'REGISTRY_UNAVAILABLE', 'up'],
  );
});

test('an alias that is moved to what is loaded already costs no load', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  await bench.startWith(pointing(one));
  bench.source.change(pointing(one, 'canary'));
  await bench.settled();
  assert.equal(await bench.versionOf('M@canary'), 1);
  assert.deepEqual(bench.loader.loads, ['M:1']);
});

test('a version that drains and is wanted again is loaded anew without a fetch', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  using held = await bench.acquire('M');
  bench.source.change(pointing(two, 'production', 2));
  await eventually(() => bench.stateOf(one) === 'draining');
  bench.source.change(pointing(one, 'production', 3));
  await eventually(() => bench.stateOf(one) === 'ready');
  assert.deepEqual(bench.loader.loads, ['M:1', 'M:2', 'M:1']);
  assert.equal(bench.source.blobRequests(one), 1);
  held[Symbol.dispose]();
  await eventually(() => bench.loader.sets[0]?.isDisposed === true);
  assert.equal(bench.stateOf(one), 'ready');
  assert.equal(await bench.versionOf('M'), 1);
});

test('close ends the watch and the fetches, waits for leases, disposes everything', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  let isHanging = false;
  const source = bench.source.blobs.get(two.id);
  assert.ok(source);
  source.onOpen = (_, signal) =>
    new Promise((_resolve, reject) => {
      isHanging = true;
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    });
  bench.source.change(pointing(two));
  await eventually(() => isHanging);
  using held = await bench.acquire('M');
  let isClosed = false;
  const closing = bench.close().then(() => {
    isClosed = true;
  });
  await manyTurns();
  assert.deepEqual([isClosed, bench.loader.sets[0]?.isDisposed], [false, false]);
  held[Symbol.dispose]();
  await closing;
  assert.equal(bench.loader.sets[0]?.isDisposed, true);
});

test('close ends a load under way, and who waits for it is told', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  bench.loader.hold();
  await bench.rollout.start();
  bench.source.snapshot(pointing(one));
  await eventually(() => bench.stateOf(one) === 'loading');
  const waiting = assert.rejects(bench.acquire('M'), isError('unavailable', 'SHUTTING_DOWN'));
  const settling = assert.rejects(bench.settled(), isError('unavailable', 'SHUTTING_DOWN'));
  await bench.close();
  await waiting;
  await settling;
  await assert.rejects(bench.acquire('M'), isError('unavailable', 'SHUTTING_DOWN'));
  assert.equal(
    bench.events.some(({ kind }) => kind === 'defect' || kind === 'failed'),
    false,
  );
});

test('each change of what the status says is told, also that a load began', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  const gate = bench.loader.hold();
  const seen: (string | undefined)[] = [];
  const following = (async () => {
    while (seen.at(-1) !== 'loading') {
      await bench.rollout.changed(never);
      seen.push(bench.stateOf(two));
    }
  })();
  bench.source.change(pointing(two));
  await following;
  gate.resolve();
  await eventually(() => bench.stateOf(two) === 'ready');
});
