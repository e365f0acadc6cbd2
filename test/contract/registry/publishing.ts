import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { CHUNK_BYTES, MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { collect, createClassifier, never, promotion, publish, stage, upload } from '../../support/registry/publish.ts';
import { fileRef, sampleVersion, seededBytes, smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

export function describePublishing(registry: () => Registry): void {
  describe('publishing', () => {
    beforeEach(() => createClassifier(registry(), 'AMM'));

    it('stages, uploads, finalizes, and gives the bytes back', async () => {
      const big = seededBytes('big', 2 * CHUNK_BYTES + 12345);
      const sample = sampleVersion([big, seededBytes('source', 10), Buffer.alloc(0)]);
      const staged = await registry().stageVersion(
        { model: 'AMM', manifestJson: sample.manifestJson, labels: { run: '7' }, requestId: '' },
        never,
      );
      assert.deepEqual(
        staged.blobs.map(({ blob, isComplete }) => ({ digest: blob.digest, isComplete })),
        sample.manifest.artifacts.map(({ digest }) => ({ digest, isComplete: false })),
      );
      for (const bytes of sample.files) {
        assert.equal((await upload(registry(), staged.staging.id, bytes)).isComplete, true);
      }
      const { version, isCreated } = await registry().finalizeVersion({ stagingId: staged.staging.id, requestId: '' }, never);
      assert.equal(isCreated, true);
      assert.deepEqual(
        {
          version: version.version,
          manifest: version.manifest,
          labels: version.labels,
          family: version.family,
          kind: version.kind,
          lineage: version.lineage,
          paths: version.artifacts.map(({ path, role }) => `${role} ${path}`),
        },
        {
          version: 1,
          manifest: refOf(sample.manifestJson),
          labels: { run: '7' },
          family: 'AMM',
          kind: 'classification',
          lineage: sample.manifest.lineage,
          paths: ['serving file-0.onnx', 'source file-1.onnx', 'source file-2.onnx'],
        },
      );
      assert.deepEqual(await registry().getVersion({ model: 'AMM', version: 1 }, never), version);
      assert.equal((await registry().getModel('AMM', never)).latestVersion, 1);
      const whole = await collect(registry().readBlob({ blob: refOf(big), offsetBytes: 0, lengthBytes: undefined }, never));
      assert.ok(whole.equals(big));
      const offsetBytes = CHUNK_BYTES - 7;
      const part = await collect(registry().readBlob({ blob: refOf(big), offsetBytes, lengthBytes: 20 }, never));
      assert.ok(part.equals(big.subarray(offsetBytes, offsetBytes + 20)));
      const none = await collect(
        registry().readBlob({ blob: refOf(big), offsetBytes: big.byteLength, lengthBytes: undefined }, never),
      );
      assert.equal(none.byteLength, 0);
      const manifest = await collect(
        registry().readBlob({ blob: refOf(sample.manifestJson), offsetBytes: 0, lengthBytes: undefined }, never),
      );
      assert.ok(manifest.equals(sample.manifestJson));
    });

    it('resumes a broken upload at a chunk boundary', async () => {
      const big = seededBytes('resumed', 3 * CHUNK_BYTES);
      const stagingId = await stage(registry(), 'AMM', sampleVersion([big]));
      const partial = await upload(registry(), stagingId, big, { upTo: CHUNK_BYTES });
      assert.deepEqual([partial.isComplete, partial.verifiedChunks], [false, [{ first: 0, count: 1 }]]);
      await upload(registry(), stagingId, big, { firstChunk: 2 });
      const { blobs } = await registry().getStaging(stagingId, never);
      assert.deepEqual(blobs[0]?.verifiedChunks, [
        { first: 0, count: 1 },
        { first: 2, count: 1 },
      ]);
      const done = await upload(registry(), stagingId, big, { firstChunk: 1, upTo: 2 * CHUNK_BYTES });
      assert.deepEqual([done.isComplete, done.verifiedChunks], [true, []]);
      assert.equal((await registry().finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 1);
    });

    it('needs no upload of what is stored already', async () => {
      const shared = seededBytes('shared', 5000);
      await publish(registry(), 'AMM', sampleVersion([shared]));
      const second = sampleVersion([shared, seededBytes('more', 100)]);
      const staged = await registry().stageVersion(
        { model: 'AMM', manifestJson: second.manifestJson, labels: {}, requestId: '' },
        never,
      );
      assert.deepEqual(
        staged.blobs.map(({ isComplete }) => isComplete),
        [true, false],
      );
      assert.equal((await upload(registry(), staged.staging.id, shared)).isComplete, true);
    });

    it('gives the version that the model has for a manifest published again', async () => {
      const sample = smallVersion('again');
      const first = await publish(registry(), 'AMM', sample);
      await publish(registry(), 'AMM', smallVersion('between'));
      const again = await publish(registry(), 'AMM', sample);
      assert.deepEqual(again, { version: first.version, isCreated: false });
      assert.equal((await registry().getModel('AMM', never)).latestVersion, 2);
    });

    it('numbers versions without gaps when many are finalized at once', async () => {
      const samples = Array.from({ length: 8 }, (_, index) => smallVersion(`parallel ${index % 6}`));
      const finalized = await Promise.all(samples.map((sample) => publish(registry(), 'AMM', sample)));
      const created = finalized.filter(({ isCreated }) => isCreated).map(({ version }) => version.version);
      assert.deepEqual(
        created.toSorted((a, b) => a - b),
        [1, 2, 3, 4, 5, 6],
      );
      for (const [index, { version }] of finalized.entries()) {
        assert.equal(version.manifest.digest, digestOf(samples[index]?.manifestJson ?? Buffer.alloc(0)));
      }
      const { items } = await registry().listVersions({ model: 'AMM', pageSize: 4, pageToken: '', labels: {} }, never);
      assert.deepEqual(
        items.map(({ version }) => version),
        [6, 5, 4, 3],
      );
    });

    it('lists versions by labels, newest first', async () => {
      for (const [seed, labels] of [
        ['a', { run: '1', good: 'yes' }],
        ['b', { run: '2', good: 'no' }],
        ['c', { run: '3', good: 'yes' }],
      ] as const) {
        const { manifestJson, files } = smallVersion(seed);
        const { staging } = await registry().stageVersion({ model: 'AMM', manifestJson, labels, requestId: '' }, never);
        for (const bytes of files) {
          await upload(registry(), staging.id, bytes);
        }
        await registry().finalizeVersion({ stagingId: staging.id, requestId: '' }, never);
      }
      const query = { model: 'AMM', pageSize: 1, labels: { good: 'yes' } };
      const first = await registry().listVersions({ ...query, pageToken: '' }, never);
      const second = await registry().listVersions({ ...query, pageToken: first.nextPageToken }, never);
      assert.deepEqual([first.items[0]?.version, second.items[0]?.version, second.nextPageToken], [3, 1, '']);
    });

    it('answers a repeated request as the first time', async () => {
      const sample = smallVersion('idempotent');
      const stagingId = await stage(registry(), 'AMM', sample, 'stage-1');
      assert.equal(await stage(registry(), 'AMM', sample, 'stage-1'), stagingId);
      await assert.rejects(
        stage(registry(), 'AMM', smallVersion('other'), 'stage-1'),
        hasViolationAt('REQUEST_ID_REUSED', 'request_id'),
      );
      for (const bytes of sample.files) {
        await upload(registry(), stagingId, bytes);
      }
      const first = await registry().finalizeVersion({ stagingId, requestId: 'finalize-1' }, never);
      assert.deepEqual(await registry().finalizeVersion({ stagingId, requestId: 'finalize-1' }, never), first);
      assert.equal(first.isCreated, true);
      assert.deepEqual(await registry().finalizeVersion({ stagingId, requestId: '' }, never), { ...first, isCreated: false });
      const other = await stage(registry(), 'AMM', smallVersion('other'));
      await assert.rejects(
        registry().finalizeVersion({ stagingId: other, requestId: 'finalize-1' }, never),
        hasViolationAt('REQUEST_ID_REUSED', 'request_id'),
      );
    });

    it('shows nothing of an unfinished version', async () => {
      const sample = smallVersion('hidden');
      const stagingId = await stage(registry(), 'AMM', sample);
      for (const bytes of sample.files) {
        await upload(registry(), stagingId, bytes);
      }
      assert.equal((await registry().getModel('AMM', never)).latestVersion, 0);
      assert.deepEqual(
        (await registry().listVersions({ model: 'AMM', pageSize: 0, pageToken: '', labels: {} }, never)).items,
        [],
      );
      await assert.rejects(registry().getVersion({ model: 'AMM', version: 1 }, never), isError('not-found', 'VERSION_NOT_FOUND'));
      await assert.rejects(
        registry().resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'latest' } }, never),
        isError('not-found', 'VERSION_NOT_FOUND'),
      );
      await assert.rejects(
        registry().promoteVersion(promotion({ model: 'AMM' }), never),
        isError('not-found', 'VERSION_NOT_FOUND'),
      );
      for (const blob of [fileRef(sample, 0), refOf(sample.manifestJson)]) {
        const read = collect(registry().readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
        await assert.rejects(read, isError('not-found', 'BLOB_NOT_FOUND'));
      }
    });

    it('sends a blob in messages of bounded size', async () => {
      const big = seededBytes('messages', 3 * MESSAGE_BYTES + 1);
      await publish(registry(), 'AMM', sampleVersion([big]));
      for await (const piece of registry().readBlob({ blob: refOf(big), offsetBytes: 1, lengthBytes: undefined }, never)) {
        assert.ok(piece.byteLength <= MESSAGE_BYTES);
      }
    });
  });
}
