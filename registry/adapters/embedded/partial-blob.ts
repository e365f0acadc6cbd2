import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CHUNK_BYTES, chunkCount } from '../../../proto/wire/chunks.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { ChunkedBlob } from '../../release/blob-store.ts';
import { ChunkCheck, checkWhole } from '../../release/verify-chunks.ts';
import { ChunkJournal } from './chunk-journal.ts';
import { hashFile } from './file-bytes.ts';
import { isAbsent } from './fs-errors.ts';
import { syncFolder } from './layout.ts';
import { removeFolder } from './sweep.ts';

/** How often opening meets another process that is just removing the folder. */
const MAX_ATTEMPTS = 10;

/**
 * An unfinished blob: a file of its size with verified chunks at their places, and a journal that names them.
 *
 * Only bytes that have the digest declared for their chunk are ever written, and everyone who writes into one folder goes by
 * the same chunk list. So uploads that run at once, in one process or several, can only write the same bytes to the same
 * place; one that still writes after another has published the blob writes what is there. A chunk enters the journal
 * after its bytes reached the disk, so a journal never promises too much after a crash.
 */
export class PartialBlob {
  readonly #folder: string;
  readonly #blob: ChunkedBlob;
  readonly #data: FileHandle;
  readonly #journal: ChunkJournal;
  readonly #verified: Set<number>;
  readonly #check: ChunkCheck;

  private constructor(folder: string, blob: ChunkedBlob, data: FileHandle, journal: ChunkJournal, verified: Set<number>) {
    this.#folder = folder;
    this.#blob = blob;
    this.#data = data;
    this.#journal = journal;
    this.#verified = verified;
    this.#check = new ChunkCheck(blob);
  }

  static async open(folder: string, blob: ChunkedBlob): Promise<PartialBlob> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await PartialBlob.#openOnce(folder, blob);
      } catch (error) {
        // Another process published the blob and removed the folder while we were opening it.
        if (!isAbsent(error) || attempt === MAX_ATTEMPTS) {
          throw error;
        }
      }
    }
  }

  static async #openOnce(folder: string, blob: ChunkedBlob): Promise<PartialBlob> {
    await mkdir(folder, { recursive: true });
    const opened: { close(): Promise<void> }[] = [];
    try {
      const data = await open(join(folder, 'data'), constants.O_RDWR | constants.O_CREAT, 0o644);
      opened.push(data);
      const journal = await ChunkJournal.open(folder, blob);
      opened.push(journal);
      // The data's length is that of after the journal was read: another upload notes what is there already.
      const noted = await journal.read();
      const dataBytes = (await data.stat()).size;
      await journal.mend(noted, dataBytes);
      return new PartialBlob(folder, blob, data, journal, noted.chunksWithin(dataBytes));
    } catch (error) {
      await Promise.all(opened.map((file) => file.close()));
      throw error;
    }
  }

  /** Whether every chunk is held, by whichever process it came. */
  async isWhole(): Promise<boolean> {
    if (!this.#hasAll) {
      // By our own files: what lies at their places may be another upload by now.
      const noted = await this.#journal.read();
      for (const index of noted.chunksWithin((await this.#data.stat()).size)) {
        this.#verified.add(index);
      }
    }
    return this.#hasAll;
  }

  get #hasAll(): boolean {
    return this.#verified.size === chunkCount(this.#blob.sizeBytes);
  }

  /** @throws ServiceError data-loss SIZE_MISMATCH or DIGEST_MISMATCH. */
  async putChunk(index: number, bytes: Uint8Array): Promise<void> {
    await this.#check.check(index, bytes);
    if (this.#verified.has(index)) {
      return;
    }
    let at = 0;
    while (at < bytes.byteLength) {
      const { bytesWritten } = await this.#data.write(bytes, at, bytes.byteLength - at, index * CHUNK_BYTES + at);
      at += bytesWritten;
    }
    await this.#data.datasync();
    await this.#journal.note(index);
    this.#verified.add(index);
  }

  /**
   * Moves the whole blob to `target`; the folder is gone afterwards.
   * @throws ServiceError data-loss SIZE_MISMATCH or DIGEST_MISMATCH, and the folder is gone too: none of it can be trusted.
   */
  async publish(target: string, signal: AbortSignal): Promise<void> {
    // What passed through here whole need not be read again.
    const found = this.#check.whole ?? (await hashFile(this.#data, signal));
    try {
      checkWhole(this.#blob, found);
    } catch (error) {
      await this.#discard();
      throw error;
    }
    const isNewFolder = (await mkdir(dirname(target), { recursive: true })) !== undefined;
    await this.#takeOver(target);
    await syncFolder(dirname(target));
    if (isNewFolder) {
      await syncFolder(dirname(dirname(target)));
    }
    await this.#discard();
  }

  async close(): Promise<void> {
    await this.#data.close();
    await this.#journal.close();
  }

  /**
   * Gives the file that was hashed its final name. A link of our own comes first: what another process may have put at the
   * partial's place in the meantime is never taken for it, and two that publish at once give the same file the same name.
   */
  async #takeOver(target: string): Promise<void> {
    if (await this.#rename(target)) {
      // Read-only from here on, and not before: a crash must not leave a partial that cannot be written on.
      await this.#data.chmod(0o444);
      return;
    }
    const isPublished = await stat(target).then(
      () => true,
      () => false,
    );
    if (!isPublished) {
      throw new ServiceError(
        'unavailable',
        'STORAGE_UNAVAILABLE',
        `another process removed the upload of ${this.#blob.digest}; upload again`,
      );
    }
  }

  /** False when the file at the partial's place is not the one that is open here, or another process removes the folder. */
  async #rename(target: string): Promise<boolean> {
    // In the folder, so that it goes with it where a crash leaves it behind.
    const own = join(this.#folder, `${randomUUID()}.publish`);
    try {
      await link(join(this.#folder, 'data'), own);
      if ((await stat(own)).ino !== (await this.#data.stat()).ino) {
        return false;
      }
      await rename(own, target);
      return true;
    } catch (error) {
      if (isAbsent(error)) {
        return false;
      }
      throw error;
    } finally {
      // It is still there where `target` was a link to the same file already.
      await rm(own, { force: true });
    }
  }

  #discard(): Promise<void> {
    return removeFolder(this.#folder, dirname(this.#folder));
  }
}
