import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodePageToken } from '../../../registry/model/page-token.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';

export function describeModels(registry: () => Registry): void {
  describe('models', () => {
    it('creates a model once', async () => {
      const command = {
        name: 'AMM',
        kind: 'classification',
        description: 'flakes',
        labels: { material: 'graphene' },
        requestId: '',
      } as const;
      const created = await registry().createModel(command, never);
      assert.deepEqual(await registry().getModel('AMM', never), created);
      assert.deepEqual({ latest: created.latestVersion, aliases: created.aliases }, { latest: 0, aliases: [] });
      await assert.rejects(registry().createModel(command, never), isError('already-exists', 'MODEL_EXISTS'));
    });

    it('answers a repeated request as the first time, and refuses its id for another model', async () => {
      const command = {
        name: 'AMM',
        kind: 'classification',
        description: 'flakes',
        labels: { b: '2', a: '1' },
        requestId: 'c',
      } as const;
      const created = await registry().createModel(command, never);
      await publish(registry(), 'AMM', smallVersion('one'));
      await registry().promoteVersion(promotion({ model: 'AMM' }), never);
      assert.deepEqual(await registry().createModel({ ...command, labels: { a: '1', b: '2' } }, never), created);
      for (const change of [
        { name: 'other' },
        { kind: 'segmentation' as const },
        { description: 'other' },
        { labels: { a: '1' } },
      ]) {
        await assert.rejects(
          registry().createModel({ ...command, ...change }, never),
          hasViolationAt('REQUEST_ID_REUSED', 'request_id'),
        );
      }
      await assert.rejects(
        registry().createModel({ ...command, requestId: 'd' }, never),
        isError('already-exists', 'MODEL_EXISTS'),
      );
      // An id that met an error is free: nothing was done under it.
      await registry().createModel({ ...command, name: 'next', requestId: 'd' }, never);
    });

    it('answers requests that arrive at once alike', async () => {
      const command = { name: 'AMM', kind: 'classification', description: '', labels: {}, requestId: 'c' } as const;
      const [first, ...others] = await Promise.all(Array.from({ length: 4 }, () => registry().createModel(command, never)));
      for (const other of others) {
        assert.deepEqual(other, first);
      }
    });

    it('names every wrong field of a request', async () => {
      const labels = { 'Not a key': 'x', good: 'v'.repeat(256) };
      await assert.rejects(
        registry().createModel(
          { name: '-bad', kind: undefined, description: 'd'.repeat(1001), labels, requestId: 'r'.repeat(129) },
          never,
        ),
        hasViolationAt('INVALID_REQUEST', 'name', 'kind', 'description', 'labels.Not a key', 'labels.good', 'request_id'),
      );
    });

    it('refuses text that a database would cut short', async () => {
      const labels = { material: 'a\0b' };
      await assert.rejects(
        registry().createModel({ name: 'AMM', kind: 'classification', description: 'a\0b', labels, requestId: '' }, never),
        hasViolationAt('INVALID_REQUEST', 'description', 'labels.material'),
      );
    });

    it('refuses a name whatever character its message is cut in', async () => {
      for (const before of [138, 139, 140]) {
        const name = `${'a'.repeat(before)}\u{1f52c}\u{1f52c}`;
        await assert.rejects(registry().getModel(name, never), hasViolationAt('INVALID_REQUEST', 'name'));
      }
    });

    it('says of too many labels only that', async () => {
      const labels = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`NOT A KEY ${index}`, '']));
      await assert.rejects(
        registry().createModel({ name: 'AMM', kind: 'classification', description: '', labels, requestId: '' }, never),
        hasViolationAt('INVALID_REQUEST', 'labels'),
      );
    });

    it('says what an unknown model may have been meant as', async () => {
      await createClassifier(registry(), 'CLS_AMM_GrapheneH');
      await createClassifier(registry(), 'SEG_M2F_WSe2L');
      const error = await rejection(registry().getModel('cls_amm_graphene', never));
      assert.deepEqual([error.kind, error.reason], ['not-found', 'MODEL_NOT_FOUND']);
      assert.match(error.message, /CLS_AMM_GrapheneH/);
      assert.doesNotMatch(error.message, /SEG_M2F/);
    });

    it('lists by labels, in order, page by page', async () => {
      for (const index of [3, 1, 4, 2, 5]) {
        await createClassifier(registry(), `m${index}`, { material: index % 2 === 0 ? 'hbn' : 'graphene', lab: 'a' });
      }
      const names: string[] = [];
      let pageToken = '';
      do {
        const page = await registry().listModels({ pageSize: 2, pageToken, labels: { material: 'graphene', lab: 'a' } }, never);
        assert.ok(page.items.length <= 2);
        names.push(...page.items.map((model) => model.name));
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      assert.deepEqual(names, ['m1', 'm3', 'm5']);
      assert.deepEqual(
        (await registry().listModels({ pageSize: 0, pageToken: '', labels: { material: 'wse2' } }, never)).items,
        [],
      );
    });

    it('refuses a page token of another query', async () => {
      await createClassifier(registry(), 'a', { lab: 'x' });
      await createClassifier(registry(), 'b', { lab: 'x' });
      const { nextPageToken } = await registry().listModels({ pageSize: 1, pageToken: '', labels: { lab: 'x' } }, never);
      const other = registry().listModels({ pageSize: 1, pageToken: nextPageToken, labels: {} }, never);
      await assert.rejects(other, hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
      const nonsense = registry().listModels({ pageSize: 1, pageToken: 'nonsense', labels: {} }, never);
      await assert.rejects(nonsense, hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
      const forged = { pageSize: 1, pageToken: encodePageToken(['ListModels', []], 'no model'), labels: {} };
      await assert.rejects(registry().listModels(forged, never), hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
      const far = encodePageToken(['ListVersions', 'a', []], '4294967296');
      await assert.rejects(
        registry().listVersions({ model: 'a', pageSize: 1, pageToken: far, labels: {} }, never),
        hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'),
      );
      await assert.rejects(
        registry().listModels({ pageSize: 1001, pageToken: '', labels: {} }, never),
        hasViolationAt('INVALID_REQUEST', 'page_size'),
      );
    });
  });
}
