import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { digestOf } from '../../proto/wire/digest.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import type { Version } from '../../registry/model/version.ts';
import type { Catalog } from '../../registry/release/catalog.ts';
import { draftFor, modelName, record, request } from '../support/registry/catalog-records.ts';
import { never } from '../support/registry/publish.ts';
import { isError } from '../support/service-errors.ts';
import { describeAliasTimes } from './catalog/alias-times.ts';
import { describeAliases } from './catalog/aliases.ts';
import { describeDeletions } from './catalog/deletions.ts';
import type { Addition, CatalogBench, CatalogFixture } from './catalog/fixture.ts';
import { describeModelListings } from './catalog/model-listings.ts';
import { describeOpenStagings } from './catalog/open-stagings.ts';
import { describeVersions } from './catalog/versions.ts';

/** What every adapter of the Catalog port promises; an adapter's test calls this with a way to make an empty one. */
export function describeCatalog(name: string, create: () => Promise<CatalogFixture>): void {
  describe(`catalog: ${name}`, () => {
    let fixture: CatalogFixture;
    let catalog: Catalog;
    let stagings = 0;
    let stagingId = '';
    beforeEach(async () => {
      fixture = await create();
      catalog = fixture.catalog;
    });
    afterEach(() => fixture.close());

    const add = async (model: ModelName, seed: string, change: Addition = {}) => {
      const draft = draftFor(model, seed, change.labels);
      const id = `staging-${model}-${seed}-${++stagings}`;
      stagingId = id;
      const { manifest, labels, createTimeMs } = draft;
      await catalog.addStaging({ id, model, manifest, labels, createTimeMs, version: 0 }, undefined, never);
      return catalog.addVersion(id, draft, change.request, never);
    };
    const added = async (model: ModelName, seed: string, labels: Record<string, string> = {}): Promise<Version> => {
      const result = await add(model, seed, { labels });
      assert.ok(result.kind === 'added');
      return result.version;
    };
    const bench: CatalogBench = {
      catalog: () => catalog,
      openAnother: () => fixture.openAnother(),
      add,
      added,
      stagingId: () => stagingId,
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

    describeVersions(bench);

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

    describeAliases(bench);

    describeAliasTimes(bench);
    describeDeletions(bench);

    it('does nothing for a caller who left', async () => {
      const left = AbortSignal.abort();
      await assert.rejects(catalog.createModel(record('m'), undefined, left), isError('cancelled', 'CANCELLED'));
      await assert.rejects(catalog.feedHead(left), isError('cancelled', 'CANCELLED'));
      assert.equal(await catalog.getModel(modelName('m'), never), undefined);
    });
  });
}
