import { RequestCheck } from '../model/request-check.ts';
import type { FollowingDeps } from './dependencies.ts';
import { missingVersion } from './not-found.ts';
import type { PrefetchWish } from './prefetch-wishes.ts';

const DEFAULT_HOLD_SECONDS = 3600;
const MAX_HOLD_SECONDS = 7 * 24 * 3600;

export interface PrefetchVersionCommand {
  readonly model: string;
  readonly version: number;
  /** 0 means an hour. */
  readonly holdSeconds: number;
}

/**
 * Makes the servers that keep the model loaded fetch a version and hold it for a while.
 * @throws ServiceError not-found MODEL_NOT_FOUND or VERSION_NOT_FOUND; invalid-argument INVALID_REQUEST; failed-precondition
 *   PREFETCHES_FULL.
 */
export async function prefetchVersion(
  { catalog, clock, wishes, wishesFollower }: FollowingDeps,
  command: PrefetchVersionCommand,
  signal: AbortSignal,
): Promise<PrefetchWish> {
  const check = new RequestCheck();
  const model = check.modelName(command.model, 'model');
  const number = check.version(command.version, 'version');
  if (!(command.holdSeconds >= 0 && command.holdSeconds <= MAX_HOLD_SECONDS)) {
    check.violation('hold_seconds', `expected 0 to ${MAX_HOLD_SECONDS}, found ${command.holdSeconds}`);
  }
  if (model === undefined || number === undefined || check.isBad) {
    throw check.error();
  }
  const version = await catalog.getVersion(model, number, signal);
  if (version === undefined) {
    throw await missingVersion(catalog, model, number, signal);
  }
  const nowMs = clock.nowMs();
  const holdSeconds = command.holdSeconds === 0 ? DEFAULT_HOLD_SECONDS : command.holdSeconds;
  const wish = { model, version: number, manifest: version.manifest, expireTimeMs: nowMs + holdSeconds * 1000 };
  const inForce = await wishes.put(wish, nowMs, signal);
  wishesFollower.notify(await wishes.head(signal));
  return inForce;
}
