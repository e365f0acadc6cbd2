import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelHealth } from '../../../inference/rollout/model-health.ts';
import { type MadeVersion, makeVersion, pointing } from '../../support/made-version.ts';

const one = makeVersion('M', 1);
const two = makeVersion('M', 2);

const record = ({ id, key }: MadeVersion) => ({ id, key, state: 'ready', sinceMs: 0, error: undefined, retryAtMs: 0 }) as const;

test('an alias serves while a version is loaded for it, be it an older one than is wanted', () => {
  const aliases = [
    { desired: pointing(two), serving: one.key },
    { desired: pointing(two, 'canary'), serving: undefined },
  ];
  const health = modelHealth({ aliases, versions: [record(one), record(two)] }, (id) => id === one.id);
  assert.deepEqual(Object.fromEntries(health), {
    M: true,
    'M@production': true,
    'M@canary': false,
    'M:1': true,
    'M:2': false,
  });
});

test('what an alias serves on is loaded, or the alias does not serve', () => {
  const health = modelHealth({ aliases: [{ desired: pointing(one), serving: one.key }], versions: [record(one)] }, () => false);
  assert.deepEqual([...health.values()], [false, false, false]);
});

test('of two contents under one name, one that is loaded is enough', () => {
  const other = { ...record(two), key: one.key };
  for (const versions of [
    [record(one), other],
    [other, record(one)],
  ]) {
    assert.equal(modelHealth({ aliases: [], versions }, (id) => id === one.id).get('M:1'), true);
  }
});
