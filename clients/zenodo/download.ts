import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isServiceError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { type RetryDeps, retryDelay, type RetrySettings } from '../retry.ts';
import { describeSystemError } from '../system-error.ts';
import type { Fetcher } from './fetcher.ts';
import type { RecordFile } from './record.ts';

export interface DownloadDeps {
  readonly fetcher: Fetcher;
  readonly retryDeps: RetryDeps;
  readonly retry: RetrySettings;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
}

/**
 * Brings a record's file into `folder`, whole and with the right MD5, and returns its path. What an earlier run got of it is kept
 * and gone on from; a file that is there and whole is not fetched again. A broken transfer is resumed, as often as the retry
 * settings allow without one new byte in between.
 * @throws ServiceError data-loss DIGEST_MISMATCH or SIZE_MISMATCH naming both values, nothing of the file is kept then;
 *   not-found FILE_NOT_FOUND; unavailable DOWNLOAD_FAILED; failed-precondition UNWRITABLE_FILE; the signal's reason.
 */
export async function downloadFile(file: RecordFile, folder: string, deps: DownloadDeps, signal: AbortSignal): Promise<string> {
  const target = join(folder, file.name);
  const partial = `${target}.part`;
  try {
    await mkdir(folder, { recursive: true });
    if ((await sizeOf(target)) === file.sizeBytes && (await md5OfFile(target, signal)).digest('hex') === file.md5) {
      deps.onProgress?.(file.sizeBytes, file.sizeBytes);
      return target;
    }
    await fetchWhole(file, partial, deps, signal);
    await rename(partial, target);
    return target;
  } catch (error) {
    throw error instanceof Error && 'code' in error && !isServiceError(error)
      ? new ServiceError('failed-precondition', 'UNWRITABLE_FILE', `cannot write ${target}: ${describeSystemError(error)}`, {
          cause: error,
        })
      : error;
  }
}

async function fetchWhole(file: RecordFile, partial: string, deps: DownloadDeps, signal: AbortSignal): Promise<void> {
  const isResumed = ((await sizeOf(partial)) ?? 0) > 0;
  try {
    await fetchRest(file, partial, deps, signal);
  } catch (error) {
    if (!isServiceError(error, 'data-loss')) {
      throw error;
    }
    // Never gone on from again. What another run left may have been of another file: then once from the start.
    await rm(partial, { force: true });
    if (!isResumed) {
      throw error;
    }
    await fetchWhole(file, partial, deps, signal);
  }
}

async function fetchRest(file: RecordFile, partial: string, deps: DownloadDeps, signal: AbortSignal): Promise<void> {
  const handle = await open(partial, 'a');
  try {
    const state = { length: (await handle.stat()).size, hash: await md5OfFile(partial, signal) };
    let failures = 0;
    while (state.length < file.sizeBytes) {
      const before = state.length;
      try {
        await transfer(file, handle, state, deps, signal);
      } catch (error) {
        throwIfAborted(signal);
        failures = state.length > before ? 1 : failures + 1;
        if (!isServiceError(error, 'unavailable') || failures >= deps.retry.attempts) {
          throw error;
        }
        await deps.retryDeps.sleep(retryDelay(failures, error, deps.retry, deps.retryDeps), signal);
      }
    }
    checkWhole(file, state.length, state.hash.digest('hex'));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

interface TransferState {
  length: number;
  hash: Hash;
}

/** One answer of the server, from where the file ends; less than the whole is a failure. */
async function transfer(
  file: RecordFile,
  handle: FileHandle,
  state: TransferState,
  { fetcher, onProgress }: DownloadDeps,
  signal: AbortSignal,
): Promise<void> {
  const { status, rangeStart, body, leave } = await fetcher.open(file.url, state.length, signal);
  if (status !== 200 && status !== 206) {
    await leave();
    throw status === 404 || status === 410
      ? new ServiceError('not-found', 'FILE_NOT_FOUND', `${file.url}: answered ${status}`)
      : new ServiceError('failed-precondition', 'DOWNLOAD_REFUSED', `${file.url}: answered ${status}`);
  }
  // A server that does not know ranges sends all of it again; one that sends another range must not be believed.
  if (status === 200 || rangeStart !== state.length) {
    await handle.truncate(0);
    state.length = 0;
    state.hash = createHash('md5');
    if (status === 206 && rangeStart !== 0) {
      await leave();
      throw new ServiceError('unavailable', 'DOWNLOAD_FAILED', `${file.url}: sent bytes from ${rangeStart}, not those asked for`);
    }
  }
  for await (const piece of body) {
    if (state.length + piece.byteLength > file.sizeBytes) {
      throw sizeMismatch(file, `more than ${file.sizeBytes}`);
    }
    await handle.appendFile(piece);
    state.hash.update(piece);
    state.length += piece.byteLength;
    onProgress?.(state.length, file.sizeBytes);
  }
  if (state.length < file.sizeBytes) {
    throw new ServiceError(
      'unavailable',
      'DOWNLOAD_FAILED',
      `${file.url}: ended after ${state.length} of ${file.sizeBytes} bytes`,
    );
  }
}

function checkWhole(file: RecordFile, length: number, md5: string): void {
  if (length !== file.sizeBytes) {
    throw sizeMismatch(file, String(length));
  }
  if (md5 !== file.md5) {
    throw new ServiceError('data-loss', 'DIGEST_MISMATCH', `${file.name}: MD5 ${md5}, the record says ${file.md5}`, {
      metadata: { file: file.name, expected: file.md5, found: md5 },
    });
  }
}

function sizeMismatch(file: RecordFile, found: string): ServiceError {
  return new ServiceError('data-loss', 'SIZE_MISMATCH', `${file.name}: ${found} bytes, the record says ${file.sizeBytes}`, {
    metadata: { file: file.name, expected: String(file.sizeBytes), found },
  });
}

async function md5OfFile(path: string, signal: AbortSignal): Promise<Hash> {
  const hash = createHash('md5');
  const pieces: AsyncIterable<Uint8Array> = createReadStream(path, { highWaterMark: 1024 * 1024 });
  for await (const piece of pieces) {
    throwIfAborted(signal);
    hash.update(piece);
  }
  return hash;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}
