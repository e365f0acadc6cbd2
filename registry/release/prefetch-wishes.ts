import type { BlobRef } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { ModelName } from '../../proto/wire/names.ts';

/** Every server gets all of them, and a wish is for the minutes before a promotion. */
export const MAX_WISHES = 100;

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
   * @throws failed-precondition PREFETCHES_FULL when `MAX_WISHES` are in force: none of them may end for days, so that trying
   *   again is of no use. Instances that take wishes at one moment may go beyond it by a few.
   */
  put(wish: PrefetchWish, nowMs: number, signal: AbortSignal): Promise<PrefetchWish>;
  /** Those that have not expired at `nowMs`. */
  list(nowMs: number, signal: AbortSignal): Promise<readonly PrefetchWish[]>;
  /** Grows with every wish that is new or ends later. The same for every instance on one store. Cheap: asked a few times a second. */
  head(signal: AbortSignal): Promise<number>;
}

export function tooManyWishes(): ServiceError {
  return new ServiceError('failed-precondition', 'PREFETCHES_FULL', `${MAX_WISHES} versions are being held ahead already`);
}
