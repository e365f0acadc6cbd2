import { isServiceError, ServiceError } from '../../../proto/wire/errors.ts';
import { FULL_RETRY_DELAY_MS } from './fs-errors.ts';

/** When another process held the database for longer than we wait, trying again soon is worth it. */
const BUSY_RETRY_MS = 200;

/** What a failure of SQLite means to the catalog's callers. A broken constraint or a wrong statement is our own mistake and stays as it is. */
export function translateSqliteError(error: unknown): unknown {
  if (isServiceError(error) || !(error instanceof Error)) {
    return error;
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code === 'SQLITE_FULL') {
    return new ServiceError('resource-exhausted', 'STORAGE_FULL', `the catalog's disk is full: ${error.message}`, {
      cause: error,
      retryDelayMs: FULL_RETRY_DELAY_MS,
    });
  }
  if (/^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code)) {
    return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `the catalog is busy: ${error.message}`, {
      cause: error,
      retryDelayMs: BUSY_RETRY_MS,
    });
  }
  // The package reports a file that cannot be opened by a message without a code.
  if (
    /^SQLITE_(IOERR|CANTOPEN|READONLY|NOMEM|CORRUPT|NOTADB|PERM|AUTH)/.test(code) ||
    error.message.startsWith('ConnectionFailed')
  ) {
    return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `the catalog cannot be used: ${error.message}`, {
      cause: error,
    });
  }
  return error;
}
