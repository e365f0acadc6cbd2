import { ServiceError } from '../../proto/wire/errors.ts';
import { describeSystemError } from '../system-error.ts';

export function unreadable(path: string, error: unknown): ServiceError {
  return new ServiceError('invalid-argument', 'UNREADABLE_FILE', `cannot read ${path}: ${describeSystemError(error)}`, {
    cause: error,
  });
}

export function unwritable(path: string, error: unknown): ServiceError {
  return new ServiceError('failed-precondition', 'UNWRITABLE_FILE', `cannot write ${path}: ${describeSystemError(error)}`, {
    cause: error,
  });
}

/** The system's code, such as ENOENT; the text of any other error. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
}
