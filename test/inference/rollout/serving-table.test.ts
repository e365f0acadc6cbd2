import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServingTable } from '../../../inference/rollout/serving-table.ts';
import { VersionBook } from '../../../inference/rollout/version-book.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { createServedSet } from '../../../proto/wire/served-set.ts';
import { type MadeVersion, makeVersion, pointing, ref } from '../../support/made-version.ts';

const [one, two, other] = [makeVersion('M', 1), makeVersion('M', 2), makeVersion('N', 1)];
const KEY = 'M@production';

function bench() {
  const book = new VersionBook(() => 0);
  const table = new ServingTable(createServedSet({ models: ['M'], aliases: ['production'] }), book);
  const fail = ({ id }: MadeVersion): void => {
    book.apply(id, 'fetch-begun');
    book.failed(id, new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'away'));
  };
  const serve = ({ id }: MadeVersion): void => table.point(new Map([[KEY, id]]));
  return { table, fail, serve };
}

test('only the aliases of the served set count, though all are known', () => {
  const { table } = bench();
  table.apply({ kind: 'snapshot', aliases: [pointing(one), pointing(two, 'canary'), pointing(other)] });
  assert.deepEqual([...table.desired()], [[KEY, one.id]]);
  assert.deepEqual(
    table.status().map(({ desired, serving }) => [desired.version, serving]),
    [[1, undefined]],
  );
  assert.equal(table.aliases.all().length, 3);
  assert.deepEqual(
    [table.follow(ref('N')), table.follow(ref('M@canary')), table.follow(ref('M:1'))],
    [undefined, undefined, undefined],
  );
});

test('nothing is settled before something is known; then what serves as desired, or failed with nothing to come', () => {
  const { table, fail, serve } = bench();
  assert.equal(table.isSettled(), false);
  table.apply({ kind: 'alive' });
  assert.equal(table.isSettled(), false);
  table.apply({ kind: 'snapshot', aliases: [pointing(one)] });
  assert.equal(table.isSettled(), false);
  serve(one);
  assert.equal(table.isSettled(), true);
  table.apply({ kind: 'change', alias: pointing(two, 'production', 2) });
  assert.equal(table.isSettled(), false);
  table.desired();
  fail(two);
  assert.equal(table.isSettled(), true, 'the old one serves');
  table.point(new Map());
  assert.equal(table.isSettled(), true, 'none serves, and none will');
});

test('what served in the last run comes while the desired one fails; once something serves, that counts', () => {
  const { table, fail, serve } = bench();
  table.restore({ aliases: [pointing(one)] });
  table.apply({ kind: 'change', alias: pointing(two, 'production', 2) });
  const current = table.follow(ref('M')) ?? assert.fail();
  assert.equal(current(), two.id);
  assert.deepEqual([...table.remembered()], [[KEY, one.id]]);
  fail(two);
  assert.equal(current(), one.id);
  assert.equal(table.isSettled(), false, 'the remembered one is to come');
  serve(one);
  assert.deepEqual([current(), [...table.remembered()], table.isSettled()], [one.id, [], true]);
});

test('what is unloaded before its successor is loaded is written down, and comes back should that fail', () => {
  const { table, fail, serve } = bench();
  table.apply({ kind: 'snapshot', aliases: [pointing(one)] });
  table.desired();
  serve(one);
  table.apply({ kind: 'change', alias: pointing(two, 'production', 2) });
  table.desired();
  assert.deepEqual(
    table.toRemember(new Map()).aliases.map(({ version }) => version),
    [1],
  );
  table.point(new Map());
  fail(two);
  assert.equal(table.follow(ref('M'))?.(), one.id);
  assert.deepEqual(
    table.toRemember(new Map([[KEY, two.id]])).aliases.map(({ version }) => version),
    [2],
  );
});
