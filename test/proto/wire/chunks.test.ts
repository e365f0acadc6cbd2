import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { CHUNK_BYTES, chunkCount, chunkRange, MESSAGE_BYTES, messagesOf, regroup } from '../../../proto/wire/chunks.ts';

describe('chunks', () => {
  const table: readonly (readonly [sizeBytes: number, count: number, lastLength: number])[] = [
    [0, 0, 0],
    [1, 1, 1],
    [CHUNK_BYTES - 1, 1, CHUNK_BYTES - 1],
    [CHUNK_BYTES, 1, CHUNK_BYTES],
    [CHUNK_BYTES + 1, 2, 1],
    [3 * CHUNK_BYTES, 3, CHUNK_BYTES],
    [80e9, 9537, 80e9 - 9536 * CHUNK_BYTES],
  ];
  for (const [sizeBytes, count, lastLength] of table) {
    it(`${sizeBytes} bytes are ${count} chunks`, () => {
      assert.equal(chunkCount(sizeBytes), count);
      if (count > 0) {
        assert.deepEqual(chunkRange(0, sizeBytes).offsetBytes, 0);
        assert.deepEqual(chunkRange(count - 1, sizeBytes), { offsetBytes: (count - 1) * CHUNK_BYTES, lengthBytes: lastLength });
      }
    });
  }

  it('regroup gives whole chunks and a shorter last one, whatever the pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 17 }),
        async (pieces, size) => {
          const chunks = await collect(regroup(streamOf(pieces), size));
          assert.deepEqual(Buffer.concat(chunks), Buffer.concat(pieces));
          assert.equal(
            chunks.slice(0, -1).every((chunk) => chunk.byteLength === size),
            true,
          );
          assert.equal(chunks.at(-1)?.byteLength === 0, false);
          assert.equal((chunks.at(-1)?.byteLength ?? 0) <= size, true);
        },
      ),
      { seed: 1 },
    );
  });

  it('regroup holds the bytes of small pieces, not the pieces', async () => {
    // A message of one byte keeps the frame alive that it came in: eight million of them are gigabytes.
    const reused = Buffer.alloc(1);
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 100; index++) {
        reused[0] = index;
        yield reused;
      }
    }
    const chunks = await collect(regroup(pieces(), 100));
    assert.deepEqual(Buffer.concat(chunks), Buffer.from(Array.from({ length: 100 }, (_, index) => index)));
  });

  it('regroup gives buffers of their own: what the source does with its bytes afterwards does not matter', async () => {
    const reused = Buffer.from('aaaa');
    const chunks: Buffer[] = [];
    for await (const chunk of regroup(streamOf([reused]), 2)) {
      reused.fill('z');
      chunks.push(chunk);
    }
    assert.equal(chunks[0]?.toString(), 'aa');
  });

  it('regroup passes the failure of its source on', async () => {
    const source = (async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('abc');
      throw new Error('broken');
    })();
    await assert.rejects(collect(regroup(source, 2)), { message: 'broken' });
  });

  it('regroup closes its source when the reader stops', async () => {
    let isClosed = false;
    const source = (async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield Buffer.from('abcd');
        }
      } finally {
        isClosed = true;
      }
    })();
    for await (const chunk of regroup(source, 4)) {
      assert.equal(chunk.toString(), 'abcd');
      break;
    }
    assert.equal(isClosed, true);
  });

  it('messagesOf cuts views that join to the bytes', () => {
    const bytes = Buffer.alloc(2 * MESSAGE_BYTES + 5, 'abc').subarray(1);
    const messages = [...messagesOf(bytes)];
    assert.deepEqual(
      messages.map(({ byteLength }) => byteLength),
      [MESSAGE_BYTES, MESSAGE_BYTES, 4],
    );
    assert.equal(Buffer.concat(messages).equals(bytes), true);
    assert.deepEqual([...messagesOf(new Uint8Array())], []);
  });
});

async function* streamOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const chunks = [];
  for await (const chunk of source) {
    chunks.push(chunk);
  }
  return chunks;
}
