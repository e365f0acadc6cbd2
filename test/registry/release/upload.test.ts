import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import type { BlobStore, BlobUpload } from '../../../registry/release/blob-store.ts';
import { deferred } from '../../support/deferred.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { overriding } from '../../support/registry/overriding.ts';
import { createClassifier, never, stage } from '../../support/registry/publish.ts';
import { sampleVersion, seededBytes } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

type Put = BlobUpload['putChunk'];

/** Puts chunks of blobs larger than one through `put`. */
function withPut(blobs: BlobStore, put: (next: Put) => Put): BlobStore {
  return overriding(blobs, {
    openUpload: async (...args) => {
      const upload = await blobs.openUpload(...args);
      return args[0].chunks.length === 1 ? upload : { ...upload, putChunk: put(upload.putChunk) };
    },
  });
}

async function* pieces(bytes: Buffer, failsAt = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 1_000_000) {
    if (at >= failsAt) {
      throw new Error('the connection broke');
    }
    yield bytes.subarray(at, at + 1_000_000);
  }
}

test('up to two chunks are being stored while the next one arrives, each with its own bytes until then', async () => {
  await using folder = await temporaryFolder();
  const bytes = seededBytes('overlapping', 6 * CHUNK_BYTES + 10);
  const gates = Array.from({ length: 7 }, () => deferred());
  const begun: number[] = [];
  const begins = Array.from({ length: 7 }, () => deferred());
  const slowly =
    (next: Put): Put =>
    async (index, chunk, signal) => {
      begun.push(index);
      begins[index]?.resolve();
      const before = digestOf(chunk);
      await gates[index]?.promise;
      assert.equal(digestOf(chunk), before, `chunk ${index} was overwritten`);
      await next(index, chunk, signal);
    };
  using embedded = await openEmbedded(folder.path, { wrapBlobs: (blobs) => withPut(blobs, slowly) });
  await createClassifier(embedded.registry, 'm');
  const later = [seededBytes('later', CHUNK_BYTES + 5), seededBytes('small', 100)];
  const stagingId = await stage(embedded.registry, 'm', sampleVersion([bytes, ...later]));
  const uploaded = embedded.registry.uploadBlob({ stagingId, blob: refOf(bytes), firstChunk: 0, data: pieces(bytes) }, never);
  await begins[1]?.promise;
  // The second one ends first; the third one takes its turn and no fourth one does.
  gates[1]?.resolve();
  await begins[2]?.promise;
  assert.deepEqual(begun, [0, 1, 2]);
  for (const gate of gates) {
    gate.resolve();
  }
  assert.equal((await uploaded).isComplete, true);
  assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6]);
  // In the buffers of the first one.
  for (const next of later) {
    await embedded.registry.uploadBlob({ stagingId, blob: refOf(next), firstChunk: 0, data: pieces(next) }, never);
  }
  assert.equal((await embedded.registry.finalizeVersion({ stagingId, requestId: 'f' }, never)).isCreated, true);
});

test('a chunk that is refused is the reason, although the data broke off meanwhile', async () => {
  await using folder = await temporaryFolder();
  using embedded = await openEmbedded(folder.path);
  await createClassifier(embedded.registry, 'm');
  const right = seededBytes('right', 3 * CHUNK_BYTES);
  const stagingId = await stage(embedded.registry, 'm', sampleVersion([right]));
  const data = pieces(seededBytes('wrong', 3 * CHUNK_BYTES), CHUNK_BYTES + 1_000_000);
  const uploaded = embedded.registry.uploadBlob({ stagingId, blob: refOf(right), firstChunk: 0, data }, never);
  await assert.rejects(uploaded, isError('data-loss', 'DIGEST_MISMATCH'));
});
