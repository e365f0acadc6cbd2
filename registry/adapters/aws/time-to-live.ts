import type { Attributes } from './attributes.ts';
import { TABLE_DEFINITION } from './table-definition.ts';

/**
 * The attribute by which DynamoDB removes an item, within days after that second and for nothing; never when that second is
 * more than five years ago. A table without the setting keeps such items; who reads them looks at their own end all the same.
 */
export function expiresAt(timeMs: number): Attributes {
  return { [TABLE_DEFINITION.timeToLive]: Math.ceil(timeMs / 1000) };
}
