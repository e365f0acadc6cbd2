import assert from 'node:assert/strict';
import { it } from 'node:test';
import { keys } from '../../../../registry/adapters/aws/table-layout.ts';
import { promotion } from '../../../../registry/model/alias.ts';
import type { Version } from '../../../../registry/model/version.ts';
import { awsError, cancelled } from '../../../support/aws/fake-client.ts';
import { add, MODEL, MOVE, openMemoryCatalog, PRODUCTION, promote } from '../../../support/aws/memory-catalog.ts';
import { keyOf } from '../../../support/aws/memory-dynamo.ts';
import { aliasName, draftFor, targetOf } from '../../../support/registry/catalog-records.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

it('takes the next place in the feed when another alias moved first', async () => {
  const { client, catalog } = await openMemoryCatalog();
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
  const { client, catalog } = await openMemoryCatalog();
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
  const { client, catalog } = await openMemoryCatalog(500);
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
  const { client, catalog } = await openMemoryCatalog();
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

it('finds where an alias pointed by halves, and waits for a move that is not visible yet', async () => {
  const { dynamo, client, catalog } = await openMemoryCatalog();
  const versions = [await add(catalog), await add(catalog, draftFor(MODEL, 'second'))];
  for (let revision = 1; revision <= 64; revision++) {
    const current = await catalog.getAlias(MODEL, PRODUCTION, never);
    const target = { ...targetOf(versions[revision % 2] as Version), alias: PRODUCTION };
    await catalog.moveAlias(promotion(current, target, { ...MOVE, timeMs: revision * 10 }), undefined, never);
  }
  for (const revision of [1, 2, 31, 32, 33, 63, 64]) {
    const sent = client.sent.length;
    const found = await catalog.aliasEventAt(MODEL, PRODUCTION, revision * 10 + 5, never);
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
  assert.equal((await catalog.aliasEventAt(MODEL, PRODUCTION, 635, never))?.event.state.revision, 63);
  assert.equal(asked, 2);
});
