import type { BlobUploadState } from '../../proto/gen/maskterial/registry/v1/artifact.ts';
import type { UploadBlobRequest } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { CHUNK_BYTES, chunkCount, regroup } from '../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';

/** The blobs of a fake registry: chunks that were found right. */
export class FakeBlobs {
  /** Verified chunks by blob digest and index. */
  readonly chunks = new Map<string, Map<number, Buffer>>();
  /** First chunk and number of whole chunks of each upload call. */
  readonly uploads: { readonly digest: string; readonly first: number; readonly count: number }[] = [];

  /** What there is of each file of a version. */
  states(manifestJson: Uint8Array): BlobUploadState[] {
    return parseManifest(manifestJson).artifacts.map(({ digest, sizeBytes }) => {
      const held = this.chunks.get(digest);
      const complete = held !== undefined && held.size === chunkCount(sizeBytes);
      const verifiedChunks = complete || held === undefined ? [] : [...held.keys()].map((first) => ({ first, count: 1 }));
      return { blob: { digest, sizeBytes: BigInt(sizeBytes) }, complete, verifiedChunks };
    });
  }

  missing(manifestJson: Uint8Array): BlobUploadState[] {
    return this.states(manifestJson).filter(({ complete }) => !complete);
  }

  /** Takes an upload in. `manifestOf` gives the manifest of a staging; `onChunk` runs after each chunk, and may end the upload. */
  async receive(
    requests: AsyncIterable<UploadBlobRequest>,
    manifestOf: (stagingId: string) => Uint8Array,
    onChunk: () => void,
  ): Promise<{ state: BlobUploadState | undefined }> {
    const iterator = requests[Symbol.asyncIterator]();
    const { part } = (await iterator.next()).value ?? {};
    if (part?.$case !== 'header') {
      throw new ServiceError('invalid-argument', 'INVALID_REQUEST', 'the first message is no header');
    }
    const { stagingId, blob, firstChunk } = part.value;
    const digest = blob?.digest ?? '';
    const held = this.chunks.get(digest) ?? new Map<number, Buffer>();
    this.chunks.set(digest, held);
    const declared = parseManifest(manifestOf(stagingId)).artifacts.find((artifact) => artifact.digest === digest);
    let index = firstChunk;
    try {
      for await (const chunk of regroup(dataOf({ [Symbol.asyncIterator]: () => iterator }))) {
        const isLast = index === chunkCount(Number(blob?.sizeBytes)) - 1;
        if (chunk.byteLength < CHUNK_BYTES && !isLast) {
          throw new ServiceError('data-loss', 'SIZE_MISMATCH', `chunk ${index} has ${chunk.byteLength} bytes`);
        }
        if (digestOf(chunk) !== declared?.chunks[index]) {
          throw new ServiceError(
            'data-loss',
            'DIGEST_MISMATCH',
            `chunk ${index}: expected ${declared?.chunks[index]}, found ${digestOf(chunk)}`,
          );
        }
        held.set(index, chunk);
        index += 1;
        onChunk();
      }
    } finally {
      this.uploads.push({ digest, first: firstChunk, count: index - firstChunk });
    }
    return { state: this.states(manifestOf(stagingId)).find((state) => state.blob?.digest === digest) };
  }
}

/** Digest and size as messages carry them. */
export function wireRef(bytes: Uint8Array): { digest: string; sizeBytes: bigint } {
  const { digest, sizeBytes } = refOf(bytes);
  return { digest, sizeBytes: BigInt(sizeBytes) };
}

async function* dataOf(requests: AsyncIterable<UploadBlobRequest>): AsyncGenerator<Uint8Array> {
  for await (const { part } of requests) {
    if (part?.$case === 'data') {
      yield part.value;
    }
  }
}
