import { ServiceError } from '../../proto/wire/errors.ts';
import type { ServableSpec } from '../rollout/servable.ts';

/** Why the supervisor ended an engine itself, where it did not just close. */
export type KillReason = 'late' | 'hung' | 'deaf' | 'given up' | 'too large' | 'renewed';

const KILL_REASONS: Readonly<Record<KillReason, string>> = {
  late: 'it had not loaded in time',
  hung: 'a run took longer than any may',
  deaf: 'it did not stop when it was told to',
  'given up': 'nobody waited any more for what it did',
  'too large': 'it held more memory than it may',
  renewed: 'it kept memory that another model needs',
};

/** What ended a process, for log and messages. */
export function describeEnd(code: number | null, signal: NodeJS.Signals | null, reason: KillReason | undefined): string {
  const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
  return reason === undefined ? how : `${how}: ${KILL_REASONS[reason]}`;
}

/** What an engine that ended before it was ready is to its generation: its own crash, or what its models did to it. */
export function endedWhileLoading(servables: readonly ServableSpec[], reason: KillReason | undefined, how: string): ServiceError {
  const labels = servables.map(({ label }) => label).join(', ') || 'nothing';
  const message = `an engine ended while it loaded ${labels}: ${how}`;
  return reason === undefined
    ? new ServiceError('unavailable', 'ENGINE_CRASHED', message)
    : new ServiceError('failed-precondition', 'LOAD_FAILED', message);
}

/**
 * What an engine that ended in the middle of a run is to the caller. Beyond a limit without a retry delay: the image may well be
 * what caused it, and the caller's own growing delays come between its few tries.
 */
export function endedWhileRunning(
  pid: number,
  reason: KillReason | undefined,
  how: string,
  { runLimitMs, memoryLimitBytes }: { readonly runLimitMs: number; readonly memoryLimitBytes: number },
): ServiceError {
  switch (reason) {
    case 'hung':
      return new ServiceError(
        'unavailable',
        'ENGINE_HUNG',
        `the engine (pid ${pid}) took longer than ${runLimitMs} ms for this image, the limit, and was ended`,
      );
    case 'too large':
      return new ServiceError(
        'unavailable',
        'ENGINE_OUT_OF_MEMORY',
        `the engine (pid ${pid}) took more than ${memoryLimitBytes} bytes of memory for this image, the limit, and was ended`,
      );
    default:
      return new ServiceError(
        'unavailable',
        'ENGINE_CRASHED',
        `the engine (pid ${pid}) ended while it worked on this image: ${how}`,
        {
          retryDelayMs: 0,
        },
      );
  }
}
