import { CHUNK_BYTES, regroup } from '../../proto/wire/chunks.ts';
import { type BlobRef, type Digest, digestOf, Hasher } from '../../proto/wire/digest.ts';

/** A file to publish. */
export interface ImportedFile {
  readonly path: string;
  readonly ref: BlobRef;
  readonly chunks: readonly Digest[];
  /** The content, from the start at each call. */
  read(): AsyncIterable<Uint8Array>;
}

/** What a content is known by, found in one pass over it. */
export async function describeContent(content: AsyncIterable<Uint8Array>): Promise<Pick<ImportedFile, 'ref' | 'chunks'>> {
  const hasher = new Hasher();
  const chunks: Digest[] = [];
  for await (const chunk of regroup(content, CHUNK_BYTES)) {
    hasher.update(chunk);
    chunks.push(digestOf(chunk));
  }
  return { ref: hasher.finish(), chunks };
}

/** A file whose bytes are at hand. */
export async function fileOfBytes(path: string, bytes: Uint8Array): Promise<ImportedFile> {
  const read = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  return { path, ...(await describeContent(read())), read };
}
