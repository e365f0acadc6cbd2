import { throwIfAborted } from '../../../proto/wire/errors.ts';
import { MAX_WISHES, type PrefetchWish, type PrefetchWishes, tooManyWishes } from '../../release/prefetch-wishes.ts';

/** Wishes in the memory of one registry process, as `MemoryReports` keeps reports. */
export class MemoryWishes implements PrefetchWishes {
  readonly #wishes = new Map<string, PrefetchWish>();
  #head = 0;

  async put(wish: PrefetchWish, nowMs: number, signal: AbortSignal): Promise<PrefetchWish> {
    throwIfAborted(signal);
    this.#dropExpired(nowMs);
    const key = `${wish.model}:${wish.version}`;
    const known = this.#wishes.get(key);
    if (known !== undefined && known.expireTimeMs >= wish.expireTimeMs) {
      return known;
    }
    if (known === undefined && this.#wishes.size >= MAX_WISHES) {
      throw tooManyWishes();
    }
    this.#wishes.set(key, wish);
    this.#head += 1;
    return wish;
  }

  async list(nowMs: number, signal: AbortSignal): Promise<readonly PrefetchWish[]> {
    throwIfAborted(signal);
    this.#dropExpired(nowMs);
    return [...this.#wishes.values()];
  }

  async head(signal: AbortSignal): Promise<number> {
    throwIfAborted(signal);
    return this.#head;
  }

  #dropExpired(nowMs: number): void {
    for (const [key, { expireTimeMs }] of this.#wishes) {
      if (expireTimeMs <= nowMs) {
        this.#wishes.delete(key);
      }
    }
  }
}
