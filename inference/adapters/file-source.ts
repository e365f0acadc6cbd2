import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ByteRange } from '../../proto/wire/chunks.ts';
import { MESSAGE_BYTES } from '../../proto/wire/chunks.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { BlobSource } from '../cache/blob-source.ts';

/**
 * A blob in a file of this machine, such as the embedded registry's. A file that ends early ends the stream early; the cache sees
 * to it.
 */
export class FileSource implements BlobSource {
  readonly name: string;
  readonly #path: string;

  constructor(path: string) {
    this.name = `file:${path}`;
    this.#path = path;
  }

  /**
   * @throws ServiceError not-found BLOB_NOT_FOUND when there is no such regular file; data-loss SIZE_MISMATCH when it has another
   * size; unavailable STORAGE_UNAVAILABLE when it cannot be read; the signal's reason.
   */
  async *open(ref: BlobRef, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    throwIfAborted(signal);
    let file: FileHandle | undefined;
    try {
      // Without O_NONBLOCK opening a FIFO waits for a writer.
      file = await open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
      await this.#check(file, ref);
      yield* read(file, range, signal);
    } catch (error) {
      throw this.#translate(error, ref);
    } finally {
      await file?.close();
    }
  }

  async #check(file: FileHandle, ref: BlobRef): Promise<void> {
    const stats = await file.stat();
    if (!stats.isFile()) {
      throw new ServiceError('not-found', 'BLOB_NOT_FOUND', `${this.name} is not a regular file`, {
        metadata: { digest: ref.digest },
      });
    }
    if (stats.size !== ref.sizeBytes) {
      throw new ServiceError('data-loss', 'SIZE_MISMATCH', `${this.name} has ${stats.size} bytes, expected ${ref.sizeBytes}`, {
        metadata: { digest: ref.digest, expected: String(ref.sizeBytes), found: String(stats.size), source: this.name },
      });
    }
  }

  /** ENOENT and ENOTDIR mean absent; all else may pass. */
  #translate(error: unknown, ref: BlobRef): unknown {
    if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
      return error;
    }
    return error.code === 'ENOENT' || error.code === 'ENOTDIR'
      ? new ServiceError('not-found', 'BLOB_NOT_FOUND', `${this.name} does not exist`, {
          cause: error,
          metadata: { digest: ref.digest },
        })
      : new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${this.name}: ${error.code}`, { cause: error });
  }
}

async function* read(file: FileHandle, { offsetBytes, lengthBytes }: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < lengthBytes; ) {
    throwIfAborted(signal);
    // A buffer of its own each time: the reader may still hold the last one.
    const buffer = Buffer.allocUnsafeSlow(Math.min(MESSAGE_BYTES, lengthBytes - done));
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, offsetBytes + done);
    if (bytesRead === 0) {
      return;
    }
    yield buffer.subarray(0, bytesRead);
    done += bytesRead;
  }
}
