import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openDynamoCatalog } from '../../../../registry/adapters/aws/dynamo-catalog.ts';
import { type Key, keys } from '../../../../registry/adapters/aws/table-layout.ts';
import { promotion } from '../../../../registry/model/alias.ts';
import type { Version } from '../../../../registry/model/version.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { keyOf, MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { aliasName, draftFor, modelName, record, targetOf } from '../../../support/registry/catalog-records.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

const m = modelName('m');
const other = modelName('other');
const production = aliasName('production');
const canary = aliasName('canary');

/** A catalog whose model moved its aliases in this order, and another model its own in between. */
async function open(...moves: readonly ('production' | 'canary' | 'other')[]) {
  const dynamo = new MemoryDynamo();
  const pace = instantPace();
  const catalog = await openDynamoCatalog({ client: dynamo.sender, pace }, { table: 'catalog' }, never);
  const versions = new Map<string, Version>();
  for (const model of [m, other]) {
    await catalog.createModel(record(model), undefined, never);
    const draft = draftFor(model, model);
    await catalog.addStaging({ ...draft, id: model, version: 0 }, undefined, never);
    const added = await catalog.addVersion(model, draft, undefined, never);
    assert.ok(added.kind === 'added');
    versions.set(model, added.version);
  }
  for (const move of moves) {
    const model = move === 'other' ? other : m;
    const alias = move === 'other' ? production : aliasName(move);
    const version = versions.get(model);
    assert.ok(version !== undefined);
    const by = { actor: { name: 'ada', isVerified: false }, reason: '', timeMs: 1 };
    const current = await catalog.getAlias(model, alias, never);
    await catalog.moveAlias(promotion(current, { ...targetOf(version), alias }, by), undefined, never);
  }
  pace.pauses.length = 0;
  dynamo.client.sent.length = 0;
  /** Takes items out of sight; all are to be seen once the reader waited. */
  const hide = (...places: readonly Key[]): void => {
    const hidden = places.map(({ pk, sk }) => {
      const key = keyOf({ pk: { S: pk }, sk: { S: sk } });
      const item = dynamo.items.get(key);
      assert.ok(item !== undefined);
      dynamo.items.delete(key);
      return [key, item] as const;
    });
    dynamo.client.before = () => {
      for (const [key, item] of pace.pauses.length > 0 ? hidden : []) {
        dynamo.items.set(key, item);
      }
    };
  };
  const list = async (
    query: { alias?: typeof production | undefined; before?: number; limit?: number } = {},
  ): Promise<number[]> => {
    const { alias, before, limit = 10 } = query;
    return (await catalog.listAliasEvents({ model: m, alias, before, limit }, never)).map(({ sequence }) => sequence);
  };
  return { dynamo, pace, hide, list };
}

it('gives no page of a model with a gap, whichever event is not visible yet', async () => {
  const moves = ['production', 'other', 'canary', 'production', 'canary'] as const;
  const expected = [5, 4, 3, 1];
  for (const missing of [1, 3, 4]) {
    for (const places of [[keys.event(m, missing)], [keys.event(m, missing), keys.feed(missing)]]) {
      const { pace, hide, list } = await open(...moves);
      hide(...places);
      assert.deepEqual(await list(), expected);
      assert.equal(pace.pauses.length, 1);
    }
  }
  const { pace, hide, list } = await open(...moves);
  assert.deepEqual([await list(), pace.pauses], [expected, []]);
  // From the page's own events on, and before a page that is full.
  hide(keys.event(m, 4));
  assert.deepEqual([await list({ before: 5, limit: 2 }), pace.pauses.length], [[4, 3], 1]);
});

it('waits for nothing that is beyond the page or of another model', async () => {
  const { pace, hide, list } = await open('production', 'other', 'canary', 'production', 'canary');
  hide(keys.event(m, 1), keys.event(other, 2));
  assert.deepEqual([await list({ limit: 3 }), pace.pauses], [[5, 4, 3], []]);
});

it('asks for few moves of the feed, however long the history is', async () => {
  const { dynamo, list } = await open(...Array.from({ length: 60 }, () => 'production' as const));
  assert.equal((await list({ limit: 50 })).length, 50);
  const ranges = dynamo.client.sent.map(({ input }) => input['ExpressionAttributeValues']);
  assert.deepEqual(ranges.at(-1), { ':pk': { S: 'feed' }, ':low': { S: keys.feed(40).sk }, ':high': { S: keys.feed(59).sk } });
  assert.equal(ranges.length, 2);
});

it('gives no page of an alias with a gap', async () => {
  const moves = ['production', 'canary', 'production', 'production'] as const;
  for (const revision of [1, 2]) {
    const { pace, hide, list } = await open(...moves);
    hide(keys.aliasEvent(m, production, revision));
    assert.deepEqual([await list({ alias: production }), pace.pauses.length], [[4, 3, 1], 1]);
  }
  const { pace, hide, list } = await open(...moves);
  assert.deepEqual([await list({ alias: production }), await list({ alias: canary })], [[4, 3, 1], [2]]);
  assert.deepEqual([await list({ alias: production, limit: 2 }), pace.pauses], [[4, 3], []]);
  hide(keys.aliasEvent(m, production, 2));
  assert.deepEqual([await list({ alias: production, before: 4 }), pace.pauses.length], [[3, 1], 1]);
});

for (const [of, alias, placeOf] of [
  ['a model', undefined, (event: number) => keys.event(m, event)],
  ['an alias', production, (event: number) => keys.aliasEvent(m, production, event)],
] as const) {
  it(`reads again only up to the newest event of ${of} that it saw: a move made meanwhile may not be all visible`, async () => {
    for (const [limit, expected] of [
      [10, [3, 2, 1]],
      [2, [3, 2]],
    ] as const) {
      const { dynamo, pace, hide, list } = await open('production', 'production', 'production', 'production', 'production');
      // The last two are made while the reader waits for the second, and of them only the fifth can be seen when it reads again.
      hide(placeOf(2), placeOf(5));
      const { pk, sk } = placeOf(4);
      dynamo.items.delete(keyOf({ pk: { S: pk }, sk: { S: sk } }));
      assert.deepEqual([await list({ alias, limit }), pace.pauses.length], [expected, 1]);
    }
  });
}

it('gives what there is where a gap stays', async () => {
  const { dynamo, pace, list } = await open('production', 'production', 'production');
  for (const { pk, sk } of [keys.event(m, 2), keys.aliasEvent(m, production, 2)]) {
    dynamo.items.delete(keyOf({ pk: { S: pk }, sk: { S: sk } }));
  }
  assert.deepEqual([await list(), await list({ alias: production }), pace.pauses.length], [[3, 1], [3, 1], 2]);
});

it('lists from an event on whose move is not visible everywhere yet, and refuses one that never is', async () => {
  const { pace, hide, list } = await open('production', 'production');
  hide(keys.event(m, 2));
  assert.deepEqual([await list({ alias: production, before: 2 }), pace.pauses.length], [[1], 1]);
  await assert.rejects(list({ alias: production, before: 3 }), isError('invalid-argument', 'INVALID_PAGE_TOKEN'));
});
