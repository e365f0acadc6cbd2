import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { it } from 'node:test';
import type { Digest } from '../../../proto/wire/digest.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { assertWhole, BLOBS, gc, openOld, remove } from '../../support/registry/old-registry.ts';
import { overriding } from '../../support/registry/overriding.ts';
import { collect, createClassifier, never, publish, stage } from '../../support/registry/publish.ts';
import { fileRef, smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

it('restores what a publish came to need before it was set aside', async () => {
  await using folder = await temporaryFolder();
  const sample = smallVersion('again');
  const { embedded, registry } = await openOld(folder.path, {
    // After the collection found the blobs unreferenced: staged, told that nothing is missing.
    beforeSetAside: once(async () => {
      const { staging, blobs } = await registry.stageVersion(
        { model: 'm', manifestJson: sample.manifestJson, labels: {}, requestId: '' },
        never,
      );
      assert.ok(blobs.every(({ isComplete }) => isComplete));
      stagingId = staging.id;
    }),
  });
  let stagingId = '';
  await createClassifier(registry, 'm');
  await publish(registry, 'm', sample);
  await remove(registry, 1);
  assert.equal((await gc(registry)).blobCount, 0);
  assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 2);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('restores what a version came to refer to before it was set aside', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await openOld(folder.path, {
    beforeSetAside: once(() => publish(registry, 'm', smallVersion('again'))),
  });
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('again'));
  await remove(registry, 1);
  assert.equal((await gc(registry)).blobCount, 0);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('loses nothing when a publish comes while blobs are set aside', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await openOld(folder.path, {
    afterSetAside: async () => {
      steps++;
      // The last of them is out of sight by then.
      if (steps === BLOBS) {
        await publish(registry, 'm', smallVersion('again'));
      }
    },
  });
  let steps = 0;
  await createClassifier(registry, 'm');
  await publish(registry, 'm', smallVersion('again'));
  await remove(registry, 1);
  await gc(registry);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('keeps nobody who needs a blob waiting while it is set aside', async () => {
  await using folder = await temporaryFolder();
  const sample = smallVersion('again');
  let stagingId = '';
  let steps = 0;
  const { embedded, registry } = await openOld(folder.path, {
    beforeSetAside: once(async () => {
      stagingId = await stage(registry, 'm', sample);
    }),
    afterSetAside: async () => {
      steps++;
      // The last of them is out of sight by then, the manifest among them.
      if (steps === BLOBS) {
        await registry.getStaging(stagingId, never);
        assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 2);
        await assertWhole(embedded);
      }
    },
  });
  await createClassifier(registry, 'm');
  await publish(registry, 'm', sample);
  await remove(registry, 1);
  assert.deepEqual([(await gc(registry)).blobCount, steps], [0, BLOBS]);
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('lets whoever reads a version find what a killed run left out of sight', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await openOld(folder.path);
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('kept'));
  for (const { digest } of [version.manifest, ...version.artifacts]) {
    await embedded.blobs.setAside(digest, never);
  }
  const { manifestJson } = await registry.resolveVersion({ model: 'm', ref: { kind: 'version', version: 1 } }, never);
  assert.ok(smallVersion('kept').manifestJson.equals(manifestJson));
  await assertWhole(embedded);
  embedded[Symbol.dispose]();
});

it('goes on reading where a blob went out of sight', async () => {
  await using folder = await temporaryFolder();
  let isSetAside = false;
  const embedded = await openEmbedded(folder.path, {
    wrapBlobs: (blobs) =>
      overriding(blobs, {
        async *read(blob, { offsetBytes, lengthBytes }, signal) {
          if (isSetAside) {
            yield* blobs.read(blob, { offsetBytes, lengthBytes }, signal);
            return;
          }
          // As from S3, where each range is a request of its own.
          yield* blobs.read(blob, { offsetBytes, lengthBytes: 100 }, signal);
          isSetAside = true;
          await blobs.setAside(blob.digest, signal);
          yield* blobs.read(blob, { offsetBytes: offsetBytes + 100, lengthBytes: lengthBytes - 100 }, signal);
        },
      }),
  });
  await createClassifier(embedded.registry, 'm');
  isSetAside = true;
  const { version } = await publish(embedded.registry, 'm', smallVersion('kept'));
  isSetAside = false;
  const reading = embedded.registry.readBlob({ blob: version.artifacts[0], offsetBytes: 0, lengthBytes: undefined }, never);
  assert.ok((await collect(reading)).equals(smallVersion('kept').files[0] ?? Buffer.alloc(0)));
  assert.equal(isSetAside, true);
  embedded[Symbol.dispose]();
});

it('restores as often as collections set a blob aside, and says when there is no end to it', async () => {
  await using folder = await temporaryFolder();
  let left = 0;
  const vanish = async (blobs: BlobStore, digest: Digest): Promise<void> => {
    if (left > 0) {
      left--;
      await blobs.setAside(digest, never);
    }
  };
  const embedded = await openEmbedded(folder.path, {
    wrapBlobs: (blobs) =>
      overriding(blobs, {
        verify: async (blob, signal) => {
          await vanish(blobs, blob.digest);
          return blobs.verify(blob, signal);
        },
        async *read(blob, range, signal) {
          await vanish(blobs, blob.digest);
          yield* blobs.read(blob, range, signal);
        },
      }),
  });
  const { registry } = embedded;
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('kept'));
  const read = () => collect(registry.readBlob({ blob: version.artifacts[0], offsetBytes: 0, lengthBytes: undefined }, never));
  left = 3;
  assert.equal((await read()).byteLength, 1000);
  const stagingId = await stage(registry, 'm', smallVersion('kept'));
  left = 3;
  await registry.finalizeVersion({ stagingId, requestId: '' }, never);
  assert.equal(left, 0);
  left = Number.POSITIVE_INFINITY;
  await assert.rejects(read(), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  const again = await stage(registry, 'm', smallVersion('kept'));
  await assert.rejects(
    registry.finalizeVersion({ stagingId: again, requestId: '' }, never),
    isError('unavailable', 'STORAGE_UNAVAILABLE'),
  );
  embedded[Symbol.dispose]();
});

it('finds nothing to restore of a blob that is simply not there', async () => {
  await using folder = await temporaryFolder();
  const { embedded, registry } = await openOld(folder.path);
  await createClassifier(registry, 'm');
  const { version } = await publish(registry, 'm', smallVersion('lost'));
  await rm(embedded.layout.blob(fileRef(smallVersion('lost'), 0).digest));
  const reading = registry.readBlob({ blob: version.artifacts[0], offsetBytes: 0, lengthBytes: undefined }, never);
  await assert.rejects(collect(reading), isError('not-found', 'BLOB_NOT_FOUND'));
  embedded[Symbol.dispose]();
});

function once(action: () => Promise<unknown>): () => Promise<void> {
  let isDone = false;
  return async () => {
    if (!isDone) {
      isDone = true;
      await action();
    }
  };
}
