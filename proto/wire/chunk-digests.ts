import { CHUNK_BYTES } from './chunks.ts';
import { type BlobRef, type Digest, Hasher } from './digest.ts';

/** What a content is known by: digest and size of all bytes, and the digest of each of their chunks. */
export interface ChunkDigests {
  readonly ref: BlobRef;
  readonly chunks: readonly Digest[];
}

/** One pass over the content, of which no more is held than the piece at hand. */
export async function hashChunks(pieces: AsyncIterable<Uint8Array>): Promise<ChunkDigests> {
  const hasher = new Hasher();
  const chunks: Digest[] = [];
  let chunk = new Hasher();
  let held = 0;
  for await (const piece of pieces) {
    hasher.update(piece);
    let rest = piece;
    while (rest.byteLength > 0) {
      const take = rest.subarray(0, CHUNK_BYTES - held);
      chunk.update(take);
      held += take.byteLength;
      rest = rest.subarray(take.byteLength);
      if (held === CHUNK_BYTES) {
        chunks.push(chunk.finish().digest);
        chunk = new Hasher();
        held = 0;
      }
    }
  }
  if (held > 0) {
    chunks.push(chunk.finish().digest);
  }
  return { ref: hasher.finish(), chunks };
}
