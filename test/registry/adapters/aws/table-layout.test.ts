import assert from 'node:assert/strict';
import { it } from 'node:test';
import { digestOf } from '../../../../proto/wire/digest.ts';
import { MAX_VERSION } from '../../../../proto/wire/names.ts';
import { type Key, keys, ranges } from '../../../../registry/adapters/aws/table-layout.ts';

const digest = digestOf(Buffer.from('x'));

it('has one place for everything', () => {
  const table: [Key, string, string][] = [
    [keys.identity, 'store', 'identity'],
    [keys.feedHead, 'store', 'feed-head'],
    [keys.model('m'), 'models', 'm'],
    [keys.modelLabel('lab', 'a=b#c', 'm'), 'model-label#lab=a=b#c', 'm'],
    [keys.version('m', 7), 'versions#m', '0000000007'],
    [keys.manifest('m', digest), 'manifests#m', digest],
    [keys.versionLabel('m', 'lab', '', 7), 'version-label#m#lab=', '0000000007'],
    [keys.blob(digest, 12, 'm', 7), `blob#${digest}`, '0000000000000012#m#0000000007'],
    [keys.staging('s'), 'staging#s', 'staging'],
    [keys.request('promote', 'any#thing'), 'request#promote#any#thing', 'request'],
    [keys.alias('m', 'production'), 'aliases', 'm#production'],
    [keys.event('m', 3), 'events#m', '000000000000003'],
    [keys.aliasEvent('m', 'production', 2), 'alias-events#m#production', '0000000002'],
    [keys.feed(3), 'feed', '000000000000003'],
    [keys.server('server-a'), 'servers', 'server-a'],
    [keys.serversHead, 'store', 'servers-head'],
    [keys.prefetch('m', 7), 'prefetches', 'm#0000000007'],
    [keys.prefetchesHead, 'store', 'prefetches-head'],
  ];
  for (const [key, pk, sk] of table) {
    assert.deepEqual(key, { pk, sk });
  }
  assert.equal(new Set(table.map(([key]) => JSON.stringify(key))).size, table.length);
});

it('sorts as numbers do', () => {
  const versions = [1, 9, 10, 99, 100, 12_345, MAX_VERSION];
  const sorted = versions.map((version) => keys.version('m', version).sk).toSorted();
  assert.deepEqual(sorted.map(Number), versions);
  const sequences = [1, 10, 999_999_999_999_999];
  assert.deepEqual(
    sequences
      .map((sequence) => keys.feed(sequence).sk)
      .toSorted()
      .map(Number),
    sequences,
  );
  const largest = keys.blob(digest, Number.MAX_SAFE_INTEGER, 'm', 1).sk.split('#')[0];
  assert.equal(largest?.length, keys.blob(digest, 0, 'm', 1).sk.split('#')[0]?.length);
});

it('finds the aliases of a model, and of all models between two, and no others', () => {
  const models = ['a', 'a-b', 'a.b', 'aB', 'a_', 'ab', 'b'];
  const all = models.map((model) => keys.alias(model, 'x').sk).toSorted();
  // In the models' own order, though some names begin with others.
  assert.deepEqual(
    all.map((sk) => sk.split('#')[0]),
    models.toSorted(),
  );
  const of = ranges.aliasesOf('a');
  assert.ok(of.kind === 'prefix');
  assert.deepEqual(
    all.filter((sk) => sk.startsWith(of.value)),
    ['a#x'],
  );
  const between = ranges.aliasesBetween('a', 'aB');
  assert.ok(between.kind === 'between');
  assert.deepEqual(
    all.filter((sk) => sk >= between.low && sk <= between.high),
    ['a#x', 'a-b#x', 'a.b#x', 'aB#x'],
  );
});

it('keeps references to a blob apart by its size', () => {
  const range = ranges.blobOfSize(12);
  assert.ok(range.kind === 'prefix');
  assert.ok(keys.blob(digest, 12, 'm', 7).sk.startsWith(range.value));
  assert.ok(!keys.blob(digest, 120, 'm', 7).sk.startsWith(range.value));
});

it('asks for no empty part of a key, which DynamoDB refuses', () => {
  assert.deepEqual(ranges.after(''), ranges.all);
  assert.deepEqual(ranges.from(''), ranges.all);
});
