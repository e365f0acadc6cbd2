import assert from 'node:assert/strict';
import { chmod, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { it } from 'node:test';
import { CHUNK_BYTES, MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';
import { deferred } from '../../support/deferred.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { overriding } from '../../support/registry/overriding.ts';
import { bytesOf, collect, createClassifier, never, publish, stage, upload } from '../../support/registry/publish.ts';
import { chunkedBlob, fileRef, sampleVersion, seededBytes, smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError, rejection } from '../../support/service-errors.ts';

async function damage(path: string): Promise<void> {
  await chmod(path, 0o644);
  const file = await open(path, 'r+');
  await file.write('X', 0);
  await file.close();
}

/** Fails every chunk after the first `good` ones as a full disk does. */
function fullAfter(blobs: BlobStore, good: number): BlobStore {
  let left = good;
  return overriding(blobs, {
    openUpload: async (...args) => {
      const uploading = await blobs.openUpload(...args);
      return {
        ...uploading,
        putChunk: async (...chunk) => {
          if (left-- <= 0) {
            throw new ServiceError('resource-exhausted', 'STORAGE_FULL', 'no space left');
          }
          await uploading.putChunk(...chunk);
        },
      };
    },
  });
}

it('takes a blob in again that storage cut short, and goes by what it read where the manifest is wrong', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  const { registry, layout } = embedded;
  for (const model of ['m', 'n', 'o']) {
    await createClassifier(registry, model);
  }
  const sample = smallVersion('short');
  await publish(registry, 'm', sample);
  const path = layout.blob(fileRef(sample, 0).digest);
  await chmod(path, 0o644);
  await truncate(path, 500);
  const { version } = await publish(registry, 'n', sample);
  for (const blob of [version.manifest, ...version.artifacts]) {
    await collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
  }
  // A right copy is not removed for a manifest that says another size of it.
  const lying = sampleVersion([seededBytes('short', 1000)], (manifest) => ({
    ...manifest,
    artifacts: manifest.artifacts.map((artifact) => ({ ...artifact, sizeBytes: 999 })),
  }));
  const stagingId = await stage(registry, 'o', lying);
  const { digest } = fileRef(lying, 0);
  const data = bytesOf(seededBytes('short', 1000));
  await assert.rejects(
    registry.uploadBlob({ stagingId, blob: { digest, sizeBytes: 999 }, firstChunk: 0, data }, never),
    isError('data-loss', 'SIZE_MISMATCH'),
  );
  assert.equal((await stat(path)).size, 1000);
});

/** Holds back what one `verify` found until `gate` opens; `reached` says that it was found. */
function slowlyFound(blobs: BlobStore, isHeld: () => boolean, reached: () => void, gate: Promise<void>): BlobStore {
  return overriding(blobs, {
    verify: async (...args) => {
      const found = await blobs.verify(...args);
      if (found.kind === 'corrupt' && isHeld()) {
        reached();
        await gate;
      }
      return found;
    },
  });
}

for (const what of ['a file', 'the manifest']) {
  it(`removes ${what} that is corrupt, and not what another publisher stored anew meanwhile`, async () => {
    await using folder = await temporaryFolder();
    const [found, gate] = [deferred(), deferred()];
    using slow = await openEmbedded(folder.path, {
      wrapBlobs: (blobs) => slowlyFound(blobs, () => isArmed, found.resolve, gate.promise),
    });
    using quick = await openEmbedded(folder.path);
    let isArmed = false;
    for (const model of ['m', 'n', 'o']) {
      await createClassifier(quick.registry, model);
    }
    const sample = smallVersion('x');
    const { version } = await publish(quick.registry, 'm', sample);
    const stagingId = await stage(slow.registry, 'n', sample);
    const damaged = what === 'a file' ? fileRef(sample, 0) : version.manifest;
    await damage(quick.layout.blob(damaged.digest));
    isArmed = true;
    const first =
      what === 'a file'
        ? assert.rejects(
            slow.registry.finalizeVersion({ stagingId, requestId: '' }, never),
            isError('data-loss', 'DIGEST_MISMATCH'),
          )
        : stage(slow.registry, 'n', sample);
    await found.promise;
    if (what === 'a file') {
      await assert.rejects(publish(quick.registry, 'o', sample), isError('data-loss', 'DIGEST_MISMATCH'));
    }
    const again = await publish(quick.registry, 'o', sample);
    const stored = await stat(quick.layout.blob(damaged.digest));
    gate.resolve();
    await first;
    assert.equal((await stat(quick.layout.blob(damaged.digest))).ino, stored.ino);
    for (const blob of [again.version.manifest, ...again.version.artifacts]) {
      await collect(quick.registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
    }
  });
}

it('keeps what arrived before the disk was full, and goes on from there', async () => {
  await using folder = await temporaryFolder();
  const bytes = seededBytes('full', 2 * CHUNK_BYTES);
  let stagingId = '';
  {
    using embedded = await openEmbedded(folder.path, { wrapBlobs: (blobs) => fullAfter(blobs, 2) });
    await createClassifier(embedded.registry, 'm');
    // The manifest takes one of the two chunks that fit.
    stagingId = await stage(embedded.registry, 'm', sampleVersion([bytes]));
    await assert.rejects(upload(embedded.registry, stagingId, bytes), isError('resource-exhausted', 'STORAGE_FULL'));
    assert.equal((await embedded.registry.getModel('m', never)).latestVersion, 0);
  }
  using embedded = await openEmbedded(folder.path);
  const { blobs } = await embedded.registry.getStaging(stagingId, never);
  assert.deepEqual(blobs[0]?.verifiedChunks, [{ first: 0, count: 1 }]);
  assert.equal((await upload(embedded.registry, stagingId, bytes, { firstChunk: 1 })).isComplete, true);
  assert.equal((await embedded.registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 1);
});

it('keeps the whole chunks of an upload that broke off', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  await createClassifier(embedded.registry, 'm');
  const bytes = seededBytes('broken', 2 * CHUNK_BYTES);
  const stagingId = await stage(embedded.registry, 'm', sampleVersion([bytes]));
  const broken = new ServiceError('cancelled', 'CANCELLED', 'the connection is gone');
  const data = (async function* () {
    yield* bytesOf(bytes.subarray(0, CHUNK_BYTES + MESSAGE_BYTES));
    throw broken;
  })();
  await assert.rejects(embedded.registry.uploadBlob({ stagingId, blob: refOf(bytes), firstChunk: 0, data }, never), broken);
  const { blobs } = await embedded.registry.getStaging(stagingId, never);
  assert.deepEqual([blobs[0]?.isComplete, blobs[0]?.verifiedChunks], [false, [{ first: 0, count: 1 }]]);
});

it('never finalizes bytes that changed on the disk, and takes them anew', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  const { registry, layout } = embedded;
  await createClassifier(registry, 'm');
  const sample = smallVersion('changed');
  const [bytes] = sample.files;
  assert.ok(bytes !== undefined);
  const stagingId = await stage(registry, 'm', sample);
  for (const file of sample.files) {
    await upload(registry, stagingId, file);
  }
  await damage(layout.blob(digestOf(bytes)));
  const error = await rejection(registry.finalizeVersion({ stagingId, requestId: '' }, never));
  assert.deepEqual([error.kind, error.reason], ['data-loss', 'DIGEST_MISMATCH']);
  assert.ok(error.message.includes(digestOf(bytes)));
  assert.equal((await registry.getModel('m', never)).latestVersion, 0);
  await assert.rejects(
    registry.finalizeVersion({ stagingId, requestId: '' }, never),
    isError('failed-precondition', 'BLOBS_MISSING'),
  );
  await upload(registry, stagingId, bytes);
  assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 1);
});

it('replaces a stored manifest that is damaged, cut or gone when its content is staged again', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  const { registry, layout } = embedded;
  await createClassifier(registry, 'm');
  const sample = smallVersion('manifest');
  const path = layout.blob(digestOf(sample.manifestJson));
  const cut = async (): Promise<void> => {
    await chmod(path, 0o644);
    await truncate(path, 10);
  };
  for (const [index, spoil] of [() => damage(path), cut, () => rm(path)].entries()) {
    const requestId = `stage ${index}`;
    const stagingId = await stage(registry, 'm', sample, requestId);
    await spoil();
    await assert.rejects(registry.finalizeVersion({ stagingId, requestId: '' }, never));
    assert.equal(await stage(registry, 'm', sample, requestId), stagingId, 'also by the same request');
    await spoil();
    assert.equal((await publish(registry, 'm', sample)).version.version, 1);
    const { manifestJson } = await registry.resolveVersion({ model: 'm', ref: { kind: 'version', version: 1 } }, never);
    assert.ok(sample.manifestJson.equals(manifestJson));
    assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 1);
  }
});

it('ends a whole read of changed bytes with DATA_LOSS', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  const { registry, layout } = embedded;
  await createClassifier(registry, 'm');
  const sample = smallVersion('read');
  await publish(registry, 'm', sample);
  const [bytes] = sample.files;
  assert.ok(bytes !== undefined);
  await damage(layout.blob(digestOf(bytes)));
  const read = (): Promise<Buffer> =>
    collect(registry.readBlob({ blob: refOf(bytes), offsetBytes: 0, lengthBytes: undefined }, never));
  await assert.rejects(read(), isError('data-loss', 'DIGEST_MISMATCH'));
  await rm(layout.blob(digestOf(bytes)));
  await assert.rejects(read(), isError('not-found', 'BLOB_NOT_FOUND'));
  await damage(layout.blob(digestOf(sample.manifestJson)));
  await assert.rejects(
    registry.resolveVersion({ model: 'm', ref: { kind: 'version', version: 1 } }, never),
    isError('data-loss', 'DIGEST_MISMATCH'),
  );
});

it('refuses a digest declared with another size than it is stored with', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  const { registry } = embedded;
  await createClassifier(registry, 'm');
  const bytes = seededBytes('sized', 100);
  await publish(registry, 'm', sampleVersion([bytes]));
  const lying = sampleVersion([bytes], (manifest) => ({
    ...manifest,
    artifacts: manifest.artifacts.map((artifact) => ({ ...artifact, sizeBytes: 99 })),
  }));
  const stagingId = await stage(registry, 'm', lying);
  const command = { stagingId, blob: { digest: digestOf(bytes), sizeBytes: 99 }, firstChunk: 0, data: bytesOf(bytes) };
  await assert.rejects(registry.uploadBlob(command, never), isError('data-loss', 'SIZE_MISMATCH'));
  await assert.rejects(registry.finalizeVersion({ stagingId, requestId: '' }, never), isError('data-loss', 'SIZE_MISMATCH'));
  assert.ok(
    (await collect(registry.readBlob({ blob: refOf(bytes), offsetBytes: 0, lengthBytes: undefined }, never))).equals(bytes),
  );
});

it('holds no more than two chunks of an upload in memory', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  await createClassifier(embedded.registry, 'm');
  const bytes = seededBytes('long', 4 * CHUNK_BYTES);
  const stagingId = await stage(embedded.registry, 'm', sampleVersion([bytes]));
  const { blobs } = embedded;
  const blob = chunkedBlob(bytes);
  const opened: number[] = [];
  let taken = 0;
  const data = (async function* () {
    for await (const piece of bytesOf(bytes)) {
      taken += piece.byteLength;
      yield piece;
      const stored = (await blobs.verifiedChunks(blob, never)).size * CHUNK_BYTES;
      opened.push(taken - stored);
    }
  })();
  await embedded.registry.uploadBlob({ stagingId, blob: refOf(bytes), firstChunk: 0, data }, never);
  assert.ok(Math.max(...opened) <= 2 * CHUNK_BYTES, `${Math.max(...opened)} bytes taken and not stored`);
  assert.deepEqual(await readdir(embedded.layout.partials), []);
});

it('ends a page early before it grows too long for a message', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  const { registry } = embedded;
  await createClassifier(registry, 'm');
  const bytes = seededBytes('page', 10);
  for (let index = 0; index < 12; index++) {
    const sample = sampleVersion([bytes], (manifest) => ({
      ...manifest,
      lineage: { ...manifest.lineage, dataset: `${index} ${'d'.repeat(120_000)}` },
    }));
    await publish(registry, 'm', sample);
  }
  const first = await registry.listVersions({ model: 'm', pageSize: 100, pageToken: '', labels: {} }, never);
  assert.ok(first.items.length < 12 && first.items.length >= 8, `${first.items.length} versions in a page`);
  const second = await registry.listVersions({ model: 'm', pageSize: 100, pageToken: first.nextPageToken, labels: {} }, never);
  assert.deepEqual(
    [...first.items, ...second.items].map(({ version }) => version),
    [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
  );
});
