import { ServiceError } from '../../proto/wire/errors.ts';

/** A position in the feed of one store: after the change with this sequence number. */
export interface FeedPosition {
  readonly storeId: string;
  readonly sequence: number;
}

/** Opaque to clients; the store's identity in it keeps a position from being taken for one in another store's feed. */
export function encodeCursor({ storeId, sequence }: FeedPosition): string {
  return Buffer.from(`1.${sequence}.${storeId}`).toString('base64url');
}

/**
 * The position in `cursor`; undefined for the empty cursor, which means from the start.
 * @throws ServiceError invalid-argument INVALID_CURSOR for text that no registry gave.
 */
export function decodeCursor(cursor: string): FeedPosition | undefined {
  if (cursor === '') {
    return undefined;
  }
  const match = /^1\.(0|[1-9]\d{0,14})\.([\w-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  const [, sequence, storeId] = match ?? [];
  if (sequence === undefined || storeId === undefined) {
    const description = 'not a cursor of this method';
    throw new ServiceError('invalid-argument', 'INVALID_CURSOR', `cursor: ${description}`, {
      violations: [{ field: 'cursor', description }],
    });
  }
  return { storeId, sequence: Number(sequence) };
}
