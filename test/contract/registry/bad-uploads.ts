import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { bytesOf, collect, createClassifier, never, publish, stage, upload } from '../../support/registry/publish.ts';
import { fileRef, sampleVersion, seededBytes, smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';

export function describeBadUploads(registry: () => Registry, canSendAnyNumber: boolean): void {
  describe('bad uploads', () => {
    beforeEach(() => createClassifier(registry(), 'AMM'));

    it('refuses wrong bytes with both digests and stores nothing of them', async () => {
      const right = seededBytes('right', 1000);
      const wrong = seededBytes('wrong', 1000);
      const stagingId = await stage(registry(), 'AMM', sampleVersion([right]));
      const command = { stagingId, blob: refOf(right), firstChunk: 0, data: bytesOf(wrong) };
      const error = await rejection(registry().uploadBlob(command, never));
      assert.deepEqual([error.kind, error.reason], ['data-loss', 'DIGEST_MISMATCH']);
      assert.ok(error.message.includes(digestOf(right)) && error.message.includes(digestOf(wrong)));
      const { blobs } = await registry().getStaging(stagingId, never);
      assert.deepEqual([blobs[0]?.isComplete, blobs[0]?.verifiedChunks], [false, []]);
    });

    it('refuses a chunk that is cut short, and bytes beyond the end', async () => {
      const right = seededBytes('sized', CHUNK_BYTES + 100);
      const stagingId = await stage(registry(), 'AMM', sampleVersion([right]));
      await assert.rejects(
        upload(registry(), stagingId, right, { upTo: CHUNK_BYTES + 99 }),
        isError('data-loss', 'SIZE_MISMATCH'),
      );
      const longer = Buffer.concat([right, Buffer.from('x')]);
      const command = { stagingId, blob: refOf(right), firstChunk: 0, data: bytesOf(longer) };
      await assert.rejects(registry().uploadBlob(command, never), isError('data-loss', 'SIZE_MISMATCH'));
      const whole = seededBytes('whole', CHUNK_BYTES);
      const second = await stage(registry(), 'AMM', sampleVersion([whole]));
      const beyond = {
        stagingId: second,
        blob: refOf(whole),
        firstChunk: 0,
        data: bytesOf(Buffer.concat([whole, Buffer.from('x')])),
      };
      await assert.rejects(registry().uploadBlob(beyond, never), isError('data-loss', 'SIZE_MISMATCH'));
    });

    it('takes what a staging declares only', async () => {
      const sample = smallVersion('declared');
      const stagingId = await stage(registry(), 'AMM', sample);
      await assert.rejects(upload(registry(), stagingId, seededBytes('stray', 10)), isError('not-found', 'BLOB_NOT_DECLARED'));
      await assert.rejects(
        upload(registry(), 'no-such-staging', seededBytes('a', 10)),
        isError('not-found', 'STAGING_NOT_FOUND'),
      );
      await assert.rejects(registry().getStaging('', never), isError('not-found', 'STAGING_NOT_FOUND'));
      const [bytes] = sample.files;
      assert.ok(bytes !== undefined);
      const wrongSize = { stagingId, blob: { ...refOf(bytes), sizeBytes: 999 }, firstChunk: 0, data: bytesOf(bytes) };
      await assert.rejects(registry().uploadBlob(wrongSize, never), isError('not-found', 'BLOB_NOT_DECLARED'));
      await assert.rejects(
        upload(registry(), stagingId, bytes, { firstChunk: 1 }),
        hasViolationAt('INVALID_REQUEST', 'header.first_chunk'),
      );
      const malformed = { stagingId, blob: { digest: 'md5:1', sizeBytes: -1 }, firstChunk: 0, data: bytesOf(bytes) };
      if (canSendAnyNumber) {
        // A negative size cannot even be encoded.
        await assert.rejects(
          registry().uploadBlob(malformed, never),
          hasViolationAt('INVALID_REQUEST', 'header.blob.digest', 'header.blob.size_bytes'),
        );
      }
      await assert.rejects(
        registry().uploadBlob({ ...malformed, blob: undefined }, never),
        hasViolationAt('INVALID_REQUEST', 'header.blob'),
      );
    });

    it('finalizes nothing while blobs are missing, and names them', async () => {
      const sample = smallVersion('incomplete');
      const [first, second] = sample.files;
      assert.ok(first !== undefined && second !== undefined);
      const stagingId = await stage(registry(), 'AMM', sample);
      await upload(registry(), stagingId, first);
      const error = await rejection(registry().finalizeVersion({ stagingId, requestId: 'f' }, never));
      assert.deepEqual(
        [error.kind, error.reason, error.metadata['missing_count']],
        ['failed-precondition', 'BLOBS_MISSING', '1'],
      );
      assert.ok(error.message.includes(digestOf(second)) && !error.message.includes(digestOf(first)));
      await upload(registry(), stagingId, second);
      assert.equal((await registry().finalizeVersion({ stagingId, requestId: 'f' }, never)).isCreated, true);
      await assert.rejects(
        registry().finalizeVersion({ stagingId: 'no-such-staging', requestId: '' }, never),
        isError('not-found', 'STAGING_NOT_FOUND'),
      );
    });

    it('refuses a manifest whose chunk list is not that of the stored bytes', async () => {
      const bytes = seededBytes('divided', CHUNK_BYTES + 5);
      await publish(registry(), 'AMM', sampleVersion([bytes]));
      const lying = sampleVersion([bytes, seededBytes('x', 5)], (manifest) => ({
        ...manifest,
        artifacts: manifest.artifacts.map((artifact, index) =>
          index === 0 ? { ...artifact, chunks: artifact.chunks.toReversed() } : artifact,
        ),
      }));
      await assert.rejects(publish(registry(), 'AMM', lying), isError('data-loss', 'DIGEST_MISMATCH'));
      assert.equal((await registry().getModel('AMM', never)).latestVersion, 1);
    });

    it('refuses chunks that verify but do not make the declared digest, and starts over', async () => {
      const bytes = seededBytes('claimed', 1000);
      const other = seededBytes('uploaded', 1000);
      const lying = sampleVersion([bytes], (manifest) => ({
        ...manifest,
        artifacts: manifest.artifacts.map((artifact) => ({ ...artifact, chunks: [digestOf(other)] })),
      }));
      const stagingId = await stage(registry(), 'AMM', lying);
      const command = { stagingId, blob: refOf(bytes), firstChunk: 0, data: bytesOf(other) };
      const error = await rejection(registry().uploadBlob(command, never));
      assert.deepEqual([error.kind, error.reason], ['data-loss', 'DIGEST_MISMATCH']);
      assert.ok(error.message.includes(digestOf(bytes)) && error.message.includes(digestOf(other)));
      assert.deepEqual((await registry().getStaging(stagingId, never)).blobs[0]?.verifiedChunks, []);
      assert.equal((await publish(registry(), 'AMM', sampleVersion([bytes]))).version.version, 1);
    });

    it('refuses a manifest that is wrong, of another kind, or for no model', async () => {
      const nothing = { model: 'AMM', manifestJson: Buffer.from('{}'), labels: {}, requestId: '' };
      await assert.rejects(registry().stageVersion(nothing, never), isError('invalid-argument', 'INVALID_MANIFEST'));
      const long = smallVersion('long').manifest;
      const lineage = { ...long.lineage, dataset: 'd'.repeat(130 * 1024) };
      const manifestJson = Buffer.from(JSON.stringify({ ...long, lineage }));
      await assert.rejects(
        registry().stageVersion({ ...nothing, manifestJson }, never),
        hasViolationAt('INVALID_MANIFEST', 'manifest_json.lineage'),
      );
      const segmentation = { name: 'SEG', kind: 'segmentation', description: '', labels: {}, requestId: '' } as const;
      await registry().createModel(segmentation, never);
      await assert.rejects(stage(registry(), 'SEG', smallVersion('x')), isError('failed-precondition', 'KIND_MISMATCH'));
      await assert.rejects(stage(registry(), 'AMMM', smallVersion('x')), isError('not-found', 'MODEL_NOT_FOUND'));
      await assert.rejects(
        registry().stageVersion(
          { model: '', manifestJson: Buffer.alloc(0), labels: { Bad: '' }, requestId: 'r'.repeat(129) },
          never,
        ),
        hasViolationAt('INVALID_REQUEST', 'model', 'labels.Bad', 'request_id'),
      );
    });

    it('reads ranges of finalized blobs only', async () => {
      const sample = smallVersion('ranges');
      await publish(registry(), 'AMM', sample);
      const blob = fileRef(sample, 0);
      const read = (change: object): Promise<Buffer> =>
        collect(registry().readBlob({ blob, offsetBytes: 0, lengthBytes: undefined, ...change }, never));
      await assert.rejects(read({ blob: { ...blob, sizeBytes: 999 } }), isError('not-found', 'BLOB_NOT_FOUND'));
      await assert.rejects(read({ blob: refOf(seededBytes('unknown', 5)) }), isError('not-found', 'BLOB_NOT_FOUND'));
      await assert.rejects(read({ offsetBytes: 1001 }), hasViolationAt('INVALID_REQUEST', 'offset_bytes'));
      await assert.rejects(read({ offsetBytes: 990, lengthBytes: 11 }), hasViolationAt('INVALID_REQUEST', 'length_bytes'));
      await assert.rejects(read({ blob: undefined }), hasViolationAt('INVALID_REQUEST', 'blob'));
    });
  });
}
