import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { AliasName } from '../../../proto/wire/names.ts';
import { promotion } from '../../../registry/model/alias.ts';
import type { Version } from '../../../registry/model/version.ts';
import type { Catalog, RequestIdentity } from '../../../registry/release/catalog.ts';
import { aliasName, draftFor, modelName, record, request, targetOf } from '../../support/registry/catalog-records.ts';
import { never } from '../../support/registry/publish.ts';
import { isError } from '../../support/service-errors.ts';
import type { CatalogBench } from './fixture.ts';

const m = modelName('m');
const production = aliasName('production');
const ACTOR = { name: 'ada', isVerified: false };

export function describeDeletions({ catalog, openAnother, added }: CatalogBench): void {
  const remove = (version: number, once?: RequestIdentity, on: Catalog = catalog()) =>
    on.deleteVersion({ model: m, version, actor: ACTOR, reason: 'wrong', timeMs: 77 }, once, never);
  const promote = async (version: Version, alias: AliasName, on: Catalog = catalog()) => {
    const current = await on.getAlias(m, alias, never);
    const event = promotion(current, { ...targetOf(version), alias }, { actor: ACTOR, reason: '', timeMs: 1 });
    return on.moveAlias(event, undefined, never);
  };
  const afterReads = async <T>(reads: number, action: () => Promise<T>): Promise<T> => {
    for (let read = 0; read < reads; read++) {
      // A store in this process reads without a turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      await catalog().getAlias(m, production, never);
    }
    return action();
  };
  const latest = async () => (await catalog().getModel(m, never))?.latestVersion;
  const numbers = async (labels: Record<string, string> = {}) =>
    (await catalog().listVersions(m, { labels, after: undefined, limit: 10 }, never)).items.map(({ version }) => version);

  describe('deprecation and deletion', () => {
    beforeEach(() => catalog().createModel(record('m'), undefined, never));

    it('marks a version, marks it anew, and takes the mark away', async () => {
      const version = await added(m, 'one', { a: 'b' });
      const marked = await catalog().setDeprecation(version, { reason: 'blurred', timeMs: 5 }, never);
      assert.deepEqual(marked, { ...version, deprecation: { reason: 'blurred', timeMs: 5 } });
      assert.deepEqual(await catalog().getVersion(m, 1, never), marked);
      const { items } = await catalog().listVersions(m, { labels: { a: 'b' }, after: undefined, limit: 5 }, never);
      assert.deepEqual(items, [marked]);
      const again = await catalog().setDeprecation(version, { reason: '', timeMs: 6 }, never);
      assert.deepEqual(again?.deprecation, { reason: '', timeMs: 6 });
      assert.deepEqual(await catalog().setDeprecation(version, undefined, never), version);
      assert.deepEqual(await catalog().getVersion(m, 1, never), version);
      assert.equal(await catalog().setDeprecation({ model: m, version: 2 }, undefined, never), undefined);
      assert.equal(await catalog().setDeprecation({ model: m, version: 2 }, { reason: '', timeMs: 1 }, never), undefined);
      assert.equal(await catalog().getVersion(m, 2, never), undefined);
    });

    it('deletes a version with all that refers to it, and remembers that', async () => {
      const one = await added(m, 'one', { a: 'b' });
      await added(m, 'two', { a: 'b' });
      assert.equal(await catalog().getDeletion(m, 1, never), undefined);
      assert.deepEqual(await remove(1), { kind: 'deleted' });
      assert.deepEqual(await catalog().getDeletion(m, 1, never), {
        model: m,
        version: 1,
        actor: ACTOR,
        reason: 'wrong',
        timeMs: 77,
      });
      assert.equal(await catalog().getVersion(m, 1, never), undefined);
      assert.deepEqual([await numbers(), await numbers({ a: 'b' }), await latest()], [[2], [2], 2]);
      assert.equal(await catalog().isReferenced(one.manifest, never), false);
      assert.deepEqual([await remove(1), await remove(9)], [{ kind: 'absent' }, { kind: 'absent' }]);
    });

    it('keeps a blob referenced that another version has too', async () => {
      const version = await added(m, 'same');
      await catalog().createModel(record('other'), undefined, never);
      await added(modelName('other'), 'same');
      await remove(1);
      assert.equal(await catalog().isReferenced(version.manifest, never), true);
    });

    it('never gives a number again, and knows the newest version left', async () => {
      await added(m, 'one');
      await added(m, 'two');
      const three = await added(m, 'three');
      await remove(3);
      assert.equal(await latest(), 2);
      await remove(1);
      assert.equal(await latest(), 2);
      await remove(2);
      assert.deepEqual([await latest(), await numbers()], [0, []]);
      const again = await added(m, 'three');
      assert.deepEqual([again.version, again.manifest, await latest()], [4, three.manifest, 4]);
      assert.equal((await added(m, 'five')).version, 5);
      await remove(5);
      assert.equal(await latest(), 4);
      const { items } = await catalog().listModels({ labels: {}, after: undefined, limit: 5 }, never);
      assert.equal(items[0]?.latestVersion, 4);
    });

    it('keeps what aliases point at, and names them', async () => {
      const one = await added(m, 'one');
      const two = await added(m, 'two');
      await promote(one, production);
      await promote(one, aliasName('canary'));
      assert.deepEqual(await remove(1, request('delete', 'r')), { kind: 'in-use', aliases: ['canary', 'production'] });
      assert.equal(await catalog().findRequest('delete', 'r', never), undefined);
      assert.deepEqual((await catalog().getVersion(m, 1, never))?.version, 1);
      await promote(two, production);
      assert.deepEqual(await remove(1), { kind: 'in-use', aliases: ['canary'] });
      await promote(two, aliasName('canary'));
      assert.deepEqual(await remove(1), { kind: 'deleted' });
      assert.deepEqual(await promote(one, production), { kind: 'conflict' });
      const { length } = await catalog().listAliasEvents({ model: m, alias: production, before: undefined, limit: 9 }, never);
      assert.equal(length, 2);
    });

    it('records the request with the deletion, once', async () => {
      await added(m, 'one');
      await added(m, 'two');
      assert.deepEqual(await remove(1, request('delete', 'r', '1')), { kind: 'deleted' });
      assert.deepEqual(await catalog().findRequest('delete', 'r', never), request('delete', 'r', '1'));
      assert.deepEqual(await remove(2, request('delete', 'r', '2')), { kind: 'request-exists' });
      assert.deepEqual(await numbers(), [2]);
    });

    it('lets a staging become one version, and no other when that was deleted', async () => {
      const draft = draftFor(m, 'one');
      await catalog().addStaging({ ...draft, id: 'once', version: 0 }, undefined, never);
      await catalog().addVersion('once', draft, undefined, never);
      await remove(1);
      const adding = catalog().addVersion('once', draft, undefined, never);
      await assert.rejects(adding, isError('failed-precondition', 'VERSION_DELETED'));
      assert.deepEqual(await numbers(), []);
    });

    it('lets one win when a promotion and a deletion meet', async () => {
      const other = await openAnother();
      const wins = new Set<string>();
      for (let round = 1; round <= 20; round++) {
        const version = await added(m, `round ${round}`);
        const [moved, deleted] = await Promise.all(
          // One of them a few reads later, so that each comes first sometimes, however long a read takes.
          round % 2 === 0
            ? [promote(version, production, other), afterReads(round, () => remove(round))]
            : [afterReads(round, () => promote(version, production, other)), remove(round)],
        );
        const alias = await catalog().getAlias(m, production, never);
        if (moved.kind === 'moved') {
          assert.deepEqual([deleted, alias?.version], [{ kind: 'in-use', aliases: ['production'] }, round]);
        } else {
          assert.equal(deleted.kind, 'deleted');
        }
        assert.equal((await catalog().getVersion(m, round, never)) !== undefined, moved.kind === 'moved');
        wins.add(moved.kind);
      }
      assert.deepEqual([...wins].toSorted(), ['conflict', 'moved']);
      other.close();
    });

    it('knows the newest version left when several go at once', async () => {
      for (const seed of ['one', 'two', 'three', 'four']) {
        await added(m, seed);
      }
      const results = await Promise.all([remove(4), remove(2), remove(3), added(m, 'five')]);
      assert.deepEqual(
        results.slice(0, 3).map((result) => 'kind' in result && result.kind),
        ['deleted', 'deleted', 'deleted'],
      );
      assert.deepEqual([await latest(), await numbers()], [5, [5, 1]]);
      await remove(5);
      assert.equal(await latest(), 1);
    });
  });
}
