import assert from 'node:assert/strict';
import { it } from 'node:test';
import { promotion } from '../../../registry/model/alias.ts';
import { aliasName, modelName, record, targetOf } from '../../support/registry/catalog-records.ts';
import { never } from '../../support/registry/publish.ts';
import type { CatalogBench } from './fixture.ts';

export function describeAliasTimes({ catalog, added }: CatalogBench): void {
  const m = modelName('m');
  const production = aliasName('production');
  const canary = aliasName('canary');

  it('finds the last event of an alias at or before a time', async () => {
    await catalog().createModel(record('m'), undefined, never);
    const versions = [await added(m, 'one'), await added(m, 'two')] as const;
    const move = async (index: number, alias: typeof production, timeMs: number) => {
      const current = await catalog().getAlias(m, alias, never);
      const target = { ...targetOf(versions[index % 2 === 0 ? 0 : 1]), alias };
      const event = promotion(current, target, { actor: { name: 'ada', isVerified: false }, reason: '', timeMs });
      await catalog().moveAlias(event, undefined, never);
    };
    const at = async (timeMs: number, alias = production) =>
      (await catalog().aliasEventAt(m, alias, timeMs, never))?.event.state.revision;
    assert.equal(await at(1_000), undefined);
    const times = [10, 20, 20, 20, 50, 60, 70];
    for (const [index, timeMs] of times.entries()) {
      await move(index, canary, timeMs + 1);
      await move(index, production, timeMs);
    }
    for (const timeMs of [0, 9, 10, 11, 19, 20, 21, 49, 50, 69, 70, 71, 1e15, -1]) {
      const expected = times.findLastIndex((time) => time <= timeMs) + 1;
      assert.equal(await at(timeMs), expected || undefined, `at ${timeMs}`);
    }
    const entry = await catalog().aliasEventAt(m, production, 20, never);
    assert.deepEqual(entry, (await catalog().readFeed((entry?.sequence ?? 0) - 1, 1, never))?.[0]);
    assert.equal(await at(20, aliasName('none')), undefined);
  });
}
