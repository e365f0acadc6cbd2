import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VersionKey } from '../../../inference/rollout/servable.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { Manifest } from '../../../proto/wire/manifest.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { makeVersion, pointing, ref } from '../../support/made-version.ts';
import { rolloutBench } from '../../support/rollout-bench.ts';

const never = new AbortController().signal;
const light = makeVersion('C', 1);
const heavyOf = (model: string, version: number) =>
  makeVersion(model, version, `graph of ${model}:${version}`, 'mask2former-segmenter.v1');
const weigh = ({ contract }: Manifest): number => (contract === 'mask2former-segmenter.v1' ? 6 : 0);
/** Room for one. */
const memory = (isUnloadFirst: boolean) => ({ weigh, budgetBytes: 10, isUnloadFirst });

test('a heavy version on demand makes room for another one; both requests are answered', async (t) => {
  const bench = await rolloutBench(t, {}, memory(false));
  const [first, second] = [heavyOf('S', 1), heavyOf('T', 1)];
  bench.source.publish(light, first, second);
  await bench.startWith(pointing(light));
  const held = await bench.acquire('S:1');
  const waiting = bench.acquire('T:1');
  // The first one is in use: it leaves the set, and the memory only when it is given back.
  await eventually(() => bench.rollout.current?.labels() === 'C:1');
  assert.ok(!bench.loader.loads.includes('C:1 T:1'));
  assert.equal(held.set.isDisposed, false);
  held[Symbol.dispose]();
  using use = await waiting;
  assert.equal(use.set.labels(), 'C:1 T:1');
  assert.equal(held.set.isDisposed, true);
});

for (const isUnloadFirst of [false, true]) {
  test(`a promotion where two versions do not fit, ${isUnloadFirst ? 'unloading first' : 'as a rule'}`, async (t) => {
    const bench = await rolloutBench(t, {}, memory(isUnloadFirst));
    const [old, young] = [heavyOf('S', 1), heavyOf('S', 2)];
    bench.source.publish(light, old, young);
    await bench.startWith(pointing(light), pointing(old));
    bench.loader.loads.length = 0;
    bench.source.change(pointing(young));
    await eventually(() => bench.rollout.current?.has(young.id) === true);
    // As a rule the new one is asked for beside the old one, for the engines to decide.
    assert.deepEqual(bench.loader.loads, isUnloadFirst ? ['C:1', 'C:1 S:2'] : ['C:1 S:2']);
    assert.equal(await bench.versionOf('S'), 2);
  });
}

test('while the old one is out and the new one not in, a request waits for the new one', async (t) => {
  const bench = await rolloutBench(t, {}, memory(true));
  const [old, young] = [heavyOf('S', 1), heavyOf('S', 2)];
  bench.source.publish(old, young);
  await bench.startWith(pointing(old));
  const held = await bench.acquire('S');
  bench.source.change(pointing(young));
  await eventually(() => bench.rollout.current === undefined);
  const loading: VersionKey[] = [];
  const waiting = bench.acquire('S', never, (key) => void loading.push(key));
  held[Symbol.dispose]();
  using use = await waiting;
  assert.equal(use.key.version, 2);
  assert.deepEqual(
    loading.map(({ version }) => version),
    [2],
  );
});

for (const hasServedAnother of [false, true]) {
  test(`unloaded first, what served last comes back if its successor fails${hasServedAnother ? ', not what served first' : ''}`, async (t) => {
    const bench = await rolloutBench(t, {}, memory(true));
    const [first, old, young] = [heavyOf('S', 1), heavyOf('S', 2), heavyOf('S', 3)];
    bench.source.publish(first, old, young);
    if (hasServedAnother) {
      bench.remembered = { aliases: [pointing(first)] };
      await bench.startWith(pointing(first));
      bench.source.change(pointing(old));
      await eventually(() => bench.rollout.current?.labels() === 'S:2');
    } else {
      await bench.startWith(pointing(old));
    }
    bench.loader.refuse(new ServiceError('failed-precondition', 'GOLDEN_CHECK_FAILED', 'no'), ({ label }) => label === 'S:3');
    const held = await bench.acquire('S');
    bench.loader.loads.length = 0;
    bench.source.change(pointing(young));
    await eventually(() => bench.rollout.current === undefined);
    // The old one is in use still: neither is loaded beside it.
    await manyTurns();
    assert.deepEqual(bench.loader.loads, []);
    held[Symbol.dispose]();
    await eventually(() => bench.stateOf(young) === 'failed');
    await eventually(() => bench.rollout.current !== undefined);
    assert.deepEqual(bench.loader.loads, ['S:3', 'S:2']);
    assert.equal(await bench.versionOf('S'), 2);
    assert.deepEqual(
      bench.remembered?.aliases.map(({ version }) => version),
      [2],
    );
    // However long it takes, what serves is not let go of for the same failure again; for another version it is.
    bench.pass(3_600_000);
    await manyTurns();
    assert.deepEqual(bench.loader.loads, ['S:3', 'S:2']);
    assert.equal(bench.reasonOf(young), 'GOLDEN_CHECK_FAILED');
    const next = heavyOf('S', 4);
    bench.source.publish(next);
    bench.source.change(pointing(next));
    await eventually(() => bench.rollout.current?.labels() === 'S:4');
  });
}

test('a successor that failed beside what serves has its turn once that may leave', async (t) => {
  const bench = await rolloutBench(t, {}, memory(true));
  const [old, young] = [heavyOf('S', 1), heavyOf('S', 2)];
  bench.source.publish(old, young);
  await bench.startWith(pointing(old), pointing(old, 'canary'));
  const { script } = bench.loader;
  bench.loader.refuse(new ServiceError('resource-exhausted', 'INSUFFICIENT_MEMORY', 'no'), ({ label }) => label === 'S:2');
  bench.source.change(pointing(young, 'canary'));
  await eventually(() => bench.stateOf(young) === 'failed');
  bench.loader.script = script;
  bench.source.change(pointing(young));
  bench.pass(3_600_000);
  await eventually(() => bench.rollout.current?.labels() === 'S:2');
  assert.equal(await bench.versionOf('S'), 2);
});

test('a successor whose bytes were broken here is fetched anew and tried again', async (t) => {
  const bench = await rolloutBench(t, {}, memory(true));
  const [old, young] = [heavyOf('S', 1), heavyOf('S', 2)];
  bench.source.publish(old, young);
  await bench.startWith(pointing(old));
  const { script } = bench.loader;
  bench.loader.refuse(new ServiceError('data-loss', 'DIGEST_MISMATCH', 'broken'), ({ label }) => label === 'S:2');
  bench.source.change(pointing(young));
  await eventually(() => bench.stateOf(young) === 'failed' && bench.rollout.current?.labels() === 'S:1');
  bench.loader.script = script;
  bench.pass(3_600_000);
  await eventually(() => bench.rollout.current?.labels() === 'S:2');
});

test('a successor for which runs of others left no room is tried again, but not soon: what serves leaves for it each time', async (t) => {
  const bench = await rolloutBench(t, {}, memory(true));
  const [old, young] = [heavyOf('S', 1), heavyOf('S', 2)];
  bench.source.publish(old, young);
  await bench.startWith(pointing(old));
  const { script } = bench.loader;
  bench.loader.refuse(new ServiceError('resource-exhausted', 'INSUFFICIENT_MEMORY', 'no'), ({ label }) => label === 'S:2');
  bench.source.change(pointing(young));
  await eventually(() => bench.stateOf(young) === 'failed' && bench.rollout.current?.labels() === 'S:1');
  bench.loader.script = script;
  bench.loader.loads.length = 0;
  bench.pass(29_000);
  await manyTurns();
  assert.deepEqual(bench.loader.loads, []);
  bench.pass(1000);
  await eventually(() => bench.rollout.current?.labels() === 'S:2');
});

for (const isUnloadFirst of [false, true]) {
  test(`a version on demand that nobody uses leaves for a promotion${isUnloadFirst ? ' that unloads first where it has to' : ''}`, async (t) => {
    const bench = await rolloutBench(t, {}, { weigh, budgetBytes: 12, isUnloadFirst });
    const [old, young, other] = [heavyOf('S', 1), heavyOf('S', 2), heavyOf('T', 1)];
    bench.source.publish(old, young, other);
    await bench.startWith(pointing(old));
    (await bench.acquire('T:1'))[Symbol.dispose]();
    bench.loader.loads.length = 0;
    bench.source.change(pointing(young));
    await eventually(() => bench.rollout.current?.has(young.id) === true);
    // Where what serves may leave first, the other one need not.
    assert.deepEqual(bench.loader.loads, isUnloadFirst ? ['T:1', 'S:2 T:1'] : ['S:1', 'S:2']);
  });
}

test('a version on demand leaves for another one while a successor fails', async (t) => {
  const bench = await rolloutBench(t, {}, { weigh, budgetBytes: 12, isUnloadFirst: false });
  const [old, young, first, second] = [heavyOf('S', 1), heavyOf('S', 2), heavyOf('T', 1), heavyOf('U', 1)];
  bench.source.publish(old, young, first, second);
  await bench.startWith(pointing(old));
  bench.loader.refuse(new ServiceError('failed-precondition', 'GOLDEN_CHECK_FAILED', 'no'), ({ label }) => label === 'S:2');
  bench.source.change(pointing(young));
  await eventually(() => bench.stateOf(young) === 'failed');
  (await bench.acquire('T:1'))[Symbol.dispose]();
  bench.loader.loads.length = 0;
  using use = await bench.acquire('U:1');
  assert.equal(use.set.labels(), 'S:1 U:1');
  assert.deepEqual(bench.loader.loads, ['S:1', 'S:1 U:1']);
});

test('models of one request are in one set, even where only one may stay on demand', async (t) => {
  const bench = await rolloutBench(t, { maxOnDemand: 1 });
  const [one, other] = [makeVersion('M', 1), makeVersion('N', 1)];
  bench.source.publish(light, one, other);
  await bench.startWith(pointing(light));
  const use = await bench.rollout.acquire([ref('M:1'), ref('N:1'), ref('C')], () => undefined, never);
  assert.deepEqual(
    use.versions.map(({ key }) => key.model),
    ['M', 'N', 'C'],
  );
  assert.ok(use.versions.every(({ id }) => use.set.has(id)));
  use[Symbol.dispose]();
  await eventually(() => bench.rollout.current?.labels() === 'C:1 N:1');
});
