import { messagesOf } from '../../proto/wire/chunks.ts';
import { Hasher } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { RequestCheck, type UncheckedBlobRef } from '../model/request-check.ts';
import { checkStored } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';
import { readNeeded } from './set-aside.ts';

export interface ReadBlobQuery {
  readonly blob: UncheckedBlobRef | undefined;
  readonly offsetBytes: number;
  /** Unset: to the end. */
  readonly lengthBytes: number | undefined;
  /** Unset or empty: as it is stored now. */
  readonly objectVersion?: string | undefined;
}

/** S3's are shorter. */
const MAX_OBJECT_VERSION_LENGTH = 1024;

/**
 * Streams a range of a blob that a finalized version refers to, in pieces of at most `MESSAGE_BYTES`. A range is verified by
 * whoever knows its chunks; a blob read whole is verified here too, and the stream then ends with the error.
 * @throws ServiceError not-found BLOB_NOT_FOUND; invalid-argument INVALID_REQUEST; data-loss DIGEST_MISMATCH or SIZE_MISMATCH.
 */
export async function* readBlob(deps: RegistryDeps, query: ReadBlobQuery, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const check = new RequestCheck();
  const ref = check.blob(query.blob, 'blob');
  const offsetBytes = check.bytes(query.offsetBytes, 'offset_bytes');
  const lengthBytes = query.lengthBytes === undefined ? undefined : check.bytes(query.lengthBytes, 'length_bytes');
  const objectVersion = check.text(query.objectVersion ?? '', 'object_version', MAX_OBJECT_VERSION_LENGTH);
  if (ref === undefined || offsetBytes === undefined || check.isBad) {
    throw check.error();
  }
  if (offsetBytes > ref.sizeBytes || offsetBytes + (lengthBytes ?? 0) > ref.sizeBytes) {
    check.violation(
      lengthBytes === undefined ? 'offset_bytes' : 'length_bytes',
      `the range ${offsetBytes} + ${lengthBytes ?? 0} ends beyond the blob's ${ref.sizeBytes} bytes`,
    );
    throw check.error();
  }
  if (!(await deps.catalog.isReferenced(ref, signal))) {
    throw new ServiceError(
      'not-found',
      'BLOB_NOT_FOUND',
      `no finalized version has a blob ${ref.digest} of ${ref.sizeBytes} bytes`,
    );
  }
  const range = { offsetBytes, lengthBytes: lengthBytes ?? ref.sizeBytes - offsetBytes };
  const hasher = range.lengthBytes === ref.sizeBytes ? new Hasher() : undefined;
  const pieces =
    objectVersion === ''
      ? readNeeded(deps.blobs, ref, range, signal)
      : // Out of sight or not: a named version is there or gone.
        deps.blobs.read({ ...ref, objectVersion }, range, signal);
  for await (const bytes of pieces) {
    hasher?.update(bytes);
    yield* messagesOf(bytes);
  }
  if (hasher !== undefined) {
    checkStored(ref, hasher.finish());
  }
}
