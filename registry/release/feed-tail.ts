import type { ChangeFeed, FeedEntry } from './catalog.ts';
import { SharedReads } from './shared-reads.ts';

/** Changes read at a time; a watcher holds no more than these, however slowly it reads. */
const BATCH = 100;
/** The newest changes that are kept in memory: some 300 KB. */
const KEPT = 500;

/**
 * The feed for all watchers of one process: each change is read from the store once, however many watch, and the newest ones are
 * kept. A watcher that is further behind reads for itself.
 */
export class FeedTail {
  readonly #reads: SharedReads<number, readonly FeedEntry[] | undefined>;
  readonly #snapshots: SharedReads<'all', Awaited<ReturnType<ChangeFeed['snapshot']>>>;
  /** Without a gap. */
  #tail: readonly FeedEntry[] = [];

  constructor(feed: Pick<ChangeFeed, 'readFeed' | 'snapshot'>) {
    this.#snapshots = new SharedReads((_, signal) => feed.snapshot(signal));
    this.#reads = new SharedReads((sequence, signal) => feed.readFeed(sequence, BATCH, signal));
  }

  /** As `ChangeFeed.snapshot` does, but it may have been begun a moment ago for another; what came since is in the feed after it. */
  snapshot(signal: AbortSignal): Promise<Awaited<ReturnType<ChangeFeed['snapshot']>>> {
    return this.#snapshots.get('all', signal);
  }

  /** As `ChangeFeed.readFeed` does, in batches of its own size. */
  async read(sequence: number, signal: AbortSignal): Promise<readonly FeedEntry[] | undefined> {
    const first = this.#tail[0]?.sequence ?? Number.POSITIVE_INFINITY;
    const at = sequence + 1 - first;
    const known = at < 0 ? [] : this.#tail.slice(at, at + BATCH);
    if (known.length > 0) {
      return known;
    }
    const entries = await this.#reads.get(sequence, signal);
    this.#keep(entries ?? []);
    return entries;
  }

  /** A change of this process, which became visible: its watchers need not read it. */
  add(entry: FeedEntry): void {
    this.#keep([entry]);
  }

  #keep(entries: readonly FeedEntry[]): void {
    const last = this.#tail.at(-1)?.sequence ?? 0;
    const news = entries.filter(({ sequence }) => sequence > last);
    const isNext = news[0]?.sequence === last + 1;
    if (news.length > 0) {
      this.#tail = (isNext ? [...this.#tail, ...news] : news).slice(-KEPT);
    }
  }
}
