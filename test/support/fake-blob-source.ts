import type { BlobSource } from '../../inference/cache/blob-source.ts';
import type { ChunkedBlob } from '../../inference/cache/partial.ts';
import { type ByteRange, CHUNK_BYTES, chunkCount, chunkRange, messagesOf } from '../../proto/wire/chunks.ts';
import { type BlobRef, digestOf, refOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';

/** Bytes that differ from chunk to chunk and from seed to seed. */
export function patternBytes(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes, `pattern ${seed} `);
  for (let index = 0; index < chunkCount(sizeBytes); index += 1) {
    bytes[index * CHUNK_BYTES] = index + 1;
  }
  return bytes;
}

/** `bytes` as a manifest describes them. */
export function blobOf(bytes: Uint8Array): ChunkedBlob {
  const chunks = Array.from({ length: chunkCount(bytes.byteLength) }, (_, index) => {
    const { offsetBytes, lengthBytes } = chunkRange(index, bytes.byteLength);
    return digestOf(bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
  });
  return { ...refOf(bytes), chunks };
}

/** What a source does with one request instead of giving the right bytes. */
export type Fault =
  | 'wrong bytes'
  | 'truncated'
  | 'too long'
  | 'not found'
  | 'archived'
  | 'unavailable'
  | 'unknown error'
  | 'stall';

/** A source of blobs held in memory, which records what it is asked for and fails as told. */
export class FakeBlobSource implements BlobSource {
  readonly name: string;
  /** Index of the chunk of every request, in order. */
  readonly requests: number[] = [];
  inFlight = 0;
  maxInFlight = 0;
  /** Called at the start of a request; what it returns is awaited before a byte is given. */
  onOpen: (chunk: number, signal: AbortSignal) => Promise<void> | void = () => undefined;
  /** Decides the fault of a request. */
  faultOf: (chunk: number, request: number) => Fault | undefined = () => undefined;
  readonly #blobs: ReadonlyMap<string, Uint8Array>;

  constructor(name: string, ...blobs: readonly Uint8Array[]) {
    this.name = name;
    this.#blobs = new Map(blobs.map((bytes) => [refOf(bytes).digest, bytes]));
  }

  /** The requested chunks, ascending; parallel ones come in any order. */
  requestsInOrder(): number[] {
    return this.requests.toSorted((left, right) => left - right);
  }

  async *open(ref: BlobRef, { offsetBytes, lengthBytes }: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const chunk = offsetBytes / CHUNK_BYTES;
    const fault = this.faultOf(chunk, this.requests.length);
    this.requests.push(chunk);
    this.inFlight += 1;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    try {
      await this.onOpen(chunk, signal);
      const blob = this.#blobs.get(ref.digest);
      if (blob === undefined || fault === 'not found') {
        throw new ServiceError('not-found', 'BLOB_NOT_FOUND', `${this.name} has no ${ref.digest}`);
      }
      yield* this.#give(blob.subarray(offsetBytes, offsetBytes + lengthBytes), fault);
    } finally {
      this.inFlight -= 1;
    }
  }

  async *#give(bytes: Uint8Array, fault: Fault | undefined): AsyncGenerator<Uint8Array> {
    switch (fault) {
      case 'unavailable':
        throw new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', `${this.name} is down`);
      case 'archived':
        throw new ServiceError('failed-precondition', 'BLOB_ARCHIVED', `${this.name} has it in an archive`);
      case 'unknown error':
        throw new RangeError(`${this.name} has a defect`);
      case 'wrong bytes':
        yield Buffer.alloc(bytes.byteLength, 'x');
        return;
      case 'truncated':
        yield bytes.subarray(0, bytes.byteLength - 1);
        return;
      case 'too long':
        yield bytes;
        yield Buffer.alloc(1);
        return;
      case 'stall':
        yield bytes.subarray(0, 1);
        // Never settles and hears no signal: the worst that a source can do.
        await new Promise(() => undefined);
        return;
      case 'not found':
      case undefined:
        yield* messagesOf(bytes);
    }
  }
}
