import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { describeSystemError } from '../../clients/system-error.ts';
import { bytesOf } from '../../clients/predict-request.ts';
import { isError, rejection } from '../support/service-errors.ts';

test("the system's words, its code, and no path", async () => {
  const error = await readFile('/no/such, file').catch((reason: unknown) => reason);
  assert.equal(describeSystemError(error), 'no such file or directory (ENOENT)');
});

test('a code without words of the system, and an error without a code', () => {
  assert.equal(
    describeSystemError(Object.assign(new Error('too large'), { code: 'ERR_FS_FILE_TOO_LARGE' })),
    'ERR_FS_FILE_TOO_LARGE',
  );
  assert.equal(describeSystemError(new Error('odd')), 'odd');
  assert.equal(describeSystemError('text'), 'text');
});

test('a device is refused: it may have no end', async () => {
  isError('invalid-argument', 'UNREADABLE_FILE')(await rejection(bytesOf({ path: '/dev/null' })));
});

test('a file that cannot be read is named once', async () => {
  const { message } = await rejection(bytesOf({ path: '/no/such/image' }));
  assert.equal(message, 'cannot read /no/such/image: no such file or directory (ENOENT)');
});
