import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkVersion } from '../../../inference/engine/check-version.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { makeVersion } from '../../support/made-version.ts';
import { isError } from '../../support/service-errors.ts';

const SCRIPTED = fileURLToPath(new URL('../../support/scripted-engine.js', import.meta.url));
const { manifest } = makeVersion('M', 1);

function check(label: string, signal = new AbortController().signal): Promise<void> {
  return checkVersion(manifest, label, '/nowhere', signal, SCRIPTED);
}

test('a version that an engine loads is fine, one that it refuses is not', async () => {
  await check('good');
  await assert.rejects(check('fails'), isError('failed-precondition', 'LOAD_FAILED'));
});

test('a version that ends its engine is to blame for it, not a server that is away', async () => {
  await assert.rejects(check('exits'), isError('failed-precondition', 'LOAD_FAILED'));
});

test('an interrupt ends the engine', async () => {
  const interrupt = new AbortController();
  const checking = check('hangs', interrupt.signal);
  interrupt.abort(new ServiceError('cancelled', 'CANCELLED', 'enough'));
  await assert.rejects(checking, isError('cancelled', 'CANCELLED'));
});
