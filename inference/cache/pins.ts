import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import type { Clock } from '../../infra/process/clock.ts';
import type { Digest } from '../../proto/wire/digest.ts';
import { discard, isAbsent } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import { type CacheLayout, digestOfName } from './layout.ts';
import type { Owners } from './owners.ts';

/** Holds blobs in the cache until disposed; disposing twice does no harm. */
export interface Pin {
  [Symbol.dispose](): void;
}

interface PinsDeps {
  readonly layout: CacheLayout;
  readonly owners: Owners;
  readonly clock: Clock;
  readonly onEvent: OnCacheEvent;
}

/**
 * Which blobs must not be evicted: counted in memory for this process, and as empty files in the cache for other servers that
 * share the folder.
 */
export class Pins {
  readonly #deps: PinsDeps;
  readonly #counts = new Map<Digest, number>();
  /** One file operation at a time, so that the files follow the counts. */
  #writing: Promise<void> = Promise.resolve();

  #isClosed = false;

  constructor(deps: PinsDeps) {
    this.#deps = deps;
  }

  /**
   * Counts at once in this process, and for others when the promise is fulfilled. A file that cannot be written, as on a full
   * volume, is an event and no error: what is cached must stay usable then.
   */
  async add(digests: readonly Digest[]): Promise<Pin> {
    for (const digest of digests) {
      this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
    }
    let isHeld = true;
    await this.#writeDown(digests);
    return {
      [Symbol.dispose]: () => {
        if (isHeld) {
          isHeld = false;
          this.#release(digests);
        }
      },
    };
  }

  has(digest: Digest): boolean {
    return this.#counts.has(digest);
  }

  /** The pins of other live owners, as they are on disk now. */
  async ofOthers(): Promise<ReadonlySet<Digest>> {
    const { layout, owners } = this.#deps;
    const pinned = new Set<Digest>();
    for (const owner of await namesIn(layout.pins)) {
      if (owner !== owners.self && (await this.#isAlive(owner))) {
        for (const name of await namesIn(layout.pinsOf(owner))) {
          const digest = digestOfName(name);
          if (digest !== undefined) {
            pinned.add(digest);
          }
        }
      }
    }
    return pinned;
  }

  /** Removes what dead owners left. */
  async sweep(): Promise<void> {
    const { layout, owners, onEvent } = this.#deps;
    for (const owner of await namesIn(layout.pins)) {
      if (owner !== owners.self && !(await this.#isAlive(owner))) {
        await discard(layout.pinsOf(owner), onEvent);
        onEvent({ kind: 'leftover-removed', path: layout.pinsOf(owner) });
      }
    }
  }

  /** Tells servers that cannot see this process that it is still there. */
  async renew(): Promise<void> {
    const { layout, owners, clock, onEvent } = this.#deps;
    const seconds = clock.nowMs() / 1000;
    const folder = layout.pinsOf(owners.self);
    try {
      await utimes(folder, seconds, seconds);
    } catch (error) {
      if (!isAbsent(error)) {
        onEvent({ kind: 'clean-up-failed', doing: `renew ${folder}`, error });
      }
    }
  }

  /** Ends all pins of this owner. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#counts.clear();
    await this.#writing;
    await discard(this.#deps.layout.pinsOf(this.#deps.owners.self), this.#deps.onEvent);
  }

  #release(digests: readonly Digest[]): void {
    for (const digest of digests) {
      const count = this.#counts.get(digest) ?? 0;
      if (count > 1) {
        this.#counts.set(digest, count - 1);
      } else {
        this.#counts.delete(digest);
      }
    }
    void this.#writeDown(digests);
  }

  #writeDown(digests: readonly Digest[]): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(digests));
    return this.#writing;
  }

  /** Never rejects. */
  async #write(digests: readonly Digest[]): Promise<void> {
    const { layout, owners, onEvent } = this.#deps;
    if (this.#isClosed) {
      return;
    }
    try {
      await mkdir(layout.pinsOf(owners.self), { recursive: true });
      for (const digest of digests) {
        const path = layout.pin(digest, owners.self);
        await (this.has(digest) ? writeFile(path, '') : rm(path, { force: true }));
      }
    } catch (error) {
      onEvent({ kind: 'clean-up-failed', doing: 'write pins down for other servers', error });
    }
  }

  async #isAlive(owner: string): Promise<boolean> {
    try {
      return await this.#deps.owners.isAlive(owner, (await stat(this.#deps.layout.pinsOf(owner))).mtimeMs);
    } catch (error) {
      if (isAbsent(error)) {
        return false;
      }
      throw error;
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isAbsent(error)) {
      return [];
    }
    throw error;
  }
}
