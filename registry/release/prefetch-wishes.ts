import type { BlobRef } from '../../proto/wire/digest.ts';
import type { ModelName } from '../../proto/wire/names.ts';

/** A version that servers should hold, until when. */
export interface PrefetchWish {
  readonly model: ModelName;
  readonly version: number;
  readonly manifest: BlobRef;
  readonly expireTimeMs: number;
}

/**
 * PORT: which versions servers should fetch ahead. Live state, as what servers report is: whoever heard of a wish keeps it in mind,
 * so losing them costs only those that had not heard yet.
 *
 * Errors of all methods: ServiceError unavailable STORAGE_UNAVAILABLE, and cancelled or deadline-exceeded when the signal aborts.
 */
export interface PrefetchWishes {
  /**
   * Adds a wish, or lets the one for the same version end later; it never ends earlier than before. Gives the wish in force.
   * @throws resource-exhausted PREFETCHES_FULL when there is no room for another version.
   */
  put(wish: PrefetchWish, nowMs: number, signal: AbortSignal): Promise<PrefetchWish>;
  /** Those that have not expired at `nowMs`. */
  list(nowMs: number, signal: AbortSignal): Promise<readonly PrefetchWish[]>;
  /** Grows with every wish that is new or ends later. The same for every instance on one store. Cheap: asked a few times a second. */
  head(signal: AbortSignal): Promise<number>;
}
