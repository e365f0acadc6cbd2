import type { Digest } from '../../../proto/wire/digest.ts';
import type { Operation, RequestIdentity } from '../../release/catalog.ts';
import { integerOf, type SqliteDatabase, textOf } from './sqlite-database.ts';

export function selectRequest(database: SqliteDatabase, operation: Operation, id: string): RequestIdentity | undefined {
  const row = database.row('SELECT * FROM requests WHERE operation = ? AND id = ?', operation, id);
  return row === undefined
    ? undefined
    : {
        operation,
        id,
        fingerprint: textOf(row, 'fingerprint') as Digest,
        subject: textOf(row, 'subject'),
        isEffective: integerOf(row, 'is_effective') === 1,
      };
}

export function isRecorded(database: SqliteDatabase, { operation, id }: RequestIdentity): boolean {
  return selectRequest(database, operation, id) !== undefined;
}

/** False when the id is recorded already. */
export function insertRequest(database: SqliteDatabase, request: RequestIdentity): boolean {
  const { operation, id, fingerprint, subject, isEffective } = request;
  const inserted = database.run(
    'INSERT INTO requests (operation, id, fingerprint, subject, is_effective) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    operation,
    id,
    fingerprint,
    subject,
    isEffective ? 1 : 0,
  );
  return inserted === 1;
}
