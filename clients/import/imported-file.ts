import { type ChunkDigests, hashChunks } from '../../proto/wire/chunk-digests.ts';

/** A file to publish. */
export interface ImportedFile extends ChunkDigests {
  readonly path: string;
  /** The content, from the start at each call. */
  read(): AsyncIterable<Uint8Array>;
}

/** A file whose bytes are at hand. */
export async function fileOfBytes(path: string, bytes: Uint8Array): Promise<ImportedFile> {
  const read = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  return { path, ...(await hashChunks(read())), read };
}
