import assert from 'node:assert/strict';

/** What a listing gives, page by page. */
export async function allPages<T, R>(
  read: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly nextPageToken: string }>,
  toAnswer: (item: T) => R,
  pageSize: number,
): Promise<R[]> {
  const answers: R[] = [];
  let pageToken = '';
  do {
    const { items, nextPageToken } = await read(pageToken);
    assert.ok(items.length <= pageSize, `${items.length} items on a page of ${pageSize}`);
    answers.push(...items.map(toAnswer));
    pageToken = nextPageToken;
  } while (pageToken !== '');
  return answers;
}
