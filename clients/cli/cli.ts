import type { Environment } from '../../infra/process/env.ts';
import type { RetryDeps } from '../retry.ts';
import type { ExitCode } from './exit-codes.ts';
import type { TextOutput } from './text-output.ts';

/** What a command works with besides its arguments. */
export interface Cli {
  /** Results only. */
  readonly out: TextOutput;
  /** Progress, warnings, errors. */
  readonly err: TextOutput;
  readonly env: Environment;
  /** Aborted by SIGINT and SIGTERM; called by commands that stop their work on it. */
  interrupts(): AbortSignal;
  /** For commands that finish with a code of their own instead of an error. */
  setExitCode(code: ExitCode): void;
  readonly now: () => number;
  readonly retryDeps?: RetryDeps | undefined;
}
