import assert from 'node:assert/strict';
import { it } from 'node:test';
import { keys } from '../../../../registry/adapters/aws/table-layout.ts';
import { add, MODEL, openMemoryCatalog, promote } from '../../../support/aws/memory-catalog.ts';
import { keyOf } from '../../../support/aws/memory-dynamo.ts';
import { aliasName, draftFor } from '../../../support/registry/catalog-records.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

it('gives nothing out beyond a change that is not visible yet', async () => {
  const { dynamo, client, catalog } = await openMemoryCatalog();
  const version = await add(catalog);
  for (const alias of ['a', 'b', 'c']) {
    await promote(catalog, version, aliasName(alias));
  }
  const hidden = keyOf({ pk: { S: 'feed' }, sk: { S: keys.feed(2).sk } });
  const item = dynamo.items.get(hidden);
  assert.ok(item !== undefined);
  dynamo.items.delete(hidden);
  const sequences = async (after: number) => (await catalog.readFeed(after, 10, never))?.map(({ sequence }) => sequence);
  assert.deepEqual(await sequences(0), [1]);
  // Where the very next one is missing, it is waited for.
  client.before = (_, index) => {
    if (index === client.sent.length - 1 && client.names.slice(-4).every((name) => name !== 'TransactWriteItems')) {
      dynamo.items.set(hidden, item);
    }
  };
  assert.deepEqual(await sequences(1), [2, 3]);
});

it('says that it is busy when a change does not become visible', async () => {
  const { dynamo, catalog } = await openMemoryCatalog(500);
  const version = await add(catalog);
  await promote(catalog, version);
  dynamo.items.delete(keyOf({ pk: { S: 'feed' }, sk: { S: keys.feed(1).sk } }));
  await assert.rejects(catalog.readFeed(0, 10, never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  await assert.rejects(catalog.snapshot(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('takes into a snapshot what an alias itself does not show yet', async () => {
  const { dynamo, catalog } = await openMemoryCatalog();
  const version = await add(catalog);
  await promote(catalog, version);
  const place = keyOf({ pk: { S: 'aliases' }, sk: { S: 'm#production' } });
  const before = dynamo.items.get(place);
  assert.ok(before !== undefined);
  await promote(catalog, await add(catalog, draftFor(MODEL, 'second')));
  const canary = aliasName('canary');
  await promote(catalog, version, canary);
  const expected = await catalog.snapshot(never);
  dynamo.items.set(place, before);
  dynamo.items.delete(keyOf({ pk: { S: 'aliases' }, sk: { S: 'm#canary' } }));
  assert.deepEqual(await catalog.snapshot(never), expected);
  assert.deepEqual([expected.sequence, expected.aliases.length, expected.aliases[1]?.version], [3, 2, 2]);
});
