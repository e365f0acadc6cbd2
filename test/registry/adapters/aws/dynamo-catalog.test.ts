import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openDynamoCatalog, renewIdentity } from '../../../../registry/adapters/aws/dynamo-catalog.ts';
import { encodeCursor } from '../../../../registry/model/cursor.ts';
import { describeCatalog } from '../../../contract/catalog-contract.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { add, MODEL, openMemoryCatalog, promote } from '../../../support/aws/memory-catalog.ts';
import { MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { aliasName, draftFor, record, request } from '../../../support/registry/catalog-records.ts';
import { openEmbedded } from '../../../support/registry/embedded-registry.ts';
import { never } from '../../../support/registry/publish.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';
import { isError } from '../../../support/service-errors.ts';

describeCatalog('DynamoDB, in memory', async () => {
  const dynamo = new MemoryDynamo();
  // A real one answers later, so that callers meet.
  dynamo.client.before = () => new Promise((resolve) => setImmediate(resolve));
  const openOne = () => openDynamoCatalog({ client: dynamo.sender, pace: instantPace() }, { table: 'catalog' }, never);
  const catalog = await openOne();
  return { catalog, openAnother: openOne, close: async () => catalog.close() };
});

it('never walks the table', async () => {
  const { client, catalog } = await openMemoryCatalog();
  const version = await add(catalog);
  await promote(catalog, version);
  await catalog.listModels({ labels: { a: 'b' }, after: undefined, limit: 10 }, never);
  await catalog.listVersions(MODEL, { labels: { a: 'b' }, after: undefined, limit: 10 }, never);
  await catalog.snapshot(never);
  assert.deepEqual([...new Set(client.names)].toSorted(), ['GetItem', 'Query', 'TransactWriteItems']);
});

it('shares one identity among all who open a new table at once, and refuses a later format', async () => {
  const dynamo = new MemoryDynamo();
  dynamo.client.before = () => new Promise((resolve) => setImmediate(resolve));
  const openOne = () => openDynamoCatalog({ client: dynamo.sender, pace: instantPace() }, { table: 'catalog' }, never);
  const catalogs = await Promise.all([openOne(), openOne(), openOne()]);
  assert.equal(new Set(catalogs.map(({ storeId }) => storeId)).size, 1);
  const [identity] = dynamo.items.keys();
  assert.ok(identity !== undefined);
  dynamo.items.set(identity, { ...dynamo.items.get(identity), format: { N: '2' } });
  await assert.rejects(openOne(), isError('failed-precondition', 'UNSUPPORTED_FORMAT'));
});

it('does not take a request for recorded whose model was taken', async () => {
  const { catalog } = await openMemoryCatalog();
  assert.equal(await catalog.createModel(record('m'), request('create', 'r'), never), false);
  assert.equal(await catalog.findRequest('create', 'r', never), undefined);
});

it('is another store after it was put back to an earlier moment: a watch with a cursor of before starts anew', async () => {
  const { dynamo, catalog } = await openMemoryCatalog();
  const deps = { client: dynamo.sender, pace: instantPace() };
  const [one, two] = [await add(catalog), await add(catalog, draftFor(MODEL, 'second'))];
  await promote(catalog, one);
  const backup = new Map(dynamo.items);
  await promote(catalog, two);
  const cursor = encodeCursor({ storeId: catalog.storeId, sequence: 2 });
  // Another history takes the same numbers.
  dynamo.items.clear();
  for (const [key, item] of backup) {
    dynamo.items.set(key, item);
  }
  await promote(catalog, one, aliasName('canary'));
  await promote(catalog, two, aliasName('canary'));
  await renewIdentity(deps, { table: 'catalog' }, never);
  const restored = await openDynamoCatalog(deps, { table: 'catalog' }, never);
  assert.notEqual(restored.storeId, catalog.storeId);
  await using folder = await temporaryFolder();
  const { registry, ...embedded } = await openEmbedded(folder.path, { wrapCatalog: () => restored });
  for await (const event of registry.watchAliases({ cursor, heartbeatSeconds: 1 }, never)) {
    assert.ok(event.kind === 'snapshot' && event.isComplete);
    assert.deepEqual(
      event.aliases.map(({ alias, version }) => `${alias} ${version}`),
      ['canary 2', 'production 1'],
    );
    break;
  }
  embedded[Symbol.dispose]();
});

it('gives one identity at a time to a table that was put back', async () => {
  const { dynamo, client } = await openMemoryCatalog();
  const deps = { client: dynamo.sender, pace: instantPace() };
  let isOther = false;
  client.before = async ({ name }) => {
    if (name === 'TransactWriteItems' && !isOther) {
      isOther = true;
      await renewIdentity(deps, { table: 'catalog' }, never);
    }
  };
  await renewIdentity(deps, { table: 'catalog' }, never);
  // Identity and model at first; then the one that came too late, the other and the second try.
  assert.equal(client.names.filter((name) => name === 'TransactWriteItems').length, 5);
});

it('takes a table without an identity for none that was restored', async () => {
  const dynamo = new MemoryDynamo();
  const renewing = renewIdentity({ client: dynamo.sender, pace: instantPace() }, { table: 'catalog' }, never);
  await assert.rejects(renewing, isError('failed-precondition', 'UNSUPPORTED_FORMAT'));
  assert.equal(dynamo.items.size, 0);
});
