import { ServiceError } from '../../../proto/wire/errors.ts';
import { integerOf, type SqliteDatabase, textOf } from './sqlite-database.ts';

/** Read in a second or two. A catalog takes about a kilobyte a version, so nearly all are smaller. */
const MAX_CHECKED_BYTES = 256 * 1024 * 1024;

/**
 * Looks through every page of a database that is not too large for that. A page that a failing disk or a torn copy left wrong would
 * else be noticed by the first call that needs it, days later, and what was written until then would be lost with a copy put back.
 * @throws ServiceError unavailable STORAGE_UNAVAILABLE with the first damage found.
 */
export function refuseDamage(database: SqliteDatabase, maxBytes = MAX_CHECKED_BYTES): void {
  const pages = integerOf(database.row('PRAGMA page_count') ?? {}, 'page_count');
  const pageBytes = integerOf(database.row('PRAGMA page_size') ?? {}, 'page_size');
  if (pages * pageBytes > maxBytes) {
    return;
  }
  const found = textOf(database.row('PRAGMA quick_check(1)') ?? {}, 'quick_check');
  if (found !== 'ok') {
    const damage = found.replaceAll(/\s+/g, ' ').replace('*** in database main *** ', '');
    throw new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `the catalog is damaged, put a copy back: ${damage}`);
  }
}
