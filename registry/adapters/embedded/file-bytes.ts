import type { FileHandle } from 'node:fs/promises';
import { type ByteRange, CHUNK_BYTES, MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { type BlobRef, type Digest, Hasher } from '../../../proto/wire/digest.ts';
import { throwIfAborted } from '../../../proto/wire/errors.ts';

/** The bytes of a range in pieces of at most `MESSAGE_BYTES`, each a buffer of its own; shorter where the file ends before. */
export async function* readPieces(file: FileHandle, range: ByteRange, signal: AbortSignal): AsyncGenerator<Buffer> {
  const end = range.offsetBytes + range.lengthBytes;
  let at = range.offsetBytes;
  while (at < end) {
    throwIfAborted(signal);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(MESSAGE_BYTES, end - at)), 0, undefined, at);
    if (bytesRead === 0) {
      return;
    }
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** Digest and size of a whole file. */
export async function hashFile(file: FileHandle, signal: AbortSignal): Promise<BlobRef> {
  const hasher = new Hasher();
  for await (const piece of readPieces(file, { offsetBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER }, signal)) {
    hasher.update(piece);
  }
  return hasher.finish();
}

/** Digest and size of a whole file, and the digest of each of its chunks. */
export async function hashChunks(file: FileHandle, signal: AbortSignal): Promise<{ whole: BlobRef; chunks: Digest[] }> {
  const hasher = new Hasher();
  const chunks: Digest[] = [];
  let chunk = new Hasher();
  let held = 0;
  for await (const piece of readPieces(file, { offsetBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER }, signal)) {
    hasher.update(piece);
    let rest: Buffer = piece;
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
  return { whole: hasher.finish(), chunks };
}
