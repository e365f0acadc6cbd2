import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { AliasName } from '../../../proto/wire/names.ts';
import { type AliasEvent, promotion, rollback } from '../../../registry/model/alias.ts';
import type { Version } from '../../../registry/model/version.ts';
import type { Catalog, RequestIdentity } from '../../../registry/release/catalog.ts';
import { aliasName, modelName, record, request, targetOf } from '../../support/registry/catalog-records.ts';
import { never } from '../../support/registry/publish.ts';
import { isError } from '../../support/service-errors.ts';
import type { CatalogBench } from './fixture.ts';

const MOVE = { actor: { name: 'ada', isVerified: false }, reason: 'because', timeMs: 5_000 };

export function describeAliases({ catalog, openAnother, added }: CatalogBench): void {
  const promote = async (version: Version, alias: AliasName, once?: RequestIdentity, on: Catalog = catalog()) => {
    const current = await on.getAlias(version.model, alias, never);
    const event = promotion(current, { ...targetOf(version), alias }, MOVE);
    return { event, result: await on.moveAlias(event, once, never) };
  };

  describe('aliases and their feed', () => {
    const production = aliasName('production');
    const canary = aliasName('canary');
    let one: Version;
    let two: Version;
    beforeEach(async () => {
      await catalog().createModel(record('m'), undefined, never);
      one = await added(modelName('m'), 'one');
      two = await added(modelName('m'), 'two');
    });

    it('moves an alias, with its event and feed entry', async () => {
      const first = await promote(one, production);
      const second = await promote(two, production);
      assert.deepEqual(
        [first.result, second.result],
        [
          { kind: 'moved', sequence: 1 },
          { kind: 'moved', sequence: 2 },
        ],
      );
      assert.deepEqual(await catalog().getAlias(one.model, production, never), second.event.state);
      assert.deepEqual(await catalog().getAliasEvent(one.model, production, 1, never), first.event);
      assert.equal(await catalog().getAliasEvent(one.model, production, 3, never), undefined);
      assert.deepEqual((await catalog().getModel(one.model, never))?.aliases, [second.event.state]);
      assert.equal(await catalog().feedHead(never), 2);
      assert.deepEqual(await catalog().readFeed(0, 10, never), [
        { sequence: 1, event: first.event },
        { sequence: 2, event: second.event },
      ]);
    });

    it('writes nothing when the alias does not stand where the event begins', async () => {
      const { event } = await promote(one, production);
      const stale = promotion(undefined, { ...targetOf(two), alias: production }, MOVE);
      assert.deepEqual(await catalog().moveAlias(stale, undefined, never), { kind: 'conflict' });
      const ahead = { ...stale, state: { ...stale.state, revision: 3 } };
      assert.deepEqual(await catalog().moveAlias(ahead, request('promote', 'ahead'), never), { kind: 'conflict' });
      assert.deepEqual(await catalog().getAlias(one.model, production, never), event.state);
      assert.deepEqual([await catalog().feedHead(never), await catalog().findRequest('promote', 'ahead', never)], [1, undefined]);
    });

    it('never points at a version that is not there', async () => {
      const event = promotion(undefined, { ...targetOf(one), version: 9, alias: production }, MOVE);
      assert.deepEqual(await catalog().moveAlias(event, undefined, never), { kind: 'conflict' });
      assert.equal(await catalog().getAlias(one.model, production, never), undefined);
    });

    it('records the request with the move, and moves nothing when it is recorded already', async () => {
      assert.equal((await promote(one, production, request('promote', 'r', '1'))).result.kind, 'moved');
      assert.equal((await promote(two, production, request('promote', 'r', '2'))).result.kind, 'conflict');
      assert.equal((await catalog().getAlias(one.model, production, never))?.version, 1);
      assert.equal((await catalog().findRequest('promote', 'r', never))?.subject, '1');
    });

    it('lists events newest first, of one alias or of all of the model', async () => {
      await catalog().createModel(record('other'), undefined, never);
      const foreign = await added(modelName('other'), 'foreign');
      await promote(one, production);
      await promote(foreign, production);
      await promote(one, canary);
      const { event } = await promote(two, production);
      const earlier = await catalog().getAliasEvent(one.model, production, 1, never);
      assert.ok(earlier !== undefined);
      const back = rollback(event.state, earlier.state, { ...MOVE, actor: { name: 'bob', isVerified: true } });
      await catalog().moveAlias(back, undefined, never);
      const list = async (alias: AliasName | undefined, before: number | undefined, limit: number) =>
        (await catalog().listAliasEvents({ model: one.model, alias, before, limit }, never)).map(({ sequence }) => sequence);
      assert.deepEqual(await list(undefined, undefined, 10), [5, 4, 3, 1]);
      assert.deepEqual(await list(production, undefined, 2), [5, 4]);
      assert.deepEqual(await list(production, 4, 10), [1]);
      for (const position of [2, 3, 6, 999_999_999_999_999]) {
        await assert.rejects(list(production, position, 10), isError('invalid-argument', 'INVALID_PAGE_TOKEN'));
      }
      const [newest] = await catalog().listAliasEvents(
        { model: one.model, alias: undefined, before: undefined, limit: 1 },
        never,
      );
      assert.deepEqual(newest?.event, back satisfies AliasEvent);
    });

    it('reads the feed from any position it covers', async () => {
      assert.deepEqual(await catalog().readFeed(0, 10, never), []);
      await promote(one, production);
      await promote(one, canary);
      await promote(two, production);
      const read = async (sequence: number, limit: number) =>
        (await catalog().readFeed(sequence, limit, never))?.map((entry) => entry.sequence);
      assert.deepEqual(await read(0, 2), [1, 2]);
      assert.deepEqual(await read(2, 2), [3]);
      assert.deepEqual(await read(3, 2), []);
      assert.equal(await read(4, 2), undefined);
    });

    it('takes a snapshot of all aliases with the position it belongs to', async () => {
      assert.deepEqual(await catalog().snapshot(never), { sequence: 0, aliases: [] });
      const first = await promote(two, production);
      const second = await promote(one, canary);
      assert.deepEqual(await catalog().snapshot(never), { sequence: 2, aliases: [second.event.state, first.event.state] });
    });

    it('loses no update when two instances move one alias at once', async () => {
      const other = await openAnother();
      try {
        let moved = 0;
        let conflicts = 0;
        const mover = async (on: Catalog, version: Version): Promise<void> => {
          for (let wins = 0; wins < 10; ) {
            const { result } = await promote(version, production, undefined, on);
            wins += result.kind === 'moved' ? 1 : 0;
            moved += result.kind === 'moved' ? 1 : 0;
            conflicts += result.kind === 'conflict' ? 1 : 0;
          }
        };
        await Promise.all([mover(catalog(), one), mover(other, two), mover(catalog(), two), mover(other, one)]);
        assert.ok(conflicts > 0, 'nobody met anybody');
        assert.equal((await other.getAlias(one.model, production, never))?.revision, moved);
        const feed = await other.readFeed(0, 100, never);
        assert.deepEqual(
          feed?.map(({ sequence, event }) => [sequence, event.state.revision]),
          Array.from({ length: moved }, (_, index) => [index + 1, index + 1]),
        );
      } finally {
        other.close();
      }
    });

    it('shows every instance what another wrote, under one identity', async () => {
      const other = await openAnother();
      try {
        assert.equal(other.storeId, catalog().storeId);
        assert.match(catalog().storeId, /^[A-Za-z0-9_-]{1,64}$/);
        const { event } = await promote(one, production);
        assert.deepEqual(await other.getAlias(one.model, production, never), event.state);
        assert.equal(await other.feedHead(never), 1);
      } finally {
        other.close();
      }
    });
  });
}
