import type { FileHandle } from 'node:fs/promises';
import { type ByteRange, MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { type BlobRef, Hasher } from '../../../proto/wire/digest.ts';
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

/** The bytes of a whole file, in pieces as `readPieces` gives them. */
export function readAll(file: FileHandle, signal: AbortSignal): AsyncGenerator<Buffer> {
  return readPieces(file, { offsetBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER }, signal);
}

/** Digest and size of a whole file. */
export async function hashFile(file: FileHandle, signal: AbortSignal): Promise<BlobRef> {
  const hasher = new Hasher();
  for await (const piece of readAll(file, signal)) {
    hasher.update(piece);
  }
  return hasher.finish();
}
