import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { draftFor, modelName, record, request } from '../../support/registry/catalog-records.ts';
import { readUpTo } from '../../support/registry/portions.ts';
import { never } from '../../support/registry/publish.ts';
import { fileRef, smallVersion } from '../../support/registry/sample-version.ts';
import { isError } from '../../support/service-errors.ts';
import type { CatalogBench } from './fixture.ts';

export function describeVersions({ catalog, add, added, stagingId }: CatalogBench): void {
  describe('versions', () => {
    beforeEach(() => catalog().createModel(record('m'), undefined, never));
    const m = modelName('m');

    it('numbers them from 1 and keeps all that was given', async () => {
      const first = await added(m, 'one', { run: '1' });
      const second = await added(m, 'two');
      assert.deepEqual([first.version, second.version], [1, 2]);
      assert.deepEqual(first, { ...draftFor(m, 'one', { run: '1' }), version: 1 });
      assert.deepEqual(await catalog().getVersion(m, 1, never), first);
      assert.equal(await catalog().getVersion(m, 3, never), undefined);
      assert.equal((await catalog().getModel(m, never))?.latestVersion, 2);
    });

    it('gives the existing version for a manifest that the model has', async () => {
      const first = await added(m, 'same');
      const again = await add(m, 'same');
      assert.deepEqual(again, { kind: 'added', version: first, isCreated: false });
      await catalog().createModel(record('n'), undefined, never);
      assert.equal((await added(modelName('n'), 'same')).version, 1);
      assert.equal((await catalog().getModel(m, never))?.latestVersion, 1);
    });

    it('ends the staging', async () => {
      const version = await added(m, 'staged');
      const staging = await catalog().getStaging(stagingId(), never);
      assert.deepEqual([staging?.version, staging?.manifest], [version.version, version.manifest]);
    });

    it('adds nothing for a staging that is gone', async () => {
      const adding = catalog().addVersion('gone', draftFor(m, 'gone'), request('finalize', 'gone'), never);
      await assert.rejects(adding, isError('not-found', 'STAGING_NOT_FOUND'));
      assert.equal(await catalog().getVersion(m, 1, never), undefined);
      assert.deepEqual(
        [(await catalog().getModel(m, never))?.latestVersion, await catalog().findRequest('finalize', 'gone', never)],
        [0, undefined],
      );
    });

    it('keeps where the bytes of an artifact were', async () => {
      const draft = draftFor(m, 'placed');
      const place = { bucket: 'b', key: 'k', versionId: 'v', etag: '"e"', checksum: 'c' };
      const [first, ...others] = draft.artifacts;
      assert.ok(first !== undefined);
      await catalog().addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
      await catalog().addVersion('s', { ...draft, artifacts: [{ ...first, place }, ...others] }, undefined, never);
      assert.deepEqual((await catalog().getVersion(m, 1, never))?.artifacts, [{ ...first, place }, ...others]);
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
        (await readUpTo(count, start, (after, limit) => catalog().listVersions(m, { labels, after, limit }, never))).map(
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
      await catalog().addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
      assert.equal(await catalog().isReferenced(fileRef(sample, 0), never), false);
      await catalog().addVersion('s', draft, undefined, never);
      for (const blob of [fileRef(sample, 0), fileRef(sample, 1), draft.manifest]) {
        assert.equal(await catalog().isReferenced(blob, never), true);
        assert.equal(await catalog().isReferenced({ ...blob, sizeBytes: blob.sizeBytes + 1 }, never), false);
      }
    });

    it('records the request with the number it assigned, and writes nothing when it is recorded already', async () => {
      const result = await add(m, 'one', { request: request('finalize', 'f') });
      assert.ok(result.kind === 'added');
      assert.deepEqual(await catalog().findRequest('finalize', 'f', never), {
        ...request('finalize', 'f'),
        subject: '1',
        isEffective: true,
      });
      assert.deepEqual(await add(m, 'two', { request: request('finalize', 'f') }), { kind: 'request-exists' });
      assert.equal((await catalog().getModel(m, never))?.latestVersion, 1);
      await add(m, 'one', { request: request('finalize', 'g') });
      assert.equal((await catalog().findRequest('finalize', 'g', never))?.isEffective, false);
    });

    it('assigns every number once when many are added at once', async () => {
      const seeds = Array.from({ length: 10 }, (_, index) => `at once ${index}`);
      const versions = await Promise.all(seeds.map((seed) => added(m, seed)));
      const numbers = versions.map(({ version }) => version).toSorted((a, b) => a - b);
      assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    });
  });
}
