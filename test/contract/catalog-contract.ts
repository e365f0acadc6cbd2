import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { digestOf } from '../../proto/wire/digest.ts';
import type { AliasName, ModelName } from '../../proto/wire/names.ts';
import { type AliasEvent, promotion, rollback } from '../../registry/model/alias.ts';
import type { Version } from '../../registry/model/version.ts';
import type { Catalog, RequestIdentity } from '../../registry/release/catalog.ts';
import { aliasName, draftFor, modelName, record, request, targetOf } from '../support/registry/catalog-records.ts';
import { readUpTo } from '../support/registry/portions.ts';
import { never } from '../support/registry/publish.ts';
import { fileRef, smallVersion } from '../support/registry/sample-version.ts';
import { isError } from '../support/service-errors.ts';
import { describeAliasTimes } from './catalog/alias-times.ts';
import { describeDeletions } from './catalog/deletions.ts';
import { describeModelListings } from './catalog/model-listings.ts';
import { describeOpenStagings } from './catalog/open-stagings.ts';

export interface CatalogFixture {
  readonly catalog: Catalog;
  /** Another instance on the same store, as another process would have it; undefined where the adapter cannot share one. */
  readonly openAnother: (() => Promise<Catalog>) | undefined;
  close(): Promise<void>;
}

interface Addition {
  readonly request?: RequestIdentity;
  readonly labels?: Record<string, string>;
}

const MOVE = { actor: { name: 'ada', isVerified: false }, reason: 'because', timeMs: 5_000 };

/** What every adapter of the Catalog port promises; an adapter's test calls this with a way to make an empty one. */
export function describeCatalog(name: string, create: () => Promise<CatalogFixture>): void {
  describe(`catalog: ${name}`, () => {
    let fixture: CatalogFixture;
    let catalog: Catalog;
    let stagings = 0;
    beforeEach(async () => {
      fixture = await create();
      catalog = fixture.catalog;
    });
    afterEach(() => fixture.close());

    /** Stages and adds a version whose content is `seed`. */
    const add = async (model: ModelName, seed: string, change: Addition = {}) => {
      const draft = draftFor(model, seed, change.labels);
      const id = `staging-${model}-${seed}-${++stagings}`;
      const { manifest, labels, createTimeMs } = draft;
      await catalog.addStaging({ id, model, manifest, labels, createTimeMs, version: 0 }, undefined, never);
      return catalog.addVersion(id, draft, change.request, never);
    };
    const added = async (model: ModelName, seed: string, labels: Record<string, string> = {}): Promise<Version> => {
      const result = await add(model, seed, { labels });
      assert.ok(result.kind === 'added');
      return result.version;
    };
    const promote = async (version: Version, alias: AliasName, once?: RequestIdentity, on: Catalog = catalog) => {
      const current = await on.getAlias(version.model, alias, never);
      const event = promotion(current, { ...targetOf(version), alias }, MOVE);
      return { event, result: await on.moveAlias(event, once, never) };
    };

    describe('models', () => {
      it('creates a model once and keeps the first', async () => {
        assert.equal(await catalog.createModel(record('a', { x: '1' }), undefined, never), true);
        assert.equal(await catalog.createModel({ ...record('a'), description: 'other' }, undefined, never), false);
        assert.deepEqual(await catalog.getModel(modelName('a'), never), {
          ...record('a', { x: '1' }),
          latestVersion: 0,
          aliases: [],
        });
        assert.equal(await catalog.getModel(modelName('b'), never), undefined);
      });

      it('creates a model along with its request, once', async () => {
        const once = {
          operation: 'create',
          id: 'c',
          fingerprint: digestOf(Buffer.from('c')),
          subject: 'a',
          isEffective: true,
        } as const;
        assert.equal(await catalog.createModel(record('a'), once, never), true);
        assert.deepEqual(await catalog.findRequest('create', 'c', never), once);
        assert.equal(await catalog.createModel(record('b'), once, never), false);
        assert.equal(await catalog.getModel(modelName('b'), never), undefined);
        const other = { ...once, id: 'd' };
        assert.equal(await catalog.createModel(record('a'), other, never), false);
        assert.equal(await catalog.findRequest('create', 'd', never), undefined);
      });

      describeModelListings(() => catalog);

      it('gives the names around a place', async () => {
        for (const model of ['a', 'b', 'c', 'd', 'e']) {
          await catalog.createModel(record(model), undefined, never);
        }
        assert.deepEqual((await catalog.neighbouringNames('bb', 2, never)).toSorted(), ['b', 'c']);
        assert.deepEqual((await catalog.neighbouringNames('zz', 100, never)).toSorted(), ['a', 'b', 'c', 'd', 'e']);
      });
    });

    describe('versions', () => {
      beforeEach(() => catalog.createModel(record('m'), undefined, never));
      const m = modelName('m');

      it('numbers them from 1 and keeps all that was given', async () => {
        const first = await added(m, 'one', { run: '1' });
        const second = await added(m, 'two');
        assert.deepEqual([first.version, second.version], [1, 2]);
        assert.deepEqual(first, { ...draftFor(m, 'one', { run: '1' }), version: 1 });
        assert.deepEqual(await catalog.getVersion(m, 1, never), first);
        assert.equal(await catalog.getVersion(m, 3, never), undefined);
        assert.equal((await catalog.getModel(m, never))?.latestVersion, 2);
      });

      it('gives the existing version for a manifest that the model has', async () => {
        const first = await added(m, 'same');
        const again = await add(m, 'same');
        assert.deepEqual(again, { kind: 'added', version: first, isCreated: false });
        await catalog.createModel(record('n'), undefined, never);
        assert.equal((await added(modelName('n'), 'same')).version, 1);
        assert.equal((await catalog.getModel(m, never))?.latestVersion, 1);
      });

      it('ends the staging', async () => {
        const version = await added(m, 'staged');
        const staging = await catalog.getStaging(`staging-m-staged-${stagings}`, never);
        assert.deepEqual([staging?.version, staging?.manifest], [version.version, version.manifest]);
      });

      it('adds nothing for a staging that is gone', async () => {
        const adding = catalog.addVersion('gone', draftFor(m, 'gone'), request('finalize', 'gone'), never);
        await assert.rejects(adding, isError('not-found', 'STAGING_NOT_FOUND'));
        assert.equal(await catalog.getVersion(m, 1, never), undefined);
        assert.deepEqual(
          [(await catalog.getModel(m, never))?.latestVersion, await catalog.findRequest('finalize', 'gone', never)],
          [0, undefined],
        );
      });

      it('keeps where the bytes of an artifact were', async () => {
        const draft = draftFor(m, 'placed');
        const place = { bucket: 'b', key: 'k', versionId: 'v', etag: '"e"', checksum: 'c' };
        const [first, ...others] = draft.artifacts;
        assert.ok(first !== undefined);
        await catalog.addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
        await catalog.addVersion('s', { ...draft, artifacts: [{ ...first, place }, ...others] }, undefined, never);
        assert.deepEqual((await catalog.getVersion(m, 1, never))?.artifacts, [{ ...first, place }, ...others]);
      });

      it('lists newest first, those with all labels, before a position', async () => {
        for (const [seed, labels] of [
          ['1', { x: '1', y: '1' }],
          ['2', { x: '1' }],
          ['3', { x: '1', y: '1' }],
        ] as const) {
          await added(m, seed, labels);
        }
        const list = async (labels: Record<string, string>, start: number | undefined, count: number) =>
          (await readUpTo(count, start, (after, limit) => catalog.listVersions(m, { labels, after, limit }, never))).map(
            (version) => version.version,
          );
        assert.deepEqual(await list({}, undefined, 10), [3, 2, 1]);
        assert.deepEqual(await list({}, 3, 1), [2]);
        assert.deepEqual(await list({ y: '1', x: '1' }, undefined, 10), [3, 1]);
        assert.deepEqual(await list({ y: '1', x: '1' }, 3, 10), [1]);
      });

      it('knows the blobs of finalized versions, by digest and size together', async () => {
        const sample = smallVersion('refs');
        const draft = draftFor(m, 'refs');
        await catalog.addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
        assert.equal(await catalog.isReferenced(fileRef(sample, 0), never), false);
        await catalog.addVersion('s', draft, undefined, never);
        for (const blob of [fileRef(sample, 0), fileRef(sample, 1), draft.manifest]) {
          assert.equal(await catalog.isReferenced(blob, never), true);
          assert.equal(await catalog.isReferenced({ ...blob, sizeBytes: blob.sizeBytes + 1 }, never), false);
        }
      });

      it('records the request with the number it assigned, and writes nothing when it is recorded already', async () => {
        const result = await add(m, 'one', { request: request('finalize', 'f') });
        assert.ok(result.kind === 'added');
        assert.deepEqual(await catalog.findRequest('finalize', 'f', never), {
          ...request('finalize', 'f'),
          subject: '1',
          isEffective: true,
        });
        assert.deepEqual(await add(m, 'two', { request: request('finalize', 'f') }), { kind: 'request-exists' });
        assert.equal((await catalog.getModel(m, never))?.latestVersion, 1);
        await add(m, 'one', { request: request('finalize', 'g') });
        assert.equal((await catalog.findRequest('finalize', 'g', never))?.isEffective, false);
      });

      it('assigns every number once when many are added at once', async () => {
        const seeds = Array.from({ length: 10 }, (_, index) => `at once ${index}`);
        const versions = await Promise.all(seeds.map((seed) => added(m, seed)));
        const numbers = versions.map(({ version }) => version).toSorted((a, b) => a - b);
        assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      });
    });

    describe('stagings and requests', () => {
      beforeEach(() => catalog.createModel(record('m'), undefined, never));

      it('keeps a staging as it was given', async () => {
        const { manifest } = draftFor(modelName('m'), 'x');
        const staging = { id: 's1', model: modelName('m'), manifest, labels: { a: 'b' }, createTimeMs: 7, version: 0 };
        assert.equal(await catalog.addStaging(staging, request('stage', 'r', 's1'), never), true);
        assert.deepEqual(await catalog.getStaging('s1', never), staging);
        assert.equal(await catalog.getStaging('s2', never), undefined);
        assert.equal(await catalog.addStaging({ ...staging, id: 's2' }, request('stage', 'r', 's2'), never), false);
        assert.equal(await catalog.getStaging('s2', never), undefined);
        assert.deepEqual(await catalog.findRequest('stage', 'r', never), request('stage', 'r', 's1'));
      });

      describeOpenStagings(() => catalog);

      it('records a request once, for each operation by itself', async () => {
        assert.equal(await catalog.addRequest(request('promote', 'r', '1'), never), true);
        assert.equal(await catalog.addRequest(request('promote', 'r', '2'), never), false);
        assert.equal(await catalog.addRequest(request('rollback', 'r', '3'), never), true);
        assert.equal((await catalog.findRequest('promote', 'r', never))?.subject, '1');
        assert.equal(await catalog.findRequest('stage', 'r', never), undefined);
      });
    });

    describe('aliases and their feed', () => {
      const production = aliasName('production');
      const canary = aliasName('canary');
      let one: Version;
      let two: Version;
      beforeEach(async () => {
        await catalog.createModel(record('m'), undefined, never);
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
        assert.deepEqual(await catalog.getAlias(one.model, production, never), second.event.state);
        assert.deepEqual(await catalog.getAliasEvent(one.model, production, 1, never), first.event);
        assert.equal(await catalog.getAliasEvent(one.model, production, 3, never), undefined);
        assert.deepEqual((await catalog.getModel(one.model, never))?.aliases, [second.event.state]);
        assert.equal(await catalog.feedHead(never), 2);
        assert.deepEqual(await catalog.readFeed(0, 10, never), [
          { sequence: 1, event: first.event },
          { sequence: 2, event: second.event },
        ]);
      });

      it('writes nothing when the alias does not stand where the event begins', async () => {
        const { event } = await promote(one, production);
        const stale = promotion(undefined, { ...targetOf(two), alias: production }, MOVE);
        assert.deepEqual(await catalog.moveAlias(stale, undefined, never), { kind: 'conflict' });
        const ahead = { ...stale, state: { ...stale.state, revision: 3 } };
        assert.deepEqual(await catalog.moveAlias(ahead, request('promote', 'ahead'), never), { kind: 'conflict' });
        assert.deepEqual(await catalog.getAlias(one.model, production, never), event.state);
        assert.deepEqual([await catalog.feedHead(never), await catalog.findRequest('promote', 'ahead', never)], [1, undefined]);
      });

      it('never points at a version that is not there', async () => {
        const event = promotion(undefined, { ...targetOf(one), version: 9, alias: production }, MOVE);
        assert.deepEqual(await catalog.moveAlias(event, undefined, never), { kind: 'conflict' });
        assert.equal(await catalog.getAlias(one.model, production, never), undefined);
      });

      it('records the request with the move, and moves nothing when it is recorded already', async () => {
        assert.equal((await promote(one, production, request('promote', 'r', '1'))).result.kind, 'moved');
        assert.equal((await promote(two, production, request('promote', 'r', '2'))).result.kind, 'conflict');
        assert.equal((await catalog.getAlias(one.model, production, never))?.version, 1);
        assert.equal((await catalog.findRequest('promote', 'r', never))?.subject, '1');
      });

      it('lists events newest first, of one alias or of all of the model', async () => {
        await catalog.createModel(record('other'), undefined, never);
        const foreign = await added(modelName('other'), 'foreign');
        await promote(one, production);
        await promote(foreign, production);
        await promote(one, canary);
        const { event } = await promote(two, production);
        const earlier = await catalog.getAliasEvent(one.model, production, 1, never);
        assert.ok(earlier !== undefined);
        const back = rollback(event.state, earlier.state, { ...MOVE, actor: { name: 'bob', isVerified: true } });
        await catalog.moveAlias(back, undefined, never);
        const list = async (alias: AliasName | undefined, before: number | undefined, limit: number) =>
          (await catalog.listAliasEvents({ model: one.model, alias, before, limit }, never)).map(({ sequence }) => sequence);
        assert.deepEqual(await list(undefined, undefined, 10), [5, 4, 3, 1]);
        assert.deepEqual(await list(production, undefined, 2), [5, 4]);
        assert.deepEqual(await list(production, 4, 10), [1]);
        for (const position of [2, 3, 6, 999_999_999_999_999]) {
          await assert.rejects(list(production, position, 10), isError('invalid-argument', 'INVALID_PAGE_TOKEN'));
        }
        const [newest] = await catalog.listAliasEvents(
          { model: one.model, alias: undefined, before: undefined, limit: 1 },
          never,
        );
        assert.deepEqual(newest?.event, back satisfies AliasEvent);
      });

      it('reads the feed from any position it covers', async () => {
        assert.deepEqual(await catalog.readFeed(0, 10, never), []);
        await promote(one, production);
        await promote(one, canary);
        await promote(two, production);
        const read = async (sequence: number, limit: number) =>
          (await catalog.readFeed(sequence, limit, never))?.map((entry) => entry.sequence);
        assert.deepEqual(await read(0, 2), [1, 2]);
        assert.deepEqual(await read(2, 2), [3]);
        assert.deepEqual(await read(3, 2), []);
        assert.equal(await read(4, 2), undefined);
      });

      it('takes a snapshot of all aliases with the position it belongs to', async () => {
        assert.deepEqual(await catalog.snapshot(never), { sequence: 0, aliases: [] });
        const first = await promote(two, production);
        const second = await promote(one, canary);
        assert.deepEqual(await catalog.snapshot(never), { sequence: 2, aliases: [second.event.state, first.event.state] });
      });

      it('loses no update when two instances move one alias at once', async (context) => {
        if (fixture.openAnother === undefined) {
          context.skip('this adapter has one instance a store');
          return;
        }
        const other = await fixture.openAnother();
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
          await Promise.all([mover(catalog, one), mover(other, two), mover(catalog, two), mover(other, one)]);
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

      it('shows every instance what another wrote, under one identity', async (context) => {
        if (fixture.openAnother === undefined) {
          context.skip('this adapter has one instance a store');
          return;
        }
        const other = await fixture.openAnother();
        try {
          assert.equal(other.storeId, catalog.storeId);
          assert.match(catalog.storeId, /^[A-Za-z0-9_-]{1,64}$/);
          const { event } = await promote(one, production);
          assert.deepEqual(await other.getAlias(one.model, production, never), event.state);
          assert.equal(await other.feedHead(never), 1);
        } finally {
          other.close();
        }
      });
    });

    describeAliasTimes({ catalog: () => catalog, added });
    describeDeletions({ catalog: () => catalog, openAnother: () => fixture.openAnother, added });

    it('does nothing for a caller who left', async () => {
      const left = AbortSignal.abort();
      await assert.rejects(catalog.createModel(record('m'), undefined, left), isError('cancelled', 'CANCELLED'));
      await assert.rejects(catalog.feedHead(left), isError('cancelled', 'CANCELLED'));
      assert.equal(await catalog.getModel(modelName('m'), never), undefined);
    });
  });
}
