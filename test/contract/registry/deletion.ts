import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Registry } from '../../../registry/release/registry.ts';
import { collect, createClassifier, never, promotion, publish, stage } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';

export function describeDeletion(registry: () => Registry): void {
  const deletion = (version: number, change: object = {}) =>
    registry().deleteVersion({ model: 'm', version, reason: '', actor: '', requestId: '', ...change }, never);
  const promote = (version: number, change: object = {}) =>
    registry().promoteVersion(promotion({ model: 'm', version, ...change }), never);
  const get = (version: number) => registry().getVersion({ model: 'm', version }, never);
  const resolve = (alias: string) => registry().resolveVersion({ model: 'm', ref: { kind: 'alias', alias } }, never);

  describe('deprecation and deletion', () => {
    beforeEach(async () => {
      await createClassifier(registry(), 'm');
      for (const seed of ['one', 'two', 'three']) {
        await publish(registry(), 'm', smallVersion(seed));
      }
    });

    it('advises against a version wherever it is shown, and stops nothing', async () => {
      const marked = await registry().deprecateVersion({ model: 'm', version: 3, reason: 'blurred' }, never);
      assert.equal(marked.deprecation?.reason, 'blurred');
      assert.ok(marked.deprecation.timeMs > 0);
      assert.deepEqual((await get(3)).deprecation, marked.deprecation);
      const { items } = await registry().listVersions({ model: 'm', pageSize: 0, pageToken: '', labels: {} }, never);
      assert.deepEqual(
        items.map(({ deprecation }) => deprecation?.reason),
        ['blurred', undefined, undefined],
      );
      assert.deepEqual((await promote(3)).deprecation, marked.deprecation);
      assert.equal((await resolve('production')).version.deprecation?.reason, 'blurred');
      assert.equal((await resolve('latest')).version.version, 3);
      assert.equal((await registry().undeprecateVersion({ model: 'm', version: 3 }, never)).deprecation, undefined);
      assert.equal((await get(3)).deprecation, undefined);
      for (const call of [
        () => registry().deprecateVersion({ model: 'm', version: 9, reason: '' }, never),
        () => registry().undeprecateVersion({ model: 'm', version: 9 }, never),
      ]) {
        await assert.rejects(call(), isError('not-found', 'VERSION_NOT_FOUND'));
      }
      await assert.rejects(
        registry().deprecateVersion({ model: 'no name', version: 0, reason: 'r'.repeat(1001) }, never),
        hasViolationAt('INVALID_REQUEST', 'reason', 'model', 'version'),
      );
    });

    it('keeps what an alias points at', async () => {
      await promote(2);
      await promote(2, { alias: 'canary' });
      const error = await rejection(deletion(2));
      assert.deepEqual(
        [error.kind, error.reason, error.metadata['aliases']],
        ['failed-precondition', 'VERSION_IN_USE', 'canary, production'],
      );
      assert.equal((await get(2)).version, 2);
    });

    it('is gone for readers and for promotions, and stays in the history', async () => {
      const blob = (await get(3)).artifacts[0];
      await promote(3);
      await promote(1);
      await deletion(3, { actor: 'ada', reason: 'wrong data' });
      for (const call of [
        () => get(3),
        () => registry().resolveVersion({ model: 'm', ref: { kind: 'version', version: 3 } }, never),
        () => registry().prefetchVersion({ model: 'm', version: 3, holdSeconds: 0 }, never),
        () => deletion(3),
        () => registry().deprecateVersion({ model: 'm', version: 3, reason: '' }, never),
      ]) {
        const error = await rejection(call());
        assert.deepEqual([error.kind, error.reason], ['not-found', 'VERSION_NOT_FOUND']);
        assert.match(error.message, /deleted .* by ada: wrong data/);
      }
      const promoted = await rejection(promote(3));
      assert.deepEqual([promoted.kind, promoted.reason], ['failed-precondition', 'VERSION_DELETED']);
      await assert.rejects(promote(4), isError('not-found', 'VERSION_NOT_FOUND'));
      await assert.rejects(
        collect(registry().readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never)),
        isError('not-found', 'BLOB_NOT_FOUND'),
      );
      assert.equal((await resolve('latest')).version.version, 2);
      const { items } = await registry().listAliasEvents({ model: 'm', alias: '', pageSize: 0, pageToken: '' }, never);
      assert.deepEqual(
        items.map(({ fromVersion, state }) => [fromVersion, state.version]),
        [
          [3, 1],
          [0, 3],
        ],
      );
    });

    it('makes a new version of a manifest that is published again', async () => {
      await deletion(3);
      const again = await publish(registry(), 'm', smallVersion('three'));
      assert.deepEqual([again.version.version, again.isCreated], [4, true]);
      await promote(4);
    });

    it('does not answer a finalization with what was deleted', async () => {
      const stagingId = await stage(registry(), 'm', smallVersion('two'));
      const finalize = (requestId: string) => registry().finalizeVersion({ stagingId, requestId }, never);
      assert.equal((await finalize('f')).version.version, 2);
      await deletion(2);
      await assert.rejects(finalize('f'), isError('failed-precondition', 'VERSION_DELETED'));
      await assert.rejects(finalize('g'), isError('failed-precondition', 'VERSION_DELETED'));
      assert.equal((await registry().getModel('m', never)).latestVersion, 3);
    });

    it('rolls back past what was deleted', async () => {
      const { version: _, ...command } = promotion({ model: 'm' });
      await promote(1);
      await promote(2);
      await promote(1);
      await promote(3);
      await deletion(2);
      assert.equal((await registry().rollbackAlias(command, never)).alias.version, 1);
      // Before that it pointed at version 2, and before that at 1, where it is.
      await assert.rejects(registry().rollbackAlias(command, never), isError('failed-precondition', 'NO_PREVIOUS_VERSION'));
      assert.equal((await promote(3)).previousVersion, 1);
      assert.equal((await registry().rollbackAlias(command, never)).alias.version, 1);
    });

    it('answers a repeated deletion as the first time', async () => {
      await deletion(2, { requestId: 'd' });
      await deletion(2, { requestId: 'd' });
      await assert.rejects(deletion(1, { requestId: 'd' }), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
      assert.equal((await get(1)).version, 1);
    });

    it('names all that is wrong with a request', async () => {
      await assert.rejects(
        deletion(0, { model: 'no name', reason: 'r'.repeat(1001), actor: 'a'.repeat(201), requestId: 'r'.repeat(129) }),
        hasViolationAt('INVALID_REQUEST', 'model', 'version', 'reason', 'actor', 'request_id'),
      );
      await assert.rejects(deletion(1, { model: 'none' }), isError('not-found', 'MODEL_NOT_FOUND'));
    });

    it('lets one win when a promotion and a deletion meet', async () => {
      for (const version of [1, 2, 3]) {
        const [moved, deleted] = await Promise.allSettled([promote(version), deletion(version)]);
        assert.notEqual(moved.status, deleted.status);
        const { aliases } = await registry().getModel('m', never);
        assert.equal(aliases[0]?.version === version, moved.status === 'fulfilled');
      }
    });
  });
}
