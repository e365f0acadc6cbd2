import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { createCallLog } from '../../../infra/process/log.ts';
import { redact } from '../../../infra/process/redact.ts';
import { type ErrorKind, ServiceError } from '../../../proto/wire/errors.ts';
import { memoryLog } from '../../support/memory-log.ts';

const LOG_MODULE = new URL('../../../infra/process/log.js', import.meta.url).href;

describe('redact', () => {
  for (const key of [
    'authorization',
    'Authorization',
    'proxy-authorization',
    'token',
    'accessToken',
    'AWS_SECRET',
    'password',
    'dbPassword',
    'cookie',
    'api_key',
    'apiKey',
    'secretAccessKey',
    'privateKey',
  ]) {
    it(`censors ${key} at any depth`, () => {
      const text = JSON.stringify(redact({ [key]: 'hunter2', a: { [key]: 'hunter2', b: [{ c: { [key]: ['hunter2'] } }] } }));
      assert.equal(text.includes('hunter2'), false);
    });
  }

  it('leaves the rest as it is, and the line itself untouched', () => {
    const error = new Error('x');
    const line = { method: 'M', pageToken: 'p', tokens: 3, nested: { durationMs: 1.5, list: [1, null] }, err: error, token: 's' };
    assert.deepEqual(redact(line), { ...line, token: '[redacted]' });
    assert.equal(redact(line)['err'], error);
    assert.equal(line.token, 's');
  });

  it('cuts texts that a caller may have made long', () => {
    const line = redact({ model: 'M'.repeat(1e6), list: ['x'.repeat(1e6)], short: 'y'.repeat(2000) });
    assert.ok(JSON.stringify(line).length < 7000);
    assert.match(String(line['model']), /^M{2000}\.\.\. \(1000000 characters\)$/);
    assert.equal(line['short'], 'y'.repeat(2000));
  });

  it('leaves out what is deeper than any field, a cycle with it', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    assert.equal(JSON.stringify(redact(cycle)).includes('[redacted]'), true);
  });
});

describe('logger', () => {
  it('writes JSON lines to standard error, without secrets', () => {
    const script = `const { createLogger } = await import(${JSON.stringify(LOG_MODULE)});
      const logger = createLogger('info', 'registry');
      logger.child({ component: 'rpc' }).info({ model: 'M', metadata: { Authorization: 'hunter2' } }, 'call');
      logger.debug('not at this level');`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [0, '']);
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => Object(JSON.parse(line)) as Record<string, unknown>);
    assert.equal(lines.length, 1);
    const { time, ...line } = lines[0] ?? {};
    assert.deepEqual(line, {
      level: 30,
      service: 'registry',
      component: 'rpc',
      model: 'M',
      metadata: { Authorization: '[redacted]' },
      msg: 'call',
    });
    assert.equal(new Date(String(time)).toISOString(), time);
  });
});

describe('call log', () => {
  it('writes one line a call with its fields', () => {
    const { logger, lines } = memoryLog();
    createCallLog(logger)({ ...CALL, fields: { model: 'M', version: 2 }, error: undefined });
    assert.deepEqual(lines, [
      {
        level: 30,
        component: 'rpc',
        method: '/a.B/C',
        requestId: 'r',
        peer: 'p',
        model: 'M',
        version: 2,
        code: 'OK',
        durationMs: 1.3,
        msg: 'call',
      },
    ]);
  });

  const levels: Readonly<Record<ErrorKind, number>> = {
    'invalid-argument': 30,
    'not-found': 30,
    'already-exists': 30,
    'failed-precondition': 30,
    aborted: 30,
    'resource-exhausted': 30,
    unavailable: 30,
    'deadline-exceeded': 30,
    cancelled: 30,
    'data-loss': 50,
    internal: 50,
  };
  for (const [kind, level] of Object.entries(levels)) {
    it(`${kind} is ${level === 50 ? 'an error' : 'information'}${kind === 'internal' ? ' with its stack' : ''}`, () => {
      const { logger, lines } = memoryLog();
      createCallLog(logger)({ ...CALL, fields: {}, error: new ServiceError(kind as ErrorKind, 'MODEL_NOT_FOUND', 'text') });
      const [line] = lines;
      assert.deepEqual([lines.length, line?.['level'], line?.['reason'], line?.['error']], [1, level, 'MODEL_NOT_FOUND', 'text']);
      assert.equal('err' in (line ?? {}), kind === 'internal');
    });
  }

  for (const reason of ['STORAGE_FULL', 'STORAGE_UNAVAILABLE'] as const) {
    it(`${reason} is a warning with the text of its cause`, () => {
      const { logger, lines } = memoryLog();
      const error = new ServiceError('unavailable', reason, 'text', { cause: new Error('EIO: i/o error, write') });
      createCallLog(logger)({ ...CALL, fields: {}, error });
      const [line] = lines;
      assert.deepEqual(
        [lines.length, line?.['level'], line?.['error'], line?.['cause']],
        [1, 40, 'text', 'EIO: i/o error, write'],
      );
    });
  }

  it('a store that its operator has to put right is a warning with the text of its cause', () => {
    const { logger, lines } = memoryLog();
    const cause = new Error('not authorized to perform: dynamodb:PutItem');
    const error = new ServiceError('failed-precondition', 'TABLE_ACCESS_DENIED', 'text', { cause });
    createCallLog(logger)({ ...CALL, fields: {}, error });
    assert.deepEqual([lines[0]?.['level'], lines[0]?.['cause']], [40, cause.message]);
  });

  it('a defect within a call that goes on makes its line an error with the stack', () => {
    const { logger, lines } = memoryLog();
    const report = createCallLog(logger);
    report({ ...CALL, fields: {}, error: undefined, defect: new TypeError('x is not a function') });
    const cancelled = new ServiceError('cancelled', 'CANCELLED', 'text');
    report({ ...CALL, fields: {}, error: cancelled, defect: new TypeError('x is not a function') });
    assert.deepEqual(
      lines.map(({ level, code, err }) => [level, code, Object(err).message]),
      [
        [50, 'OK', 'x is not a function'],
        [50, 'CANCELLED', 'x is not a function'],
      ],
    );
  });

  it('calls that are no news are told at the level of details', () => {
    const { logger, lines } = memoryLog();
    const report = createCallLog(logger, 'debug');
    report({ ...CALL, fields: {}, error: undefined });
    report({ ...CALL, fields: {}, error: new ServiceError('not-found', 'SERVICE_UNKNOWN', 'text') });
    report({ ...CALL, fields: {}, error: new TypeError('x is not a function') });
    assert.deepEqual(
      lines.map(({ level }) => level),
      [20, 20, 50],
    );
  });

  it('a foreign error is INTERNAL, with the text and the stack that the caller does not get', () => {
    const { logger, lines } = memoryLog();
    createCallLog(logger)({ ...CALL, fields: {}, error: new TypeError('x is not a function') });
    assert.deepEqual([lines[0]?.['level'], lines[0]?.['code']], [50, 'INTERNAL']);
    const { type, message, stack } = Object(lines[0]?.['err']);
    assert.deepEqual([type, message, typeof stack], ['TypeError', 'x is not a function', 'string']);
  });
});

const CALL = { method: '/a.B/C', requestId: 'r', peer: 'p', durationMs: 1.2649, defect: undefined };
