import type { Clock } from './clock.ts';
import type { PrefetchWish, PrefetchWishes } from './prefetch-wishes.ts';
import { SharedReads } from './shared-reads.ts';

/** The wishes in force for all watchers of one process: read once after each new one, however many watch. */
export class WishBoard {
  readonly #clock: Clock;
  readonly #reads: SharedReads<number, readonly PrefetchWish[]>;
  #newest: { readonly head: number; readonly wishes: readonly PrefetchWish[] } = { head: -1, wishes: [] };

  constructor(wishes: Pick<PrefetchWishes, 'list'>, clock: Clock) {
    this.#clock = clock;
    this.#reads = new SharedReads((_, signal) => wishes.list(clock.nowMs(), signal));
  }

  /** Those in force now, read when the wishes' head was `head` or later. */
  async list(head: number, signal: AbortSignal): Promise<readonly PrefetchWish[]> {
    if (this.#newest.head < head) {
      const wishes = await this.#reads.get(head, signal);
      if (this.#newest.head < head) {
        this.#newest = { head, wishes };
      }
    }
    const nowMs = this.#clock.nowMs();
    return this.#newest.wishes.filter(({ expireTimeMs }) => expireTimeMs > nowMs);
  }
}
