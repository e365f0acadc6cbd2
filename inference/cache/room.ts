import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { storageError } from './disk.ts';
import { type EvictDeps, makeRoom } from './evict.ts';
import { takeInventory } from './inventory.ts';

/** Makes room in the cache's folder, and knows which blobs calls are at work on: these are not evicted. */
export class Room {
  readonly #deps: EvictDeps;
  readonly #maxBytes: number;
  /** How many calls are at work on a blob. */
  readonly #busy = new Map<Digest, number>();
  /** One eviction at a time: two would count the same bytes as freed twice over. */
  #evicting: Promise<void> = Promise.resolve();

  constructor(deps: EvictDeps, maxBytes: number) {
    this.#deps = deps;
    this.#maxBytes = maxBytes;
  }

  async busyWith<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    this.#busy.set(digest, (this.#busy.get(digest) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const count = this.#busy.get(digest) ?? 0;
      if (count > 1) {
        this.#busy.set(digest, count - 1);
      } else {
        this.#busy.delete(digest);
      }
    }
  }

  /**
   * Evicts for a blob that is about to be fetched.
   * @throws ServiceError resource-exhausted STORAGE_FULL, before a byte is fetched, when the volume cannot take it; unavailable
   * STORAGE_UNAVAILABLE.
   */
  async before(blob: BlobRef): Promise<void> {
    const { layout, disk } = this.#deps;
    try {
      const neededBytes = await this.#missingBytes(blob);
      await this.#evict(neededBytes);
      const freeBytes = await disk.freeBytes(layout.root);
      if (freeBytes < neededBytes) {
        throw new ServiceError(
          'resource-exhausted',
          'STORAGE_FULL',
          `${blob.digest} needs ${neededBytes} bytes, the volume of ${layout.root} has ${freeBytes}`,
          { metadata: { digest: blob.digest, needed_bytes: String(neededBytes), free_bytes: String(freeBytes) } },
        );
      }
    } catch (error) {
      throw storageError(error, `make room for ${blob.digest}`);
    }
  }

  /** Evicts what several downloads at once took too much. The blob is there and verified: a failure is an event. */
  async after(): Promise<void> {
    try {
      await this.#evict(0);
    } catch (error) {
      this.#deps.onEvent({ kind: 'clean-up-failed', doing: 'evict down to the budget', error });
    }
  }

  /** Waits for the eviction under way. */
  async stop(): Promise<void> {
    await this.#evicting;
  }

  async #evict(incomingBytes: number): Promise<void> {
    const wanted = { maxBytes: this.#maxBytes, incomingBytes, isBusy: (digest: Digest) => this.#busy.has(digest) };
    const done = this.#evicting.then(() => makeRoom(wanted, this.#deps));
    this.#evicting = Promise.allSettled([done]).then(() => undefined);
    await done;
  }

  /** The blob's size less what an interrupted download of it already holds on the disk. */
  async #missingBytes({ digest, sizeBytes }: BlobRef): Promise<number> {
    const { partials } = await takeInventory(this.#deps.layout);
    const held = partials.filter(
      ({ name }) => name.part === 'data' && name.ref.digest === digest && name.ref.sizeBytes === sizeBytes,
    );
    return Math.max(0, sizeBytes - Math.max(0, ...held.map((partial) => partial.sizeBytes)));
  }
}
