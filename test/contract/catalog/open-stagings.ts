import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Catalog } from '../../../registry/release/catalog.ts';
import { draftFor, modelName } from '../../support/registry/catalog-records.ts';
import { never } from '../../support/registry/publish.ts';
import { isError } from '../../support/service-errors.ts';

/** On a catalog that has the model `m`. */
export function describeOpenStagings(catalog: () => Catalog): void {
  it('knows the open stagings, and ends one unless it was finalized', async () => {
    const draft = draftFor(modelName('m'), 'x');
    const staging = { ...draft, labels: { a: 'b' }, version: 0 };
    const { model, manifest, labels, createTimeMs } = staging;
    for (const id of ['s1', 's2', 's3', 's4', 's5']) {
      await catalog().addStaging({ id, model, manifest, labels, createTimeMs, version: 0 }, undefined, never);
    }
    await catalog().addVersion('s2', draft, undefined, never);
    assert.deepEqual([await catalog().removeStaging('s1', never), await catalog().removeStaging('s1', never)], [true, false]);
    assert.deepEqual([await catalog().removeStaging('s2', never), await catalog().removeStaging('no', never)], [false, false]);
    const open = (await catalog().openStagings(never)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    assert.deepEqual(
      open.map(({ id }) => id),
      ['s3', 's4', 's5'],
    );
    assert.deepEqual(open[0], { id: 's3', manifest, createTimeMs });
    await assert.rejects(catalog().addVersion('s1', draft, undefined, never), isError('not-found', 'STAGING_NOT_FOUND'));
    const [ended] = await Promise.allSettled([
      catalog().addVersion('s3', draftFor(modelName('m'), 'y'), undefined, never),
      catalog().removeStaging('s3', never),
    ]);
    const staged = await catalog().getStaging('s3', never);
    assert.equal(ended.status === 'fulfilled', staged !== undefined && staged.version > 0);
  });
}
