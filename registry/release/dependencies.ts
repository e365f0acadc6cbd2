import type { BlobStore } from './blob-store.ts';
import type { Catalog } from './catalog.ts';
import type { Clock } from './clock.ts';
import type { FeedFollower } from './feed-follower.ts';
import type { FeedTail } from './feed-tail.ts';
import type { PrefetchWishes } from './prefetch-wishes.ts';
import type { ServerReports } from './server-reports.ts';
import type { WishBoard } from './wish-board.ts';

/** What the use cases work with. */
export interface RegistryDeps {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly reports: ServerReports;
  readonly wishes: PrefetchWishes;
  readonly clock: Clock;
  /** A new opaque id that nobody can guess, `[A-Za-z0-9_-]{16,64}`. */
  readonly newId: () => string;
}

/** The dependencies of whatever moves aliases or watches them. */
export interface FollowingDeps extends RegistryDeps {
  readonly follower: FeedFollower;
  readonly feedTail: FeedTail;
  readonly wishBoard: WishBoard;
  readonly wishesFollower: FeedFollower;
}

/** The dependencies of whatever takes or reads what servers report. */
export interface ReportingDeps extends FollowingDeps {
  readonly reportsFollower: FeedFollower;
}
