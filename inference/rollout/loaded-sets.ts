import type { LoadedSet, Loader, ServableId } from './servable.ts';
import { type Lease, Slot } from './slot.ts';
import type { VersionBook } from './version-book.ts';

/** A loaded set and the versions that it was loaded with. */
interface Loaded<G> {
  readonly set: G;
  readonly ids: ReadonlySet<ServableId>;
}

export interface LoadedSetsDeps<G extends LoadedSet> {
  readonly loader: Pick<Loader<G>, 'dispose'>;
  readonly book: VersionBook;
  /** A set has drained and is gone. */
  readonly onDrained: () => void;
}

/** The set that requests get now, and those whose last requests still run; the book learns which versions leave, and are gone. */
export class LoadedSets<G extends LoadedSet> {
  readonly #deps: LoadedSetsDeps<G>;
  readonly #slot: Slot<Loaded<G>>;

  constructor(deps: LoadedSetsDeps<G>) {
    this.#deps = deps;
    this.#slot = new Slot(async ({ set, ids }) => {
      await deps.loader.dispose(set);
      this.#afterDrain(ids);
    });
  }

  get current(): G | undefined {
    return this.#slot.current?.set;
  }

  get draining(): G[] {
    return this.#slot.draining.map(({ set }) => set);
  }

  /** What the current one was loaded with. */
  get loadedIds(): ReadonlySet<ServableId> {
    return this.#slot.current?.ids ?? new Set();
  }

  /** The same, and what is in a set that drains. */
  get residentIds(): ReadonlySet<ServableId> {
    return new Set([this.#slot.current, ...this.#slot.draining].flatMap((held) => [...(held?.ids ?? [])]));
  }

  /** On the current set. */
  acquire(): Lease<Loaded<G>> | undefined {
    return this.#slot.acquire();
  }

  /** Requests get `set` from now on; undefined: none. */
  swap(set: G | undefined, ids: ReadonlySet<ServableId>): void {
    for (const id of this.loadedIds) {
      if (!ids.has(id)) {
        this.#deps.book.apply(id, 'retired');
      }
    }
    this.#slot.swap(set && { set, ids });
  }

  /** Waits for leases to end, and gives everything back. */
  async close(): Promise<void> {
    await this.#slot.close();
  }

  /** Versions that only the drained set held are done with. */
  #afterDrain(ids: ReadonlySet<ServableId>): void {
    const { book, onDrained } = this.#deps;
    const resident = this.residentIds;
    for (const id of ids) {
      if (!resident.has(id) && book.get(id)?.state === 'draining') {
        book.forget(id);
      }
    }
    onDrained();
  }
}
