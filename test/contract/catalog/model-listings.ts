import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Model } from '../../../registry/model/model.ts';
import type { Catalog } from '../../../registry/release/catalog.ts';
import { record } from '../../support/registry/catalog-records.ts';
import { readUpTo } from '../../support/registry/portions.ts';
import { never } from '../../support/registry/publish.ts';

export function describeModelListings(catalog: () => Catalog): void {
  it('lists in order of names, those with all labels, after a position', async () => {
    for (const [model, labels] of [
      ['c', { x: '1', y: '1' }],
      ['a', { x: '1' }],
      ['B', { x: '1', y: '1' }],
      ['d', { x: '2', y: '1' }],
      ['e', { x: '1', y: '1' }],
    ] as const) {
      await catalog().createModel(record(model, labels), undefined, never);
    }
    const list = async (labels: Record<string, string>, start: string | undefined, count: number) =>
      (await readUpTo(count, start, (after, limit) => catalog().listModels({ labels, after, limit }, never))).map(
        (model) => model.name,
      );
    assert.deepEqual(await list({}, undefined, 10), ['B', 'a', 'c', 'd', 'e']);
    assert.deepEqual(await list({}, 'a', 2), ['c', 'd']);
    assert.deepEqual(await list({ x: '1', y: '1' }, undefined, 10), ['B', 'c', 'e']);
    assert.deepEqual(await list({ y: '1', x: '1' }, 'B', 1), ['c']);
    assert.deepEqual(await list({ x: '3' }, undefined, 10), []);
  });

  it('finds the few that carry all labels among many that carry one', async () => {
    const labelled = Array.from({ length: 120 }, (_, index) => `m${String(index).padStart(3, '0')}`);
    for (const [index, model] of labelled.entries()) {
      const labels = index === 70 || index === 119 ? { x: '1', y: '1' } : { x: '1', y: '2' };
      await catalog().createModel(record(model, labels), undefined, never);
    }
    const labels = { x: '1', y: '1' };
    for (const count of [1, 2, 10]) {
      const found = await readUpTo<Model, string>(count, undefined, (after, limit) =>
        catalog().listModels({ labels, after, limit }, never),
      );
      assert.deepEqual(
        found.map((model) => model.name),
        ['m070', 'm119'].slice(0, count),
      );
    }
  });
}
