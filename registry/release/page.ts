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
 * Reads `pageSize` items or fewer, at most `MAX_PAGE_BYTES` of them beyond the first. `read` gives the items after a position;
 * `tokenAfter` makes the token that continues after an item.
 */
export async function collectPage<T>(
  pageSize: number,
  read: (last: T | undefined, limit: number) => Promise<readonly T[]>,
  tokenAfter: (item: T) => string,
): Promise<Page<T>> {
  const items: T[] = [];
  let bytes = 0;
  for (;;) {
    const limit = Math.min(BATCH, pageSize - items.length + 1);
    const batch = await read(items.at(-1), limit);
    for (const item of batch) {
      const last = items.at(-1);
      bytes += Buffer.byteLength(JSON.stringify(item));
      if (last !== undefined && (items.length === pageSize || bytes > MAX_PAGE_BYTES)) {
        return { items, nextPageToken: tokenAfter(last) };
      }
      items.push(item);
    }
    if (batch.length < limit) {
      return { items, nextPageToken: '' };
    }
  }
}
