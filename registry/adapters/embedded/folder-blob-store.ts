import { type FileHandle, open, stat } from 'node:fs/promises';
import type { ByteRange } from '../../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../../proto/wire/digest.ts';
import { ServiceError, throwIfAborted } from '../../../proto/wire/errors.ts';
import type {
  BlobLocation,
  BlobStore,
  BlobUpload,
  ChunkedBlob,
  SetAsideBlob,
  StoredBlob,
  Verification,
  WantedBlob,
} from '../../release/blob-store.ts';
import { verifyBytes } from '../../release/verify-chunks.ts';
import { readJournal } from './chunk-journal.ts';
import { readAll, readPieces } from './file-bytes.ts';
import { deleteFile, discard, identityOf, listBlobs, listSetAside, restore, setAside } from './folder-garbage.ts';
import { isAbsent, translated, translateFsError } from './fs-errors.ts';
import type { Layout } from './layout.ts';
import { PartialBlob } from './partial-blob.ts';
import { removeFolder } from './sweep.ts';

/** Blobs as files in one folder. Any number of instances and processes on one machine may share the folder. */
export class FolderBlobStore implements BlobStore {
  readonly #layout: Layout;
  /** Uploads of this process by folder: those of one blob share one, and publish one after the other. */
  readonly #open = new Map<string, SharedPartial>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  async stat(digest: Digest, signal: AbortSignal): Promise<BlobRef | undefined> {
    throwIfAborted(signal);
    try {
      const { size } = await stat(this.#layout.blob(digest));
      return { digest, sizeBytes: size };
    } catch (error) {
      if (isAbsent(error)) {
        return undefined;
      }
      throw translateFsError(error);
    }
  }

  async verifiedChunks(blob: ChunkedBlob, signal: AbortSignal): Promise<ReadonlySet<number>> {
    throwIfAborted(signal);
    return translated(() => readJournal(this.#layout.partial(blob), blob));
  }

  async openUpload(blob: ChunkedBlob, signal: AbortSignal): Promise<BlobUpload> {
    throwIfAborted(signal);
    const folder = this.#layout.partial(blob);
    const shared = this.#open.get(folder) ?? { users: 0, partial: PartialBlob.open(folder, blob), commits: Promise.resolve() };
    this.#open.set(folder, shared);
    shared.users++;
    const close = once(() => this.#release(folder, shared));
    try {
      const partial = await shared.partial;
      return {
        putChunk: async (index, bytes, chunkSignal) => {
          throwIfAborted(chunkSignal);
          await translated(() => partial.putChunk(index, bytes));
        },
        commit: (commitSignal) => this.#commit(shared, partial, blob, commitSignal),
        close,
      };
    } catch (error) {
      await close().catch(() => undefined);
      throw translateFsError(error);
    }
  }

  async discardUpload(blob: ChunkedBlob, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await translated(() => removeFolder(this.#layout.partial(blob), this.#layout.partials));
  }

  async *read(blob: WantedBlob, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    throwIfAborted(signal);
    if (blob.objectVersion !== undefined) {
      const message = `a folder keeps no versions of files: there is no ${blob.objectVersion} of ${blob.digest}`;
      throw new ServiceError('not-found', 'BLOB_NOT_FOUND', message);
    }
    const file = await this.#openBlob(blob.digest);
    if (file === undefined) {
      throw new ServiceError('not-found', 'BLOB_NOT_FOUND', `no blob ${blob.digest} is stored`);
    }
    try {
      const { size } = await file.stat();
      if (size !== blob.sizeBytes) {
        throw new ServiceError(
          'data-loss',
          'SIZE_MISMATCH',
          `${blob.digest}: expected ${blob.sizeBytes} bytes, ${size} are stored`,
        );
      }
      yield* readPieces(file, range, signal);
    } catch (error) {
      throw translateFsError(error);
    } finally {
      await file.close();
    }
  }

  async verify(blob: ChunkedBlob, signal: AbortSignal): Promise<Verification> {
    throwIfAborted(signal);
    const file = await this.#openBlob(blob.digest);
    if (file === undefined) {
      return { kind: 'absent' };
    }
    try {
      const copy = identityOf(await file.stat({ bigint: true }));
      return await verifyBytes(blob, copy, readAll(file, signal));
    } catch (error) {
      throw translateFsError(error);
    } finally {
      await file.close();
    }
  }

  async deleteCorrupt(digest: Digest, copy: string, signal: AbortSignal): Promise<boolean> {
    throwIfAborted(signal);
    return translated(() => deleteFile(this.#layout, digest, copy));
  }

  list(signal: AbortSignal): AsyncIterable<StoredBlob> {
    return listBlobs(this.#layout, signal);
  }

  async checkRestorable(signal: AbortSignal): Promise<void> {
    // A file that is renamed can be renamed again.
    throwIfAborted(signal);
  }

  async setAside(digest: Digest, signal: AbortSignal): Promise<SetAsideBlob | undefined> {
    throwIfAborted(signal);
    return translated(() => setAside(this.#layout, digest));
  }

  async listSetAside(signal: AbortSignal): Promise<readonly SetAsideBlob[]> {
    throwIfAborted(signal);
    return listSetAside(this.#layout);
  }

  async restore(digest: Digest, signal: AbortSignal): Promise<boolean> {
    throwIfAborted(signal);
    return translated(() => restore(this.#layout, digest));
  }

  async discard(blob: SetAsideBlob, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await translated(() => discard(this.#layout, blob));
  }

  async placeOf(_digest: Digest, signal: AbortSignal): Promise<undefined> {
    throwIfAborted(signal);
  }

  locations({ digest }: BlobRef): readonly BlobLocation[] {
    return [{ kind: 'file', path: this.#layout.blob(digest) }];
  }

  async #openBlob(digest: Digest): Promise<FileHandle | undefined> {
    try {
      return await open(this.#layout.blob(digest), 'r');
    } catch (error) {
      if (isAbsent(error)) {
        return undefined;
      }
      throw translateFsError(error);
    }
  }

  async #commit(shared: SharedPartial, partial: PartialBlob, blob: ChunkedBlob, signal: AbortSignal): Promise<boolean> {
    const before = shared.commits;
    const commit = (async () => {
      // How an earlier commit ended is told to its own caller; this one looks for itself.
      await before.catch(() => undefined);
      if ((await this.stat(blob.digest, signal)) !== undefined) {
        return true;
      }
      if (!(await translated(() => partial.isWhole()))) {
        return false;
      }
      await translated(() => partial.publish(this.#layout.blob(blob.digest), signal));
      return true;
    })();
    shared.commits = commit;
    return commit;
  }

  async #release(folder: string, shared: SharedPartial): Promise<void> {
    shared.users--;
    if (shared.users === 0) {
      this.#open.delete(folder);
      const partial = await shared.partial;
      await translated(() => partial.close());
    }
  }
}

interface SharedPartial {
  users: number;
  readonly partial: Promise<PartialBlob>;
  commits: Promise<unknown>;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= action());
}
