import type { ServableId } from './servable.ts';

interface Extra {
  users: number;
}

/** Versions that requests named, in order of last use; the least recently used leave first, never one that a request waits for. */
export class OnDemand {
  readonly #max: number;
  /** A Map keeps insertion order; each use inserts anew, so the first is the least recently used. */
  readonly #extras = new Map<ServableId, Extra>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Marks a use; to be released once the request holds its lease or gave up. */
  use(id: ServableId): () => void {
    const extra = this.#extras.get(id) ?? { users: 0 };
    extra.users += 1;
    this.#extras.delete(id);
    this.#extras.set(id, extra);
    this.#trim();
    let isHeld = true;
    return () => {
      if (isHeld) {
        isHeld = false;
        extra.users -= 1;
        this.#trim();
      }
    };
  }

  ids(): ServableId[] {
    return [...this.#extras.keys()];
  }

  /** Lets the least recently used of those that weigh anything go until what is left weighs no more than `max`. */
  shed(weightOf: (id: ServableId) => number, max: number): void {
    let weight = this.ids().reduce((sum, id) => sum + weightOf(id), 0);
    for (const [id, { users }] of this.#extras) {
      if (weight <= max) {
        return;
      }
      if (users === 0 && weightOf(id) > 0) {
        this.#extras.delete(id);
        weight -= weightOf(id);
      }
    }
  }

  #trim(): void {
    for (const [id, { users }] of this.#extras) {
      if (this.#extras.size <= this.#max) {
        return;
      }
      if (users === 0) {
        this.#extras.delete(id);
      }
    }
  }
}
