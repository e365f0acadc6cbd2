import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { CHUNK_BYTES, chunkCount, chunkRange } from '../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { type Disk, discard, hashRange, isAbsent, READ_FLAGS, readHashed, renameIfThere, syncFolder } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import { encodeJournalHeader, encodeJournalLine, readJournal } from './journal.ts';
import { type CacheLayout, parsePartialName } from './layout.ts';
import type { Owners } from './owners.ts';

/** A blob with the digests of its chunks, in order: what a manifest says of an artifact. */
export interface ChunkedBlob extends BlobRef {
  readonly chunks: readonly Digest[];
}

export interface PartialDeps {
  readonly layout: CacheLayout;
  readonly disk: Disk;
  readonly owners: Owners;
  readonly onEvent: OnCacheEvent;
}

/** Begun anew at every opening. Appended to, since chunks end in any order. */
const JOURNAL_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * A download under way: a file of this owner's with verified chunks at their places, and a journal that says which. Errors are
 * Node's own.
 *
 * The journal is a hint only: after a power failure it may name chunks whose bytes never reached the disk. So each chunk that
 * it names is hashed before it counts. That costs one read of the file; relying on the hash of the whole blob at the end would
 * find the damage too, but not where, and everything would be fetched again.
 */
export class PartialFile {
  readonly verified: Set<number>;
  readonly #blob: ChunkedBlob;
  readonly #data: FileHandle;
  readonly #journal: FileHandle;
  readonly #deps: PartialDeps;

  private constructor(blob: ChunkedBlob, data: FileHandle, journal: FileHandle, verified: Set<number>, deps: PartialDeps) {
    this.#blob = blob;
    this.#data = data;
    this.#journal = journal;
    this.verified = verified;
    this.#deps = deps;
  }

  /** Opens this owner's partial file, else takes over a dead owner's, else begins one. To be closed. */
  static async open(blob: ChunkedBlob, deps: PartialDeps, signal: AbortSignal): Promise<PartialFile> {
    const { layout, owners } = deps;
    await mkdir(layout.partials, { recursive: true });
    const path = layout.partial(blob, owners.self, 'data');
    if (!(await exists(path))) {
      await adopt(blob, deps);
    }
    const data = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    let journal: FileHandle | undefined;
    try {
      await data.truncate(Math.min((await data.stat()).size, blob.sizeBytes));
      const verified = await verifiedChunks(blob, data, deps, signal);
      journal = await open(layout.partial(blob, owners.self, 'journal'), JOURNAL_FLAGS, 0o600);
      await journal.write(encodeJournalHeader(blob) + [...verified].map(encodeJournalLine).join(''));
      return new PartialFile(blob, data, journal, verified, deps);
    } catch (error) {
      await journal?.close();
      await data.close();
      throw error;
    }
  }

  /** Writes a chunk whose bytes were verified. */
  async write(index: number, bytes: Uint8Array): Promise<void> {
    await this.#deps.disk.write(this.#data, bytes, index * CHUNK_BYTES);
    await this.#journal.write(encodeJournalLine(index));
    this.verified.add(index);
  }

  /**
   * Copies the chunks that `path`, a quarantined file, still holds right: of a large blob with a few flipped bits only the chunks
   * with these are fetched again.
   */
  async salvage(path: string, buffer: Buffer, signal: AbortSignal): Promise<void> {
    const source = await open(path, READ_FLAGS);
    try {
      for (const [index, digest] of this.#blob.chunks.entries()) {
        const { offsetBytes, lengthBytes } = chunkRange(index, this.#blob.sizeBytes);
        const bytes = buffer.subarray(0, lengthBytes);
        if (!this.verified.has(index) && (await readHashed(source, bytes, offsetBytes, signal)).digest === digest) {
          await this.write(index, bytes);
        }
      }
    } finally {
      await source.close();
    }
  }

  /** Digest and size of the whole file as it can be read back. */
  hash(signal: AbortSignal): Promise<BlobRef> {
    // One byte more than expected: a file that is too long must not pass.
    return hashRange(this.#data, 0, this.#blob.sizeBytes + 1, signal);
  }

  /** Makes the file the blob: on disk before its name is, and read-only. The journal goes. */
  async publish(): Promise<Stats> {
    const { layout, owners, onEvent } = this.#deps;
    await this.#data.chmod(0o444);
    await this.#data.sync();
    const shard = layout.shard(this.#blob.digest);
    if ((await mkdir(shard, { recursive: true })) !== undefined) {
      await syncFolder(layout.blobs);
    }
    await rename(layout.partial(this.#blob, owners.self, 'data'), layout.blob(this.#blob.digest));
    await syncFolder(shard);
    await discard(layout.partial(this.#blob, owners.self, 'journal'), onEvent);
    return this.#data.stat();
  }

  async close(): Promise<void> {
    await this.#journal.close();
    await this.#data.close();
  }
}

/** Removes this owner's partial file of a blob, open or not. */
export async function removePartial(ref: BlobRef, { layout, owners, onEvent }: PartialDeps): Promise<void> {
  await discard(layout.partial(ref, owners.self, 'data'), onEvent);
  await discard(layout.partial(ref, owners.self, 'journal'), onEvent);
}

/** The chunks that the journal names and the file holds. */
async function verifiedChunks(blob: ChunkedBlob, data: FileHandle, deps: PartialDeps, signal: AbortSignal): Promise<Set<number>> {
  const verified = new Set<number>();
  const named = await readJournal(deps.layout.partial(blob, deps.owners.self, 'journal'), blob);
  for (const index of named) {
    const { offsetBytes, lengthBytes } = chunkRange(index, blob.sizeBytes);
    if ((await hashRange(data, offsetBytes, lengthBytes, signal)).digest === blob.chunks[index]) {
      verified.add(index);
    }
  }
  if (verified.size > 0) {
    const totalChunks = chunkCount(blob.sizeBytes);
    deps.onEvent({ kind: 'download-resumed', ref: blob, keptChunks: verified.size, totalChunks });
  }
  return verified;
}

/**
 * Renames a dead owner's partial file and journal to this owner's. The rename of the data is the claim: of two servers that try
 * at once one succeeds. File locks would say the same more plainly, but on some network file systems they say yes to both.
 */
async function adopt(blob: ChunkedBlob, { layout, owners }: PartialDeps): Promise<void> {
  for (const name of await readdir(layout.partials)) {
    const partial = parsePartialName(name);
    if (partial?.part !== 'data' || partial.ref.digest !== blob.digest || partial.ref.sizeBytes !== blob.sizeBytes) {
      continue;
    }
    const theirs = layout.partial(partial.ref, partial.owner, 'data');
    if (
      !(await owners.isAlive(partial.owner, (await modifiedMs(theirs)) ?? 0)) &&
      (await renameIfThere(theirs, layout.partial(blob, owners.self, 'data')))
    ) {
      await renameIfThere(layout.partial(blob, partial.owner, 'journal'), layout.partial(blob, owners.self, 'journal'));
      return;
    }
  }
}

async function modifiedMs(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (isAbsent(error)) {
      return undefined;
    }
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await modifiedMs(path)) !== undefined;
}
