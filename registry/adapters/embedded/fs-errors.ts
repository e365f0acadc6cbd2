import { isServiceError, ServiceError } from '../../../proto/wire/errors.ts';

/** Somebody has to make room, or a collection of garbage does. */
export const FULL_RETRY_DELAY_MS = 5_000;

/** What a failure of the file system means to the blob store's callers. Whether ENOENT means "absent" is for the caller to know. */
export function translateFsError(error: unknown): unknown {
  if (isServiceError(error) || !(error instanceof Error)) {
    return error;
  }
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new ServiceError('resource-exhausted', 'STORAGE_FULL', `the blob store's disk is full: ${error.message}`, {
        cause: error,
        retryDelayMs: FULL_RETRY_DELAY_MS,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EIO':
    case 'EROFS':
    case 'EMFILE':
    case 'ENFILE':
    case 'EBUSY':
    case 'EISDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'ENOTDIR':
    case 'ENOENT':
      return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `the blob store cannot be used: ${error.message}`, {
        cause: error,
      });
    default:
      return error;
  }
}

export function isAbsent(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/** Runs `action` with its failures translated. */
export async function translated<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw translateFsError(error);
  }
}

/** The system's code of an error, such as ENOENT; empty where it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
