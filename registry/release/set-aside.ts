import type { Digest } from '../../proto/wire/digest.ts';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import type { BlobStore } from './blob-store.ts';
import type { Staging } from './catalog.ts';
import { readManifest } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';

/** A batch of garbage is looked at for seconds. */
const RETRY_MS = 1_000;

/**
 * To call when blobs of a staging were not found: a collection of garbage may be looking at them, and will restore them.
 * @throws ServiceError unavailable STORAGE_UNAVAILABLE when that is so.
 */
export async function throwIfSetAside(blobs: BlobStore, absent: Iterable<Digest>, signal: AbortSignal): Promise<void> {
  const aside = new Set((await blobs.listSetAside(signal)).map(({ digest }) => digest));
  for (const digest of absent) {
    // Restored since it was looked for, or about to be.
    if (aside.has(digest) || (await blobs.stat(digest, signal)) !== undefined) {
      const message = `${digest} is looked at by a collection of garbage; try again`;
      throw new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', message, { retryDelayMs: RETRY_MS });
    }
  }
}

/** @throws as `readManifest`, and as `throwIfSetAside`. */
export async function readStagedManifest({ blobs }: RegistryDeps, { manifest }: Staging, signal: AbortSignal): Promise<Manifest> {
  try {
    return await readManifest(blobs, manifest, signal);
  } catch (error) {
    if (isServiceError(error, 'not-found')) {
      await throwIfSetAside(blobs, [manifest.digest], signal);
    }
    throw error;
  }
}
