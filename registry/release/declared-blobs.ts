import { type BlobRef, type Digest, Hasher } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { chunksByDigest, type Manifest, parseManifest } from '../../proto/wire/manifest.ts';
import { type ChunkRange, toChunkRanges } from '../model/chunk-ranges.ts';
import type { BlobStore, ChunkedBlob } from './blob-store.ts';
import type { Staging } from './catalog.ts';
import type { RegistryDeps } from './dependencies.ts';
import { readNeeded } from './set-aside.ts';

/** What the registry holds of a blob that a staging declares. */
export interface BlobUploadState {
  readonly blob: BlobRef;
  readonly isComplete: boolean;
  /** Empty when complete. */
  readonly verifiedChunks: readonly ChunkRange[];
}

/** @throws ServiceError not-found STAGING_NOT_FOUND. */
export async function requireStaging({ catalog }: RegistryDeps, id: string, signal: AbortSignal): Promise<Staging> {
  const staging = id === '' ? undefined : await catalog.getStaging(id, signal);
  if (staging === undefined) {
    throw new ServiceError('not-found', 'STAGING_NOT_FOUND', `staging "${id.slice(0, 80)}" does not exist`);
  }
  return staging;
}

/** The distinct blobs that a manifest declares, itself not among them. */
export function declaredBlobs(manifest: Manifest): ReadonlyMap<Digest, ChunkedBlob> {
  return chunksByDigest(manifest);
}

export async function uploadState(blobs: BlobStore, blob: ChunkedBlob, signal: AbortSignal): Promise<BlobUploadState> {
  const { digest, sizeBytes } = blob;
  const stored = await blobs.stat(digest, signal);
  const isComplete = stored?.sizeBytes === sizeBytes;
  const verifiedChunks = isComplete ? [] : toChunkRanges(await blobs.verifiedChunks(blob, signal));
  return { blob: { digest, sizeBytes }, isComplete, verifiedChunks };
}

/** In the manifest's order. */
export async function uploadStates(blobs: BlobStore, manifest: Manifest, signal: AbortSignal): Promise<BlobUploadState[]> {
  const states: BlobUploadState[] = [];
  for (const blob of declaredBlobs(manifest).values()) {
    states.push(await uploadState(blobs, blob, signal));
  }
  return states;
}

/** The manifest of a version or of a staging. */
export async function readManifest(blobs: BlobStore, ref: BlobRef, signal: AbortSignal): Promise<Manifest> {
  return parseManifest(await readManifestBytes(blobs, ref, signal));
}

/** The exact bytes of a stored manifest. @throws ServiceError data-loss DIGEST_MISMATCH when storage gives others. */
export async function readManifestBytes(blobs: BlobStore, ref: BlobRef, signal: AbortSignal): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const hasher = new Hasher();
  for await (const part of readNeeded(blobs, ref, { offsetBytes: 0, lengthBytes: ref.sizeBytes }, signal)) {
    parts.push(part);
    hasher.update(part);
  }
  checkStored(ref, hasher.finish());
  return Buffer.concat(parts);
}

/** @throws ServiceError data-loss DIGEST_MISMATCH when a whole blob was read and is not what it was stored as. */
export function checkStored(expected: BlobRef, found: BlobRef): void {
  if (found.digest !== expected.digest) {
    throw new ServiceError(
      'data-loss',
      'DIGEST_MISMATCH',
      `the stored bytes of ${expected.digest} have the digest ${found.digest}`,
    );
  }
}
