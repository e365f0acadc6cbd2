import { type Clock, systemClock } from '../../infra/process/clock.ts';
import { chunkCount } from '../../proto/wire/chunks.ts';
import { asDigest, type BlobRef, type Digest } from '../../proto/wire/digest.ts';
import { invalid } from '../../proto/wire/errors.ts';
import type { BlobSource } from './blob-source.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import { type Disk, nodeDisk, storageError } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import { type FetchDeps, type FetchProgress, fetchBlob } from './fetch.ts';
import { Flights } from './flights.ts';
import { prepareFolder } from './folder.ts';
import { takeInventory, usedBytes } from './inventory.ts';
import { type Owners, processOwners } from './owners.ts';
import type { ChunkedBlob } from './partial.ts';
import { type Pin, Pins } from './pins.ts';
import { Room } from './room.ts';
import { rehashBlobs, type ScrubReport, scrubAtStart } from './scrub.ts';
import { putSmallBlob, readSmallBlob } from './small-blob.ts';
import { StateFile, type StateFormat } from './state-file.ts';
import { BlobVerifier, type Presence } from './verify.ts';

export interface CacheSettings {
  /** Chunks in memory at a time, over all downloads: the ceiling is this times 8 MiB. */
  readonly parallelChunks: number;
  /** What may be kept; 0: as much as the volume holds. */
  readonly maxBytes: number;
  /** How long a source may give no byte before the next one is asked. */
  readonly stallTimeoutMs: number;
}

export const DEFAULT_CACHE_SETTINGS: CacheSettings = { parallelChunks: 4, maxBytes: 0, stallTimeoutMs: 30_000 };

export interface CacheDeps {
  readonly onEvent: OnCacheEvent;
  readonly clock?: Clock;
  readonly disk?: Disk;
  readonly owners?: Owners;
}

/**
 * Opens the cache in the folder `root`, making it where missing, and puts it in order.
 * @throws ServiceError as `prepareFolder` does; unavailable STORAGE_UNAVAILABLE when the folder cannot be listed.
 */
export async function openCache(
  root: string,
  deps: CacheDeps,
  settings: CacheSettings = DEFAULT_CACHE_SETTINGS,
): Promise<ArtifactCache> {
  if (!(settings.parallelChunks >= 1)) {
    throw invalid([{ field: 'parallel_chunks', description: `expected at least 1, found ${settings.parallelChunks}` }]);
  }
  const layout = await prepareFolder(root);
  const { onEvent, clock = systemClock, disk = nodeDisk } = deps;
  try {
    const owners = deps.owners ?? (await processOwners(() => clock.nowMs()));
    const pins = new Pins({ layout, owners, clock, onEvent });
    const verifier = new BlobVerifier({ layout, clock, onEvent });
    const report = await scrubAtStart({ layout, owners, pins, clock, onEvent });
    const buffers = new ChunkBuffers(settings.parallelChunks);
    const room = new Room({ layout, owners, pins, verifier, disk, onEvent }, settings.maxBytes);
    return new ArtifactCache({ layout, owners, pins, verifier, room, clock, disk, onEvent, buffers, ...settings }, report);
  } catch (error) {
    throw storageError(error, `open the cache in ${root}`);
  }
}

interface ArtifactCacheDeps extends FetchDeps {
  readonly pins: Pins;
  readonly room: Room;
}

/**
 * Artifacts by digest in a folder that several servers may share. Paths handed out lead to verified, read-only files; they stay
 * as long as a pin holds them: pin, then `ensure`.
 *
 * Every method throws ServiceError: resource-exhausted STORAGE_FULL and unavailable STORAGE_UNAVAILABLE of the volume, data-loss
 * SIZE_MISMATCH when a reference states another size than the digest's content has, and the signal's reason.
 */
export class ArtifactCache {
  /** What the start found. */
  readonly scrubReport: ScrubReport;
  readonly #deps: ArtifactCacheDeps;
  readonly #flights = new Flights<string, FetchProgress>();

  constructor(deps: ArtifactCacheDeps, scrubReport: ScrubReport) {
    this.#deps = deps;
    this.scrubReport = scrubReport;
  }

  get root(): string {
    return this.#deps.layout.root;
  }

  /**
   * The path of a blob, fetched from `sources` in order where the cache does not have it. One download per digest however many
   * ask; the first caller's sources are used. `signal` ends this caller's wait, and the download when nobody else waits for it.
   * @throws ServiceError also invalid-argument when `chunks` do not fit the size; unavailable, data-loss DIGEST_MISMATCH (metadata
   * expected, found, source) or not-found BLOB_NOT_FOUND when no source gave the bytes. Trying again goes on where it ended.
   */
  async ensure(
    blob: ChunkedBlob,
    sources: readonly BlobSource[],
    signal: AbortSignal,
    onProgress?: (progress: FetchProgress) => void,
  ): Promise<{ readonly path: string }> {
    checkBlob(blob);
    const path = await this.#deps.room.busyWith(blob.digest, () =>
      this.#flights.join(
        `${blob.digest} ${blob.sizeBytes}`,
        signal,
        // Busy for itself: abandoned work outlives its callers' waits.
        (shared, report) => this.#deps.room.busyWith(blob.digest, () => this.#bring(blob, sources, shared, report)),
        onProgress,
      ),
    );
    return { path };
  }

  /** The path of a blob that the cache has, verified as `ensure` does; undefined where it would have to be fetched. */
  async lookup(ref: BlobRef, signal: AbortSignal): Promise<string | undefined> {
    return this.#deps.room.busyWith(ref.digest, async () => this.#used(ref, await this.#deps.verifier.verify(ref, signal)));
  }

  /**
   * The verified bytes of a blob that the cache has, such as a manifest.
   * @throws ServiceError also invalid-argument when it is larger than `maxBytes`.
   */
  async readSmall(ref: BlobRef, maxBytes: number, signal: AbortSignal): Promise<Buffer | undefined> {
    return this.#deps.room.busyWith(ref.digest, async () => {
      const bytes = await readSmallBlob(ref, maxBytes, signal, this.#deps, this.#deps.verifier);
      if (bytes !== undefined) {
        await this.#deps.verifier.recordUse(ref.digest);
      }
      return bytes;
    });
  }

  /** Keeps small bytes that were got elsewhere. @throws ServiceError also data-loss DIGEST_MISMATCH when they are not `ref`'s. */
  async put(ref: BlobRef, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#deps.room.busyWith(ref.digest, async () => {
      await putSmallBlob(ref, bytes, signal, this.#deps, this.#deps.verifier);
      await this.#deps.verifier.recordUse(ref.digest);
    });
  }

  /** Sets a blob aside that was found wrong in use; the next `ensure` fetches it again. */
  async quarantine(ref: BlobRef, why: string): Promise<void> {
    await this.#deps.verifier.quarantine(ref.digest, why);
  }

  /** Keeps blobs, here or still to come, from being evicted until the pin is disposed. Counted: each pin holds on its own. */
  async pin(refs: readonly BlobRef[]): Promise<Pin> {
    return this.#deps.pins.add(refs.map(({ digest }) => digest));
  }

  /** Hashes all blobs again, one at each step; for a background task. Corrupt ones go to quarantine and are events. */
  rehash(signal: AbortSignal): AsyncGenerator<{ readonly digest: Digest; readonly presence: Presence }> {
    return rehashBlobs(this.#deps.layout, this.#deps.verifier, signal);
  }

  /** A document kept beside the blobs. @throws ServiceError invalid-argument when the format's name is no file name. */
  stateFile<T>(format: StateFormat<T>): StateFile<T> {
    return new StateFile(this.#deps.layout.stateFile(format.name), format, this.#deps);
  }

  /** What the folder holds now. */
  async usage(): Promise<{ readonly blobs: number; readonly usedBytes: number }> {
    const inventory = await takeInventory(this.#deps.layout);
    return { blobs: inventory.blobs.length, usedBytes: usedBytes(inventory) };
  }

  /** Tells servers on other machines that this one still holds its pins; to be called every hour. */
  renew(): Promise<void> {
    return this.#deps.pins.renew();
  }

  /** Ends downloads, which go on at the next start, and this cache's pins. */
  async close(): Promise<void> {
    await this.#flights.stop();
    await this.#deps.verifier.stop();
    await this.#deps.room.stop();
    await this.#deps.pins.close();
  }

  async #bring(
    blob: ChunkedBlob,
    sources: readonly BlobSource[],
    signal: AbortSignal,
    report: (progress: FetchProgress) => void,
  ): Promise<string> {
    const { verifier, layout, room } = this.#deps;
    const presence = await verifier.verify(blob, signal);
    const path = await this.#used(blob, presence);
    if (path !== undefined) {
      return path;
    }
    await room.before(blob);
    const salvage = presence.kind === 'quarantined' ? presence.path : undefined;
    await fetchBlob(blob, { sources, salvage, signal, report }, this.#deps);
    await verifier.recordUse(blob.digest);
    await room.after();
    return layout.blob(blob.digest);
  }

  async #used(ref: BlobRef, presence: Presence): Promise<string | undefined> {
    if (presence.kind !== 'verified') {
      return undefined;
    }
    await this.#deps.verifier.recordUse(ref.digest);
    return presence.path;
  }
}

/** @throws ServiceError invalid-argument INVALID_REQUEST: a list of chunks of another length can verify nothing. */
function checkBlob({ digest, sizeBytes, chunks }: ChunkedBlob): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw invalid([{ field: 'size_bytes', description: `expected a size, found ${sizeBytes}` }]);
  }
  if (chunks.length !== chunkCount(sizeBytes)) {
    throw invalid([
      { field: 'chunks', description: `expected ${chunkCount(sizeBytes)} for ${sizeBytes} bytes, found ${chunks.length}` },
    ]);
  }
  if ([digest, ...chunks].some((candidate) => asDigest(candidate) === undefined)) {
    throw invalid([{ field: 'digest', description: 'expected "sha256:" and 64 lower-case hex digits' }]);
  }
}
