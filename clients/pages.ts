import { ServiceError } from '../proto/wire/errors.ts';

export interface Page<T> {
  readonly items: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** The items of all pages; the next page is fetched when the loop gets there. */
export async function* pages<T>(fetchPage: (pageToken: string) => Promise<Page<T>>): AsyncGenerator<T> {
  let pageToken = '';
  do {
    const page = await fetchPage(pageToken);
    yield* page.items;
    if (page.nextPageToken !== '' && page.nextPageToken === pageToken) {
      throw new ServiceError('internal', 'INTERNAL', `the server gave page token "${pageToken}" twice`);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
}
