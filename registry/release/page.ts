import type { Portion } from './portion.ts';

/** One page of a listing. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** A message stays far below gRPC's default limit of 4 MiB: a page ends early once its items are this long as JSON. */
export const MAX_PAGE_BYTES = 1024 * 1024;

/** Items read at a time, so that a page of long ones is not read whole before it is cut. */
const BATCH = 50;

/**
 * How often a page goes on after a read that gave less than was asked for: some hundred models or versions are looked at for labels
 * that few of them carry, and then the caller decides whether to go on.
 */
export const MAX_SHORT_READS = 10;

export interface PageSource<T, P> {
  /** Of the page before; undefined for the first. */
  readonly start: P | undefined;
  /** The items after a position. */
  readonly read: (after: P | undefined, limit: number) => Promise<Portion<T, P>>;
  readonly positionOf: (item: T) => P;
  /** The token that continues after a position. */
  readonly tokenAfter: (position: P) => string;
}

/** Reads `pageSize` items or fewer, at most `MAX_PAGE_BYTES` of them beyond the first, in a bounded number of reads. */
export async function collectPage<T, P>(
  pageSize: number,
  { start, read, positionOf, tokenAfter }: PageSource<T, P>,
): Promise<Page<T>> {
  const items: T[] = [];
  let bytes = 0;
  let position = start;
  for (let shortReads = 0; ; ) {
    const limit = Math.min(BATCH, pageSize - items.length + 1);
    const portion = await read(position, limit);
    for (const item of portion.items) {
      const last = items.at(-1);
      bytes += Buffer.byteLength(JSON.stringify(item));
      if (last !== undefined && (items.length === pageSize || bytes > MAX_PAGE_BYTES)) {
        return { items, nextPageToken: tokenAfter(positionOf(last)) };
      }
      items.push(item);
    }
    if (portion.next === undefined) {
      return { items, nextPageToken: '' };
    }
    position = portion.next;
    const isShort = portion.items.length < limit;
    shortReads += isShort ? 1 : 0;
    // Whether anything comes after a full page is not worth a search.
    if (shortReads === MAX_SHORT_READS || (isShort && items.length === pageSize)) {
      return { items, nextPageToken: tokenAfter(position) };
    }
  }
}
