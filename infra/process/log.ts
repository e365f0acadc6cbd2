import { type Logger, pino } from 'pino';
import { isMisconfigured } from '../../proto/wire/errors.ts';
import type { CallReport } from '../../proto/wire/handlers.ts';
import { codeName, toServiceError } from '../../proto/wire/status.ts';
import { redact } from './redact.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on standard error, so that a command's standard output stays its own. */
export function createLogger(level: LogLevel, service: string): Logger {
  return pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      // Whatever a field holds, secrets never reach the log.
      formatters: { log: redact },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/**
 * Writes one line a call, at `level` where nothing is wrong with this server. What the caller did wrong is information; what this
 * server did wrong is an error, with its stack where it is INTERNAL and nothing else says what it was; a storage that fails is a
 * warning with the system's own words, for whoever runs the server to put right.
 */
export function createCallLog(logger: Logger, level: 'info' | 'debug' = 'info'): (call: CallReport) => void {
  const log = logger.child({ component: 'rpc' });
  return ({ method, requestId, peer, durationMs, fields, error, defect }) => {
    const line = { method, requestId, peer, ...fields, code: codeName(error), durationMs: Math.round(durationMs * 10) / 10 };
    if (error === undefined) {
      if (defect === undefined) {
        log[level](line, 'call');
      } else {
        log.error({ ...line, err: defect }, 'call');
      }
      return;
    }
    const known = toServiceError(error);
    const failure = { ...line, reason: known.reason, error: known.message, ...(defect === undefined ? {} : { err: defect }) };
    if (known.kind === 'internal') {
      log.error({ ...failure, err: error }, 'call failed');
    } else if (known.kind === 'data-loss' || defect !== undefined) {
      log.error({ ...failure, ...causeOf(known) }, 'call failed');
    } else if (known.reason === 'STORAGE_FULL' || known.reason === 'STORAGE_UNAVAILABLE' || isMisconfigured(known)) {
      log.warn({ ...failure, ...causeOf(known) }, 'call failed');
    } else {
      log[level](failure, 'call failed');
    }
  };
}

function causeOf({ cause }: Error): { readonly cause?: string } {
  return cause instanceof Error ? { cause: cause.message } : {};
}
