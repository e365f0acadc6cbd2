import type { AliasState } from '../model/alias.ts';
import { decodeCursor, encodeCursor } from '../model/cursor.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { FollowingDeps } from './dependencies.ts';
import { checkHeartbeat } from './heartbeat.ts';
import type { PrefetchWish } from './prefetch-wishes.ts';
import { waitEither } from './wait-either.ts';

/** Aliases in one part of a snapshot: some 150 KB, far below a message's limit. */
const SNAPSHOT_PART = 500;

export interface WatchAliasesQuery {
  /** The cursor of the last event received, to go on after it; empty for the start. */
  readonly cursor: string;
  /** Between heartbeats when nothing happens; 0 means 10. */
  readonly heartbeatSeconds: number;
}

export type WatchEvent =
  | {
      readonly kind: 'snapshot';
      /** Empty in a part that others follow: an incomplete snapshot is no position to go on from. */
      readonly cursor: string;
      readonly aliases: readonly AliasState[];
      readonly isComplete: boolean;
    }
  | { readonly kind: 'change'; readonly cursor: string; readonly alias: AliasState }
  | { readonly kind: 'prefetch'; readonly cursor: string; readonly wish: PrefetchWish; readonly holdMs: number }
  | { readonly kind: 'heartbeat'; readonly cursor: string };

/**
 * A snapshot of all aliases, unless the cursor says what is known already, then every change once and in order; and the wishes
 * to prefetch, all that are in force at first, then each new one. Each watcher reads the feed at its own pace, so one that is slow
 * costs no memory; and none asks the store while there is nothing new. Ends by an error only.
 * @throws ServiceError invalid-argument INVALID_REQUEST or INVALID_CURSOR; whatever aborted `signal`.
 */
export async function* watchAliases(
  deps: FollowingDeps,
  query: WatchAliasesQuery,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const check = new RequestCheck();
  const heartbeatMs = checkHeartbeat(check, query.heartbeatSeconds);
  check.throwIfBad();
  const { catalog, clock, follower, feedTail, wishBoard, wishesFollower } = deps;
  const { storeId } = catalog;
  const resumed = decodeCursor(query.cursor);
  let position = resumed?.storeId === storeId ? resumed.sequence : undefined;
  /** A caller's cursor may lie beyond the feed's end; only the store knows. */
  let isOnFeed = false;
  let wishHead = -1;
  let told = new Set<string>();
  for (;;) {
    const isUpToDate = isOnFeed && position !== undefined && (await follower.current(signal)) <= position;
    const entries = position === undefined ? undefined : isUpToDate ? [] : await feedTail.read(position, signal);
    isOnFeed = true;
    if (position === undefined || entries === undefined) {
      const snapshot = await feedTail.snapshot(signal);
      yield* snapshotParts(snapshot.aliases, encodeCursor({ storeId, sequence: snapshot.sequence }));
      position = snapshot.sequence;
      continue;
    }
    const head = await wishesFollower.current(signal);
    if (head !== wishHead) {
      wishHead = head;
      const inForce = await wishBoard.list(head, signal);
      const nowMs = clock.nowMs();
      for (const wish of inForce.filter((known) => !told.has(keyOf(known)))) {
        const cursor = encodeCursor({ storeId, sequence: position });
        yield { kind: 'prefetch', cursor, wish, holdMs: wish.expireTimeMs - nowMs };
      }
      told = new Set(inForce.map(keyOf));
    }
    for (const { sequence, event } of entries) {
      position = sequence;
      yield { kind: 'change', cursor: encodeCursor({ storeId, sequence }), alias: event.state };
    }
    if (entries.length > 0) {
      continue;
    }
    const after = position;
    const isNews = await waitEither(
      [(over) => follower.waitBeyond(after, heartbeatMs, over), (over) => wishesFollower.waitBeyond(head, heartbeatMs, over)],
      signal,
    );
    if (!isNews) {
      yield { kind: 'heartbeat', cursor: encodeCursor({ storeId, sequence: position }) };
    }
  }
}

/** A wish that ends later is told again. */
function keyOf({ model, version, manifest, expireTimeMs }: PrefetchWish): string {
  return `${model}:${version}@${manifest.digest} ${expireTimeMs}`;
}

function* snapshotParts(aliases: readonly AliasState[], cursor: string): Generator<WatchEvent> {
  let at = 0;
  do {
    const part = aliases.slice(at, at + SNAPSHOT_PART);
    at += SNAPSHOT_PART;
    const isComplete = at >= aliases.length;
    yield { kind: 'snapshot', cursor: isComplete ? cursor : '', aliases: part, isComplete };
  } while (at < aliases.length);
}
