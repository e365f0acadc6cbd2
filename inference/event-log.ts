import type { Logger } from '../infra/process/log.ts';
import type { CacheEvent } from './cache/events.ts';
import type { GenerationEvent, LoadPriorityRefused } from './engine/generation-event.ts';
import type { RolloutEvent } from './rollout/events.ts';
import type { ReportEvent } from './rollout/reporter.ts';
import type { ServableId } from './rollout/servable.ts';

/**
 * The cores tell what happens as events; here they become log lines, one each. What is tried again and fails as before is no news:
 * its line is one for who looks at details.
 */
export function logRolloutEvent(logger: Logger): (event: RolloutEvent) => void {
  const log = logger.child({ component: 'rollout' });
  /** Why each version that fails does, as told last. */
  const told = new Map<ServableId, string>();
  return (event) => {
    switch (event.kind) {
      case 'connection':
        if (event.connection.isConnected) {
          log.info('registry connected');
        } else {
          log.warn({ error: event.connection.error?.message }, 'registry cannot be reached: serving from the cache');
        }
        break;
      case 'fetched':
        log.info({ version: event.id }, 'version is in the cache');
        break;
      case 'swapped':
        log.info({ loaded: event.loaded, durationMs: Math.round(event.durationMs) }, 'new generation serves');
        event.loaded.forEach((id) => told.delete(id));
        break;
      case 'failed':
        log[told.get(event.id) === event.error.reason ? 'debug' : 'error'](
          { version: event.id, reason: event.error.reason, error: event.error.message },
          'version cannot be served',
        );
        told.set(event.id, event.error.reason);
        break;
      case 'load-failed':
      case 'defect':
        log.error({ err: event.error }, event.kind);
        break;
    }
  };
}

/** The first crash costs no pause. */
const FIRST_BACKOFF = 2;

export function logReportEvent(logger: Logger): (event: ReportEvent) => void {
  const log = logger.child({ component: 'reporter' });
  return (event) => {
    switch (event.kind) {
      case 'report-taken':
        log.info('the registry takes reports of what is served');
        break;
      case 'report-refused':
        log.warn({ reason: event.error.reason, error: event.error.message }, 'the registry takes no reports of what is served');
        break;
    }
  };
}

export function logGenerationEvent(logger: Logger): (event: GenerationEvent | LoadPriorityRefused) => void {
  const log = logger.child({ component: 'engine' });
  return (event) => {
    switch (event.kind) {
      case 'engine-ended':
        log.error({ generation: event.generation, pid: event.pid, how: event.how }, 'an engine ended unasked');
        break;
      case 'engine-restarted':
        log.info({ generation: event.generation, pid: event.pid }, 'engine is back');
        break;
      case 'engine-backs-off': {
        const { generation, crashes, upToMs } = event;
        log[crashes === FIRST_BACKOFF ? 'error' : 'debug'](
          { generation, crashes, upToMs },
          'an engine ends again and again: its next start waits',
        );
        break;
      }
      case 'load-priority-refused':
        log.warn({ err: event.error }, 'engines load at full priority: this process may not raise one that it lowered');
        break;
      case 'engine-restart-failed':
        log[event.failures === 1 ? 'error' : 'debug'](
          { generation: event.generation, err: event.error },
          'an engine could not be started again',
        );
        break;
    }
  };
}

export function logCacheEvent(logger: Logger): (event: CacheEvent) => void {
  const log = logger.child({ component: 'cache' });
  return ({ kind, ...fields }) => {
    const line = 'error' in fields ? { ...fields, error: undefined, err: fields.error } : fields;
    switch (kind) {
      case 'blob-quarantined':
      case 'source-lied':
        log.error(line, kind);
        break;
      case 'source-failed':
      case 'clean-up-failed':
      case 'state-unreadable':
      case 'unexpected-file':
      case 'over-budget':
        log.warn(line, kind);
        break;
      case 'download-resumed':
      case 'blob-fetched':
      case 'publication-lost':
      case 'blob-evicted':
      case 'leftover-removed':
        log.info(line, kind);
        break;
    }
  };
}
