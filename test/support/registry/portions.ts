import assert from 'node:assert/strict';
import type { Portion } from '../../../registry/release/portion.ts';

/** The first `limit` items after a position, in as many reads as it takes. */
export async function readUpTo<T, P>(
  limit: number,
  after: P | undefined,
  read: (after: P | undefined, limit: number) => Promise<Portion<T, P>>,
): Promise<T[]> {
  const found: T[] = [];
  let position = after;
  do {
    const { items, next } = await read(position, limit - found.length);
    assert.ok(items.length <= limit - found.length);
    assert.notEqual(next ?? '', position, 'goes on where it was');
    found.push(...items);
    position = next;
  } while (position !== undefined && found.length < limit);
  return found;
}
