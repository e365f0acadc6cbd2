import { type Digest, digestOf, hexOf } from '../../../proto/wire/digest.ts';
import type { ChunkedBlob } from '../../release/blob-store.ts';

/**
 * The only builder of the blob store's keys. Under the prefix:
 *
 *     blobs/sha256/ab/abcdef...                        whole, verified blobs, named by digest
 *     aside/abcdef.../<id>                             empty: this blob is out of sight while garbage is collected
 *     partials/<digest>-<chunk list>/<index>-<digest>  unfinished uploads: verified chunks, each an object
 */
export interface S3Layout {
  /** All unfinished uploads. */
  readonly partials: string;
  /** All blobs. */
  readonly blobs: string;
  /** What says that blobs are set aside. */
  readonly setAside: string;
  /** Of all calls that set it aside. */
  aside(digest: Digest): string;
  blob(digest: Digest): string;
  /** One folder for each way in which manifests divide a blob into chunks, so that a wrong chunk list spoils only itself. */
  partial(blob: ChunkedBlob): string;
  /** Undefined for an index that the blob does not have. */
  chunk(blob: ChunkedBlob, index: number): string | undefined;
}

/** Enough for MAX_CHUNKS. */
const INDEX_DIGITS = 5;

export function s3LayoutOf(prefix: string): S3Layout {
  const root = prefix === '' ? '' : `${prefix}/`;
  const partials = `${root}partials/`;
  const blobs = `${root}blobs/`;
  const setAside = `${root}aside/`;
  const partial = ({ digest, sizeBytes, chunks }: ChunkedBlob): string => {
    const division = hexOf(digestOf(Buffer.from(JSON.stringify([sizeBytes, chunks])))).slice(0, 16);
    return `${partials}${hexOf(digest)}-${division}/`;
  };
  return {
    partials,
    blobs,
    setAside,
    aside: (digest) => `${setAside}${hexOf(digest)}/`,
    partial,
    blob: (digest) => `${blobs}sha256/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}`,
    chunk: (blob, index) => {
      const digest = blob.chunks[index];
      return digest === undefined ? undefined : `${partial(blob)}${String(index).padStart(INDEX_DIGITS, '0')}-${hexOf(digest)}`;
    },
  };
}

/** S3's form of a digest. */
export function checksumOf(digest: Digest): string {
  return Buffer.from(hexOf(digest), 'hex').toString('base64');
}
