import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logGenerationEvent, logRolloutEvent } from '../../inference/event-log.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { makeVersion } from '../support/made-version.ts';
import { memoryLog } from '../support/memory-log.ts';

const { id } = makeVersion('M', 1);
const gone = new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'x');
const broken = new ServiceError('failed-precondition', 'LOAD_FAILED', 'x');
const DEBUG = 20;
const INFO = 30;
const ERROR = 50;

test('a version that fails as before is no news; one that fails in another way, or after it served, is', () => {
  const { logger, lines } = memoryLog();
  const log = logRolloutEvent(logger);
  log({ kind: 'failed', id, error: gone });
  log({ kind: 'failed', id, error: gone });
  log({ kind: 'failed', id, error: broken });
  log({ kind: 'failed', id, error: broken });
  log({ kind: 'swapped', loaded: [id], durationMs: 1 });
  log({ kind: 'failed', id, error: broken });
  assert.deepEqual(
    lines.map(({ level }) => level),
    [ERROR, DEBUG, ERROR, DEBUG, INFO, ERROR],
  );
});

test('an engine that ends is told of each time, that it backs off and cannot be started once', () => {
  const { logger, lines } = memoryLog();
  const log = logGenerationEvent(logger);
  log({ kind: 'engine-ended', generation: 1, pid: 7, how: 'signal SIGKILL' });
  for (const failures of [1, 2]) {
    log({ kind: 'engine-restart-failed', generation: 1, error: gone, failures });
    log({ kind: 'engine-backs-off', generation: 1, crashes: failures + 1, upToMs: 250 });
  }
  log({ kind: 'engine-restarted', generation: 1, pid: 8 });
  assert.deepEqual(
    lines.map(({ level }) => level),
    [ERROR, ERROR, ERROR, DEBUG, DEBUG, INFO],
  );
  assert.deepEqual([lines[0]?.['pid'], lines[0]?.['how']], [7, 'signal SIGKILL']);
});
