import { digestOf, hexOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';

/** What a token belongs to: the method and the parts of its request that choose and order the items. */
export type Query = readonly unknown[];

/** As many digits as a number of the feed has. */
const NUMBER = /^[1-9]\d{0,14}$/;

/** The token that continues `query` after the item at `position`. It names an item, not an offset, so pages neither skip nor repeat when items are added. */
export function encodePageToken(query: Query, position: string): string {
  return Buffer.from(JSON.stringify([queryKey(query), position])).toString('base64url');
}

/**
 * The position in `token`; undefined for the empty token, which means the first page.
 * @throws ServiceError invalid-argument INVALID_PAGE_TOKEN for anything but a token that this query gave.
 */
export function decodePageToken(query: Query, token: string): string | undefined {
  if (token === '') {
    return undefined;
  }
  const [key, position] = parse(token);
  if (key !== queryKey(query) || typeof position !== 'string') {
    throw invalidPageToken();
  }
  return position;
}

/** The same for items that are ordered by a number from 1 on. */
export function decodePageNumber(query: Query, token: string): number | undefined {
  const position = decodePageToken(query, token);
  if (position !== undefined && !NUMBER.test(position)) {
    throw invalidPageToken();
  }
  return position === undefined ? undefined : Number(position);
}

/** For a position that no token of ours names, whoever finds that out. */
export function invalidPageToken(): ServiceError {
  const description = 'not a token that this method gave for the same request';
  return new ServiceError('invalid-argument', 'INVALID_PAGE_TOKEN', `page_token: ${description}`, {
    violations: [{ field: 'page_token', description }],
  });
}

function parse(token: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    // Not JSON: as little a token of ours as any other text.
    return [];
  }
}

function queryKey(query: Query): string {
  return hexOf(digestOf(Buffer.from(JSON.stringify(query)))).slice(0, 16);
}
