/**
 * The unit of upload, of an S3 part, of a ranged fetch and of verification. 8 MiB: above S3's 5 MiB minimum for a part, and
 * the 10 000 parts of one upload reach 80 GB.
 */
export const CHUNK_BYTES = 8 * 1024 * 1024;

/** Bytes that one message of a stream carries at most; far below gRPC's default limit of 4 MiB a message. */
export const MESSAGE_BYTES = 1024 * 1024;

/** An empty blob has no chunks. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Where chunk `index` of a blob of `sizeBytes` lies; `0 <= index < chunkCount(sizeBytes)`. */
export function chunkRange(index: number, sizeBytes: number): ByteRange {
  const offsetBytes = index * CHUNK_BYTES;
  return { offsetBytes, lengthBytes: Math.min(CHUNK_BYTES, sizeBytes - offsetBytes) };
}

/** Regroups a stream of byte arrays into whole chunks of `CHUNK_BYTES`, the last one shorter; each is a buffer of its own. */
export async function* regroup(source: AsyncIterable<Uint8Array>, chunkBytes = CHUNK_BYTES): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let held = 0;
  for await (let bytes of source) {
    while (held + bytes.byteLength >= chunkBytes) {
      const take = chunkBytes - held;
      yield Buffer.concat([...parts, bytes.subarray(0, take)], chunkBytes);
      bytes = bytes.subarray(take);
      parts = [];
      held = 0;
    }
    if (bytes.byteLength > 0) {
      parts.push(bytes);
      held += bytes.byteLength;
    }
  }
  if (held > 0) {
    yield Buffer.concat(parts, held);
  }
}

/** Cuts `bytes` into views of at most `MESSAGE_BYTES`. */
export function* messagesOf(bytes: Uint8Array, messageBytes = MESSAGE_BYTES): Generator<Buffer> {
  for (let at = 0; at < bytes.byteLength; at += messageBytes) {
    const view = bytes.subarray(at, at + messageBytes);
    yield Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  }
}
