import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AliasTable } from '../../../inference/rollout/alias-table.ts';
import { asAlias, asModel, makeVersion, pointing } from '../../support/made-version.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);
const other = makeVersion('N', 7);

function show(table: AliasTable): string[] {
  return table
    .all()
    .map(({ model, alias, version, revision }) => `${model}@${alias}=${version} r${revision}`)
    .toSorted();
}

test('begins with what it is given', () => {
  const table = new AliasTable([pointing(one), pointing(other, 'canary')]);
  assert.deepEqual(show(table), ['M@production=1 r1', 'N@canary=7 r7']);
  assert.equal(table.get(asModel('N'), asAlias('canary'))?.version, 7);
  assert.equal(table.get(asModel('N'), asAlias('production')), undefined);
});

test('a snapshot replaces everything, with older revisions too', () => {
  const table = new AliasTable([pointing(two, 'production', 9), pointing(other)]);
  table.apply({ kind: 'snapshot', aliases: [pointing(one, 'production', 3)] });
  assert.deepEqual(show(table), ['M@production=1 r3']);
});

test('an empty snapshot empties it', () => {
  const table = new AliasTable([pointing(one)]);
  table.apply({ kind: 'snapshot', aliases: [] });
  assert.deepEqual(show(table), []);
});

for (const [what, revision, expected] of [
  ['a newer change replaces', 6, 'M@production=2 r6'],
  ['a change of the same revision is a repetition', 5, 'M@production=1 r5'],
  ['an older change is ignored', 4, 'M@production=1 r5'],
] as const) {
  test(what, () => {
    const table = new AliasTable([pointing(one, 'production', 5)]);
    table.apply({ kind: 'change', alias: pointing(two, 'production', revision) });
    assert.deepEqual(show(table), [expected]);
  });
}

test('a change adds an alias and leaves the others alone', () => {
  const table = new AliasTable([pointing(one)]);
  table.apply({ kind: 'change', alias: pointing(two, 'canary') });
  assert.deepEqual(show(table), ['M@canary=2 r2', 'M@production=1 r1']);
});

test('a sign of life changes nothing', () => {
  const table = new AliasTable([pointing(one)]);
  table.apply({ kind: 'alive' });
  assert.deepEqual(show(table), ['M@production=1 r1']);
});
