import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Registry } from '../../../registry/release/registry.ts';
import { collect, createClassifier, never, publish, stage, upload } from '../../support/registry/publish.ts';
import { fileRef, smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

export function describeGarbage(registry: () => Registry, canSendAnyNumber: boolean): void {
  const gc = (isDryRun: boolean, graceSeconds?: number) => registry().collectGarbage({ isDryRun, graceSeconds }, never);

  describe('garbage', () => {
    beforeEach(async () => {
      await createClassifier(registry(), 'm');
      await publish(registry(), 'm', smallVersion('kept'));
      await publish(registry(), 'm', smallVersion('gone'));
      await registry().deleteVersion({ model: 'm', version: 2, reason: '', actor: '', requestId: '' }, never);
    });

    it('is collected beyond the grace, after a dry run said so, and can be published again', async () => {
      const nothing = { stagingCount: 0, blobCount: 0, blobBytes: 0, blobs: [] };
      assert.deepEqual(Object.assign({}, await gc(false)), nothing);
      const dry = await gc(true, 0);
      assert.deepEqual([dry.stagingCount, dry.blobCount], [0, 3]);
      assert.ok(dry.blobs.some(({ digest }) => digest === fileRef(smallVersion('gone'), 0).digest));
      assert.deepEqual((await gc(true, 0)).blobCount, 3);
      const real = await gc(false, 0);
      assert.deepEqual([real.blobCount, real.blobBytes], [dry.blobCount, dry.blobBytes]);
      assert.deepEqual(Object.assign({}, await gc(false, 0)), nothing);
      const read = registry().readBlob({ blob: fileRef(smallVersion('kept'), 0), offsetBytes: 0, lengthBytes: undefined }, never);
      assert.equal((await collect(read)).byteLength, 1000);
      const stagingId = await stage(registry(), 'm', smallVersion('gone'));
      const { blobs } = await registry().getStaging(stagingId, never);
      assert.ok(blobs.every(({ isComplete }) => !isComplete));
      assert.equal((await publish(registry(), 'm', smallVersion('gone'))).version.version, 3);
    });

    it('is not what a staging within the grace needs; an older one is ended', async () => {
      const stagingId = await stage(registry(), 'm', smallVersion('staged'));
      for (const bytes of smallVersion('staged').files) {
        await upload(registry(), stagingId, bytes);
      }
      assert.equal((await gc(false)).stagingCount, 0);
      await registry().getStaging(stagingId, never);
      assert.deepEqual([(await gc(true, 0)).stagingCount, (await gc(false, 0)).stagingCount], [1, 1]);
      await assert.rejects(
        registry().finalizeVersion({ stagingId, requestId: '' }, never),
        isError('not-found', 'STAGING_NOT_FOUND'),
      );
      assert.equal((await publish(registry(), 'm', smallVersion('staged'))).version.version, 3);
    });

    // The contract carries whole numbers from 0 on.
    if (canSendAnyNumber) {
      it('needs a grace that is a number of seconds', async () => {
        await assert.rejects(gc(false, -1), hasViolationAt('INVALID_REQUEST', 'grace_seconds'));
      });
    }
  });
}
