import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises';
import { type BlobRef, Hasher } from '../../proto/wire/digest.ts';
import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { OnCacheEvent } from './events.ts';

/** PORT: the two things of a volume that tests must be able to make scarce. */
export interface Disk {
  /** Writes all of `bytes` at `position`. Errors are Node's own, with a `code`. */
  write(file: FileHandle, bytes: Uint8Array, position: number): Promise<void>;
  /** What an unprivileged process may still write to the volume of `folder`; Infinity where the volume does not say. */
  freeBytes(folder: string): Promise<number>;
}

export const nodeDisk: Disk = {
  async write(file, bytes, position) {
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
      done += bytesWritten;
    }
  },
  async freeBytes(folder) {
    const { blocks, bavail, bsize } = await statfs(folder);
    return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
  },
};

/** Large enough for the disk, small enough that hashing it holds the event loop for a few milliseconds at most. */
const PIECE_BYTES = 1024 * 1024;

/** Links are refused: what is hashed must be the file of that name and nothing behind it. A FIFO must not block. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Digest and size of `lengthBytes` from `offsetBytes`, or of what there is when the file is shorter.
 * @throws Node's read errors; the signal's reason.
 */
export async function hashRange(
  file: FileHandle,
  offsetBytes: number,
  lengthBytes: number,
  signal?: AbortSignal,
): Promise<BlobRef> {
  const hasher = new Hasher();
  const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(1, lengthBytes)));
  for (let done = 0; done < lengthBytes; ) {
    if (signal !== undefined) {
      throwIfAborted(signal);
    }
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.byteLength, lengthBytes - done), offsetBytes + done);
    if (bytesRead === 0) {
      break;
    }
    hasher.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
  return hasher.finish();
}

/**
 * Reads `into.byteLength` bytes from `offsetBytes`, fewer where the file ends, and hashes them on the way.
 * @throws Node's read errors; the signal's reason.
 */
export async function readHashed(file: FileHandle, into: Buffer, offsetBytes: number, signal: AbortSignal): Promise<BlobRef> {
  const hasher = new Hasher();
  for (let done = 0; done < into.byteLength; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(into, done, Math.min(PIECE_BYTES, into.byteLength - done), offsetBytes + done);
    if (bytesRead === 0) {
      break;
    }
    hasher.update(into.subarray(done, done + bytesRead));
    done += bytesRead;
  }
  return hasher.finish();
}

/** Whether `from` was there to get the name `to`. @throws Node's errors. */
export async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (isAbsent(error)) {
      return false;
    }
    throw error;
  }
}

/** Makes the names in a folder survive a power failure. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes a file or folder that nobody waits for; a failure is an event and hides no earlier error. */
export async function discard(path: string, onEvent: OnCacheEvent): Promise<void> {
  try {
    await rm(path, { force: true, recursive: true });
  } catch (error) {
    onEvent({ kind: 'clean-up-failed', doing: `remove ${path}`, error });
  }
}

/** The `code` of one of Node's errors, or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Whether a file operation failed because there is no such file. */
export function isAbsent(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Whether a file operation failed because the volume, or the user's share of it, is used up. */
export function isFull(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Of Node's own errors a full volume becomes STORAGE_FULL and any other STORAGE_UNAVAILABLE; what is none of them stays. */
export function storageError(error: unknown, doing: string): unknown {
  const code = errorCode(error);
  if (code === undefined) {
    return error;
  }
  return isFull(error)
    ? new ServiceError('resource-exhausted', 'STORAGE_FULL', `the cache's volume is full: ${doing}: ${code}`, { cause: error })
    : new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${doing}: ${code}`, { cause: error });
}
