import assert from 'node:assert/strict';
import { it } from 'node:test';
import { digestOf } from '../../../../proto/wire/digest.ts';
import { keys } from '../../../../registry/adapters/aws/table-layout.ts';
import { MAX_LINEAGE_BYTES, type VersionDraft } from '../../../../registry/model/version.ts';
import { awsError } from '../../../support/aws/fake-client.ts';
import { itemBytes } from '../../../support/aws/item-size.ts';
import { add, DRAFT, MODEL, openMemoryCatalog } from '../../../support/aws/memory-catalog.ts';
import { keyOf } from '../../../support/aws/memory-dynamo.ts';
import { draftFor } from '../../../support/registry/catalog-records.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

it('takes as many artifacts and labels as may be, in one transaction', async () => {
  const { dynamo, client, catalog } = await openMemoryCatalog();
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`label-${index}`, 'x']));
  const version = await add(catalog, { ...DRAFT, labels, artifacts: manyArtifacts('a', 1) });
  assert.deepEqual(await catalog.getVersion(MODEL, 1, never), version);
  // Entries beyond a transaction's limit come before it, and mean nothing by themselves.
  const sizes = client.sent.map(({ input }) => (input['TransactItems'] as unknown[] | undefined)?.length).filter(Boolean);
  assert.deepEqual(sizes.slice(-3), [33, 100, 1]);
  const found = await catalog.listVersions(
    MODEL,
    { labels: { 'label-63': 'x', 'label-0': 'x' }, after: undefined, limit: 10 },
    never,
  );
  assert.deepEqual(
    found.items.map((entry) => entry.version),
    [1],
  );
  const stray = keys.versionLabel('m', 'label-63', 'x', 2);
  dynamo.items.set(keyOf({ pk: { S: stray.pk }, sk: { S: stray.sk } }), { pk: { S: stray.pk }, sk: { S: stray.sk } });
  await add(catalog, draftFor(MODEL, 'unlabelled'));
  const still = await catalog.listVersions(MODEL, { labels: { 'label-63': 'x' }, after: undefined, limit: 10 }, never);
  assert.deepEqual(
    still.items.map((entry) => entry.version),
    [1],
  );
});

it('keeps the largest version that the limits allow in one item', async () => {
  const { dynamo, catalog } = await openMemoryCatalog();
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

it('calls a staging open until all that its version refers to is visible, whoever crashes', async () => {
  const { client, catalog } = await openMemoryCatalog();
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
  assert.deepEqual([(await catalog.getVersion(MODEL, 1, never))?.version, await isOpen()], [1, true]);
  // Who tries again ends it; so does a collection of garbage, which takes nothing away.
  const again = await catalog.addVersion('s', DRAFT, undefined, never);
  assert.ok(again.kind === 'added' && again.version.version === 1);
  assert.equal(await isOpen(), false);
  await catalog.addStaging({ ...draftFor(MODEL, 'second'), id: 's', version: 0 }, undefined, never);
  transactions = 0;
  await assert.rejects(catalog.addVersion('s', draftFor(MODEL, 'second'), undefined, never));
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
