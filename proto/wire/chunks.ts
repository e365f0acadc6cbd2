/**
 * The unit of upload, of an S3 part, of a ranged fetch and of verification. 8 MiB: above S3's 5 MiB minimum for a part, and
 * the 10 000 parts of one upload reach 80 GB.
 */
export const CHUNK_BYTES = 8 * 1024 * 1024;

/** Chunks of one blob: as many parts as S3 puts together. */
export const MAX_CHUNKS = 10_000;

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

/**
 * Regroups a stream of byte arrays into whole chunks of `CHUNK_BYTES`, the last one shorter; each is a buffer of its own. Holds no
 * more than twice the bytes of one chunk, however small the pieces are that it comes in.
 * @param spare buffers of a whole chunk that are not needed any more: they are written anew instead of taking further memory
 */
export async function* regroup(
  source: AsyncIterable<Uint8Array>,
  chunkBytes = CHUNK_BYTES,
  spare: Buffer<ArrayBuffer>[] = [],
): AsyncGenerator<Buffer<ArrayBuffer>> {
  let held = Buffer.alloc(0);
  let heldBytes = 0;
  // What is small stays small; after a first whole chunk the next one is expected to be whole too.
  let leastBytes = 0;
  for await (let bytes of source) {
    while (bytes.byteLength > 0) {
      if (heldBytes === held.byteLength) {
        const wanted = Math.min(chunkBytes, Math.max(leastBytes, 2 * heldBytes, heldBytes + bytes.byteLength));
        const grown = (heldBytes === 0 || wanted === chunkBytes ? spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(wanted);
        held.copy(grown, 0, 0, heldBytes);
        held = grown;
      }
      const taken = bytes.subarray(0, held.byteLength - heldBytes);
      held.set(taken, heldBytes);
      heldBytes += taken.byteLength;
      bytes = bytes.subarray(taken.byteLength);
      if (heldBytes === chunkBytes) {
        yield held;
        held = Buffer.alloc(0);
        heldBytes = 0;
        leastBytes = chunkBytes;
      }
    }
  }
  if (heldBytes > 0) {
    yield held.subarray(0, heldBytes);
  }
}

/** Cuts `bytes` into views of at most `MESSAGE_BYTES`. */
export function* messagesOf(bytes: Uint8Array, messageBytes = MESSAGE_BYTES): Generator<Buffer> {
  for (let at = 0; at < bytes.byteLength; at += messageBytes) {
    const view = bytes.subarray(at, at + messageBytes);
    yield Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  }
}
