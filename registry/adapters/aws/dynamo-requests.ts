import type { Digest } from '../../../proto/wire/digest.ts';
import type { Operation, RequestIdentity } from '../../release/catalog.ts';
import { textOf } from './attributes.ts';
import type { DynamoTable, Write } from './dynamo-table.ts';
import { keys } from './table-layout.ts';

export async function readRequest(
  table: DynamoTable,
  operation: Operation,
  id: string,
  signal: AbortSignal,
): Promise<RequestIdentity | undefined> {
  const row = await table.get(keys.request(operation, id), signal);
  return row === undefined
    ? undefined
    : {
        operation,
        id,
        fingerprint: textOf(row, 'fingerprint') as Digest,
        subject: textOf(row, 'subject'),
        isEffective: row['isEffective'] === true,
      };
}

/** The write that records a request, unless it is recorded already; none without a request. */
export function requestWrites(request: RequestIdentity | undefined): Write[] {
  if (request === undefined) {
    return [];
  }
  const { operation, id, fingerprint, subject, isEffective } = request;
  return [{ kind: 'put', key: keys.request(operation, id), item: { fingerprint, subject, isEffective }, condition: 'absent' }];
}

/** False when the id is recorded already. */
export async function writeRequest(table: DynamoTable, request: RequestIdentity, signal: AbortSignal): Promise<boolean> {
  return (await table.transact(requestWrites(request), signal)).size === 0;
}
