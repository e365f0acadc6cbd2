import { chmod, type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises';
import { type BlobRef, digestOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { discard, isAbsent, READ_FLAGS, readHashed, storageError, syncFolder } from './disk.ts';
import type { PartialDeps } from './partial.ts';
import type { BlobVerifier } from './verify.ts';

/**
 * A blob's bytes, hashed as they are read, whatever was verified before: what a manifest says decides all else. Undefined when the
 * cache has no such blob; a corrupt file goes to quarantine first.
 * @throws ServiceError invalid-argument when `ref` is larger than `maxBytes`; unavailable STORAGE_UNAVAILABLE; the signal's reason.
 */
export async function readSmallBlob(
  ref: BlobRef,
  maxBytes: number,
  signal: AbortSignal,
  { layout }: PartialDeps,
  verifier: BlobVerifier,
): Promise<Buffer | undefined> {
  if (ref.sizeBytes > maxBytes) {
    throw new ServiceError(
      'invalid-argument',
      'INVALID_REQUEST',
      `${ref.digest} has ${ref.sizeBytes} bytes, at most ${maxBytes} are read`,
    );
  }
  let file: FileHandle | undefined;
  try {
    file = await open(layout.blob(ref.digest), READ_FLAGS);
    // One byte more than expected, so that a longer file shows.
    const bytes = Buffer.alloc(ref.sizeBytes + 1);
    const found = await readHashed(file, bytes, 0, signal);
    if (found.digest === ref.digest && found.sizeBytes === ref.sizeBytes) {
      return bytes.subarray(0, ref.sizeBytes);
    }
  } catch (error) {
    if (isAbsent(error)) {
      return undefined;
    }
    throw storageError(error, `read ${layout.blob(ref.digest)}`);
  } finally {
    await file?.close();
  }
  // Corrupt, or `ref` states a wrong size: the digest alone decides which.
  verifier.forget(ref.digest);
  await verifier.verify(ref, signal);
  return undefined;
}

/**
 * Keeps bytes as a blob; nothing to do where the cache has it.
 * @throws ServiceError data-loss DIGEST_MISMATCH when `bytes` are not `ref`'s; resource-exhausted STORAGE_FULL; unavailable
 * STORAGE_UNAVAILABLE; the signal's reason.
 */
export async function putSmallBlob(
  ref: BlobRef,
  bytes: Uint8Array,
  signal: AbortSignal,
  deps: PartialDeps,
  verifier: BlobVerifier,
): Promise<void> {
  const found = digestOf(bytes);
  if (found !== ref.digest || bytes.byteLength !== ref.sizeBytes) {
    const message = `expected ${ref.digest} with ${ref.sizeBytes} bytes, found ${found} with ${bytes.byteLength}`;
    throw new ServiceError('data-loss', 'DIGEST_MISMATCH', message, {
      metadata: { digest: ref.digest, expected: ref.digest, found },
    });
  }
  if ((await verifier.verify(ref, signal)).kind === 'verified') {
    return;
  }
  const { layout, owners, disk, onEvent } = deps;
  const temporary = layout.partial(ref, owners.self, 'put');
  try {
    await mkdir(layout.partials, { recursive: true });
    await mkdir(layout.shard(ref.digest), { recursive: true });
    const file = await open(temporary, 'w', 0o600);
    try {
      await disk.write(file, bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(temporary, 0o444);
    await rename(temporary, layout.blob(ref.digest));
    await syncFolder(layout.shard(ref.digest));
    verifier.accept(ref.digest, await stat(layout.blob(ref.digest)));
  } catch (error) {
    await discard(temporary, onEvent);
    throw storageError(error, `write ${layout.blob(ref.digest)}`);
  }
}
