import assert from 'node:assert/strict';
import { it } from 'node:test';
import { digestOf } from '../../../../proto/wire/digest.ts';
import { openDynamoCatalog, renewIdentity } from '../../../../registry/adapters/aws/dynamo-catalog.ts';
import { keys } from '../../../../registry/adapters/aws/table-layout.ts';
import { promotion } from '../../../../registry/model/alias.ts';
import { encodeCursor } from '../../../../registry/model/cursor.ts';
import { MAX_LINEAGE_BYTES, type Version, type VersionDraft } from '../../../../registry/model/version.ts';
import type { Catalog } from '../../../../registry/release/catalog.ts';
import { describeCatalog } from '../../../contract/catalog-contract.ts';
import { awsError, cancelled, instantPace } from '../../../support/aws/fake-client.ts';
import { itemBytes } from '../../../support/aws/item-size.ts';
import { keyOf, MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { aliasName, draftFor, modelName, record, request, targetOf } from '../../../support/registry/catalog-records.ts';
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

const m = modelName('m');
const production = aliasName('production');
const MOVE = { actor: { name: 'ada', isVerified: false }, reason: '', timeMs: 1 };
const DRAFT = draftFor(m, 'made');

async function open(budgetMs = 30_000) {
  const dynamo = new MemoryDynamo();
  const deps = { client: dynamo.sender, pace: instantPace({ budgetMs }) };
  const catalog = await openDynamoCatalog(deps, { table: 'catalog' }, never);
  await catalog.createModel(record('m'), undefined, never);
  return { dynamo, client: dynamo.client, catalog };
}

async function add(catalog: Catalog, draft: VersionDraft = DRAFT): Promise<Version> {
  await catalog.addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
  const result = await catalog.addVersion('s', draft, undefined, never);
  assert.ok(result.kind === 'added');
  return result.version;
}

async function promote(catalog: Catalog, version: Version, alias = production) {
  const current = await catalog.getAlias(m, alias, never);
  return catalog.moveAlias(promotion(current, { ...targetOf(version), alias }, MOVE), undefined, never);
}

it('takes the next place in the feed when another alias moved first', async () => {
  const { client, catalog } = await open();
  const version = await add(catalog);
  let isOther = false;
  client.before = async ({ name }) => {
    if (name === 'TransactWriteItems' && !isOther) {
      isOther = true;
      assert.deepEqual(await promote(catalog, version, aliasName('canary')), { kind: 'moved', sequence: 1 });
    }
  };
  assert.deepEqual(await promote(catalog, version), { kind: 'moved', sequence: 2 });
});

it('is told of a conflict when its own alias moved first', async () => {
  const { client, catalog } = await open();
  const version = await add(catalog);
  let isOther = false;
  client.before = async ({ name }) => {
    if (name === 'TransactWriteItems' && !isOther) {
      isOther = true;
      await promote(catalog, version);
    }
  };
  assert.deepEqual(await promote(catalog, version), { kind: 'conflict' });
});

it('says that the store is busy when it loses every race, and not that something is wrong', async () => {
  const { client, catalog } = await open(500);
  const version = await add(catalog);
  client.before = ({ name, input }) => {
    if (name === 'TransactWriteItems') {
      const { length } = input['TransactItems'] as readonly unknown[];
      // Only the feed's head, the fourth write from the end, is not as it was.
      throw cancelled(...Array.from({ length }, (_, index) => (index === length - 4 ? 'ConditionalCheckFailed' : 'None')));
    }
  };
  await assert.rejects(promote(catalog, version), isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('moves an alias once, however often the answer gets lost', async () => {
  const { client, catalog } = await open();
  const version = await add(catalog);
  let lost = 0;
  client.after = ({ name }) => {
    if (name === 'TransactWriteItems' && lost++ < 3) {
      throw awsError('InternalServerError', 500);
    }
  };
  assert.deepEqual(await promote(catalog, version), { kind: 'moved', sequence: 1 });
  assert.equal(await catalog.feedHead(never), 1);
});

it('never walks the table', async () => {
  const { client, catalog } = await open();
  const version = await add(catalog);
  await promote(catalog, version);
  await catalog.listModels({ labels: { a: 'b' }, after: undefined, limit: 10 }, never);
  await catalog.listVersions(m, { labels: { a: 'b' }, after: undefined, limit: 10 }, never);
  await catalog.snapshot(never);
  assert.deepEqual([...new Set(client.names)].toSorted(), ['GetItem', 'Query', 'TransactWriteItems']);
});

it('gives nothing out beyond a change that is not visible yet', async () => {
  const { dynamo, client, catalog } = await open();
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
  const { dynamo, catalog } = await open(500);
  const version = await add(catalog);
  await promote(catalog, version);
  dynamo.items.delete(keyOf({ pk: { S: 'feed' }, sk: { S: keys.feed(1).sk } }));
  await assert.rejects(catalog.readFeed(0, 10, never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  await assert.rejects(catalog.snapshot(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('takes into a snapshot what an alias itself does not show yet', async () => {
  const { dynamo, catalog } = await open();
  const version = await add(catalog);
  await promote(catalog, version);
  const place = keyOf({ pk: { S: 'aliases' }, sk: { S: 'm#production' } });
  const before = dynamo.items.get(place);
  assert.ok(before !== undefined);
  await promote(catalog, await add(catalog, draftFor(m, 'second')));
  const canary = aliasName('canary');
  await promote(catalog, version, canary);
  const expected = await catalog.snapshot(never);
  dynamo.items.set(place, before);
  dynamo.items.delete(keyOf({ pk: { S: 'aliases' }, sk: { S: 'm#canary' } }));
  assert.deepEqual(await catalog.snapshot(never), expected);
  assert.deepEqual([expected.sequence, expected.aliases.length, expected.aliases[1]?.version], [3, 2, 2]);
});

it('takes as many artifacts and labels as may be, in one transaction', async () => {
  const { dynamo, client, catalog } = await open();
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`label-${index}`, 'x']));
  const version = await add(catalog, { ...DRAFT, labels, artifacts: manyArtifacts('a', 1) });
  assert.deepEqual(await catalog.getVersion(m, 1, never), version);
  // Entries beyond a transaction's limit come before it, and mean nothing by themselves.
  const sizes = client.sent.map(({ input }) => (input['TransactItems'] as unknown[] | undefined)?.length).filter(Boolean);
  assert.deepEqual(sizes.slice(-3), [33, 100, 1]);
  const found = await catalog.listVersions(
    m,
    { labels: { 'label-63': 'x', 'label-0': 'x' }, after: undefined, limit: 10 },
    never,
  );
  assert.deepEqual(
    found.items.map((entry) => entry.version),
    [1],
  );
  const stray = keys.versionLabel('m', 'label-63', 'x', 2);
  dynamo.items.set(keyOf({ pk: { S: stray.pk }, sk: { S: stray.sk } }), { pk: { S: stray.pk }, sk: { S: stray.sk } });
  await add(catalog, draftFor(m, 'unlabelled'));
  const still = await catalog.listVersions(m, { labels: { 'label-63': 'x' }, after: undefined, limit: 10 }, never);
  assert.deepEqual(
    still.items.map((entry) => entry.version),
    [1],
  );
});

it('keeps the largest version that the limits allow in one item', async () => {
  const { dynamo, catalog } = await open();
  const wide = '\u8584'.repeat(255);
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`${index}`.padEnd(63, 'k'), wide]));
  const lineage = { ...DRAFT.lineage, sourceFiles: [], metrics: {}, dataset: '' };
  const dataset = 'd'.repeat(MAX_LINEAGE_BYTES - JSON.stringify(lineage).length);
  await add(catalog, { ...DRAFT, labels, lineage: { ...lineage, dataset }, artifacts: manyArtifacts(wide, 255) });
  const item = dynamo.items.get(keyOf({ pk: { S: 'versions#m' }, sk: { S: keys.version('m', 1).sk } }));
  assert.ok(item !== undefined);
  const bytes = itemBytes(item);
  assert.ok(bytes > 300 * 1024 && bytes <= 400 * 1024, `${bytes} bytes`);
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

it('finds where an alias pointed by halves, and waits for a move that is not visible yet', async () => {
  const { dynamo, client, catalog } = await open();
  const versions = [await add(catalog), await add(catalog, draftFor(m, 'second'))];
  for (let revision = 1; revision <= 64; revision++) {
    const current = await catalog.getAlias(m, production, never);
    const target = { ...targetOf(versions[revision % 2] as Version), alias: production };
    await catalog.moveAlias(promotion(current, target, { ...MOVE, timeMs: revision * 10 }), undefined, never);
  }
  for (const revision of [1, 2, 31, 32, 33, 63, 64]) {
    const sent = client.sent.length;
    const found = await catalog.aliasEventAt(m, production, revision * 10 + 5, never);
    assert.deepEqual(found?.event.state.revision, revision);
    assert.ok(client.sent.length - sent <= 1 + 6, `${client.sent.length - sent} reads`);
  }
  const hidden = keyOf({ pk: { S: 'alias-events#m#production' }, sk: { S: keys.aliasEvent('m', 'production', 63).sk } });
  const item = dynamo.items.get(hidden);
  assert.ok(item !== undefined);
  dynamo.items.delete(hidden);
  let asked = 0;
  client.before = ({ name }) => {
    asked += name === 'Query' ? 1 : 0;
    if (asked === 2) {
      dynamo.items.set(hidden, item);
    }
  };
  assert.equal((await catalog.aliasEventAt(m, production, 635, never))?.event.state.revision, 63);
  assert.equal(asked, 2);
});

it('lists from an event on whose move is not visible everywhere yet, and refuses one that never is', async () => {
  const { dynamo, client, catalog } = await open();
  await promote(catalog, await add(catalog));
  await promote(catalog, await add(catalog, draftFor(m, 'second')));
  const { pk, sk } = keys.event('m', 2);
  const hidden = keyOf({ pk: { S: pk }, sk: { S: sk } });
  const item = dynamo.items.get(hidden);
  assert.ok(item !== undefined);
  dynamo.items.delete(hidden);
  let asked = 0;
  client.before = ({ name }) => {
    asked += name === 'GetItem' ? 1 : 0;
    if (asked === 2) {
      dynamo.items.set(hidden, item);
    }
  };
  const list = (before: number) => catalog.listAliasEvents({ model: m, alias: production, before, limit: 10 }, never);
  assert.deepEqual(
    (await list(2)).map(({ sequence }) => sequence),
    [1],
  );
  assert.equal(asked, 2);
  await assert.rejects(list(3), isError('invalid-argument', 'INVALID_PAGE_TOKEN'));
});

it('does not take a request for recorded whose model was taken', async () => {
  const { catalog } = await open();
  assert.equal(await catalog.createModel(record('m'), request('create', 'r'), never), false);
  assert.equal(await catalog.findRequest('create', 'r', never), undefined);
});

it('calls a staging open until all that its version refers to is visible, whoever crashes', async () => {
  const { client, catalog } = await open();
  await catalog.addStaging({ ...DRAFT, id: 's', version: 0 }, undefined, never);
  const isOpen = async () => (await catalog.openStagings(never)).some(({ id }) => id === 's');
  let transactions = 0;
  client.before = ({ name }) => {
    // The version is there, and the registry killed.
    if (name === 'TransactWriteItems' && ++transactions === 2) {
      throw awsError('AccessDeniedException');
    }
  };
  await assert.rejects(catalog.addVersion('s', DRAFT, undefined, never), isError('failed-precondition', 'TABLE_ACCESS_DENIED'));
  assert.deepEqual([(await catalog.getVersion(m, 1, never))?.version, await isOpen()], [1, true]);
  // Who tries again ends it; so does a collection of garbage, which takes nothing away.
  const again = await catalog.addVersion('s', DRAFT, undefined, never);
  assert.ok(again.kind === 'added' && again.version.version === 1);
  assert.equal(await isOpen(), false);
  await catalog.addStaging({ ...draftFor(m, 'second'), id: 's', version: 0 }, undefined, never);
  transactions = 0;
  await assert.rejects(catalog.addVersion('s', draftFor(m, 'second'), undefined, never));
  assert.equal(await isOpen(), true);
  assert.deepEqual([await catalog.removeStaging('s', never), await isOpen()], [false, false]);
  assert.equal((await catalog.getStaging('s', never))?.version, 2);
});

/** As many as there may be, with names and places as long as they may be. */
function manyArtifacts(text: string, nameLength: number): VersionDraft['artifacts'] {
  return Array.from({ length: 64 }, (_, index) => {
    const digest = digestOf(Buffer.from(String(index)));
    const key = `${'p'.repeat(255)}/blobs/sha256/ab/${'0'.repeat(64)}`;
    return {
      path: `${index}${text}`.slice(0, Math.max(nameLength, String(index).length)),
      role: 'serving' as const,
      mediaType: text,
      digest,
      sizeBytes: Number.MAX_SAFE_INTEGER,
      place: { bucket: 'b'.repeat(63), key, versionId: 'v'.repeat(1024), etag: `"${'e'.repeat(38)}"`, checksum: 'c'.repeat(50) },
    };
  });
}

it('is another store after it was put back to an earlier moment: a watch with a cursor of before starts anew', async () => {
  const { dynamo, catalog } = await open();
  const deps = { client: dynamo.sender, pace: instantPace() };
  const [one, two] = [await add(catalog), await add(catalog, draftFor(m, 'second'))];
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
  const { dynamo, client } = await open();
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
