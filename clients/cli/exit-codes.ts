import { CommanderError } from 'commander';
import { ConfigError } from '../../infra/process/env.ts';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';

/** What scripts can rely on. Documented in the help text; numbers are never reused. */
export const EXIT = {
  ok: 0,
  /** The operation failed, or some images did. */
  failed: 1,
  /** The command line or the settings are wrong; nothing was done. */
  usage: 2,
  /** The server cannot be reached or is not ready: the same command may succeed later. */
  unavailable: 3,
  /** Someone else moved the alias first: read again, then decide. */
  conflict: 4,
  /** Stopped by SIGINT, as shells count it. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const USAGE_REASON = 'USAGE';

/** The command line is well-formed but does not make sense. */
export function usageError(message: string): ServiceError {
  return new ServiceError('invalid-argument', USAGE_REASON, message);
}

/** The exit code that an error means. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof ConfigError) {
    return EXIT.usage;
  }
  if (!isServiceError(error)) {
    return EXIT.failed;
  }
  if (error.reason === USAGE_REASON) {
    return EXIT.usage;
  }
  switch (error.kind) {
    case 'unavailable':
    case 'resource-exhausted':
      return EXIT.unavailable;
    case 'aborted':
      return EXIT.conflict;
    case 'cancelled':
      return EXIT.interrupted;
    default:
      return EXIT.failed;
  }
}
