import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VersionKey } from '../../../inference/rollout/servable.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { deferred } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { makeVersion, pointing } from '../../support/made-version.ts';
import { rolloutBench } from '../../support/rollout-bench.ts';
import { isError } from '../../support/service-errors.ts';

const [one, two, three, four] = [1, 2, 3, 4].map((version) => makeVersion('M', version)) as [
  ReturnType<typeof makeVersion>,
  ReturnType<typeof makeVersion>,
  ReturnType<typeof makeVersion>,
  ReturnType<typeof makeVersion>,
];
const never = new AbortController().signal;

test('a version that a request names is loaded beside the others while it waits, and announced once', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(two));
  const announced: VersionKey[] = [];
  using use = await bench.acquire('M:1', never, (key) => void announced.push(key));
  assert.equal(use.key.version, 1);
  assert.deepEqual(
    announced.map(({ version }) => version),
    [1],
  );
  assert.equal(use.set.labels(), 'M:1 M:2');
  using again = await bench.acquire('M:1', never, (key) => void announced.push(key));
  assert.equal(again.set, use.set);
  assert.equal(announced.length, 1);
  assert.deepEqual(bench.source.resolved, ['M:2', 'M:1', 'M:1'].slice(0, bench.source.resolved.length));
});

test('@latest is the newest version, asked for each time', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  assert.equal(await bench.versionOf('M@latest'), 2);
  bench.source.publish(three);
  assert.equal(await bench.versionOf('M@latest'), 3);
  assert.equal(await bench.versionOf('M'), 1);
});

test('an alias that this server does not keep loaded is loaded when a request names it', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one), pointing(two, 'experiment'));
  assert.equal(bench.stateOf(two), undefined);
  assert.equal(await bench.versionOf('M@experiment'), 2);
});

test('the least recently used one leaves when there are too many', async (t) => {
  const bench = await rolloutBench(t, { maxOnDemand: 2 });
  bench.source.publish(one, two, three, four);
  await bench.startWith(pointing(four));
  await bench.versionOf('M:1');
  await bench.versionOf('M:2');
  await bench.versionOf('M:1');
  await bench.versionOf('M:3');
  await eventually(() => bench.rollout.current?.labels() === 'M:1 M:3 M:4');
});

test('one too many leaves as soon as its request has its lease, and the lease stays good', async (t) => {
  const bench = await rolloutBench(t, { maxOnDemand: 1 });
  bench.source.publish(one, two, three);
  await bench.startWith(pointing(three));
  const uses = await Promise.all([bench.acquire('M:1'), bench.acquire('M:2')]);
  assert.deepEqual(
    uses.map((use) => use.set.has(use.id)),
    [true, true],
  );
  // Which of the two stays depends on which was loaded first.
  await eventually(() => bench.rollout.current?.specs.length === 2);
  assert.equal(bench.rollout.current?.has(three.id), true);
  assert.ok(uses.every((use) => !use.set.isDisposed));
  for (const use of uses) {
    use[Symbol.dispose]();
  }
  await eventually(() => bench.rollout.draining.length === 0);
});

test('what does not exist is not found', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one);
  await bench.startWith(pointing(one));
  for (const text of ['M:9', 'X', 'M@canary', 'X@latest']) {
    await assert.rejects(bench.acquire(text), isError('not-found', 'VERSION_NOT_FOUND'));
  }
});

test('with the registry down what is loaded is served, and what is unknown is unavailable', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  bench.source.goDown();
  assert.equal(await bench.versionOf('M'), 1);
  assert.equal(await bench.versionOf('M:1'), 1);
  for (const text of ['M:2', 'M@latest', 'X']) {
    await assert.rejects(bench.acquire(text), isError('unavailable', 'REGISTRY_UNAVAILABLE'));
  }
});

test('a registry that does not answer in time counts as down', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.gate = Promise.reject(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', '10 s'));
  bench.source.gate.catch(() => undefined);
  await bench.startWith();
  await assert.rejects(bench.acquire('M:2'), isError('unavailable', 'REGISTRY_UNAVAILABLE'));
});

test('a caller that leaves while the registry is asked is told its own reason', async (t) => {
  const bench = await rolloutBench(t);
  const answer = deferred();
  bench.source.gate = answer.promise;
  await bench.startWith();
  const call = new AbortController();
  const asking = bench.acquire('M:1', call.signal);
  call.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  answer.resolve();
  await assert.rejects(asking, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
});

test('a caller that leaves while its version is loaded does not stop the load', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(two));
  const load = bench.loader.hold();
  const call = new AbortController();
  const waiting = bench.acquire('M:1', call.signal);
  await eventually(() => bench.stateOf(one) === 'loading');
  call.abort(new ServiceError('cancelled', 'CANCELLED', 'gone'));
  await assert.rejects(waiting, isError('cancelled', 'CANCELLED'));
  load.resolve();
  await eventually(() => bench.stateOf(one) === 'ready');
});

test('an alias that is removed while a request waits for it is not found', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(one));
  const load = bench.loader.hold();
  bench.source.change(pointing(two, 'canary'));
  await eventually(() => bench.stateOf(two) === 'loading');
  const waiting = bench.acquire('M@canary');
  bench.source.snapshot(pointing(one));
  await assert.rejects(waiting, isError('not-found', 'ALIAS_NOT_FOUND'));
  load.resolve();
  await eventually(() => bench.rollout.current?.labels() === 'M:1');
});

test('a version that cannot be loaded is refused to its request, and again without another try', async (t) => {
  const bench = await rolloutBench(t);
  bench.source.publish(one, two);
  await bench.startWith(pointing(two));
  bench.loader.refuse(new ServiceError('failed-precondition', 'LOAD_FAILED', 'broken'), ({ label }) => label === 'M:1');
  await assert.rejects(bench.acquire('M:1'), isError('failed-precondition', 'LOAD_FAILED'));
  const loads = bench.loader.loads.length;
  await assert.rejects(bench.acquire('M:1'), isError('failed-precondition', 'LOAD_FAILED'));
  await manyTurns();
  assert.equal(bench.loader.loads.length, loads);
  assert.equal(await bench.versionOf('M'), 2);
});
