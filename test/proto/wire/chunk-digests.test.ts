import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashChunks } from '../../../proto/wire/chunk-digests.ts';
import { CHUNK_BYTES, chunkCount, chunkRange } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { seededBytes } from '../../support/registry/sample-version.ts';

test('gives the digests of the whole and of each chunk, however the bytes come', async () => {
  for (const size of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 3]) {
    const bytes = seededBytes('hashed', size);
    const chunks = Array.from({ length: chunkCount(size) }, (_, index) => {
      const { offsetBytes, lengthBytes } = chunkRange(index, size);
      return digestOf(bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
    });
    for (const pieceBytes of [1_000_003, 3 * CHUNK_BYTES]) {
      const pieces = (async function* () {
        for (let at = 0; at < size; at += pieceBytes) {
          yield bytes.subarray(at, at + pieceBytes);
        }
      })();
      assert.deepEqual(await hashChunks(pieces), { ref: refOf(bytes), chunks });
    }
  }
});
