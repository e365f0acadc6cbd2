import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openFirstCache } from '../../inference/open-cache.ts';
import { memoryLog } from '../support/memory-log.ts';
import { isError } from '../support/service-errors.ts';

/** A folder, and a path that cannot become one. */
async function places(t: TestContext): Promise<{ readonly good: string; readonly bad: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'open-cache-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'file'), '');
  return { good: join(folder, 'good'), bad: join(folder, 'file', 'models') };
}

test('a default that cannot be written gives way to the folder of the user, and the log says so', async (t) => {
  const { good, bad } = await places(t);
  const { logger, lines } = memoryLog();
  const cache = await openFirstCache([bad, good], 0, logger);
  t.after(() => cache.close());
  assert.equal(cache.root, good);
  assert.deepEqual(
    lines.map(({ level, folder, instead }) => ({ level, folder, instead })),
    [
      { level: 40, folder: bad, instead: good },
      { level: 30, folder: good, instead: undefined },
    ],
  );
});

test('a default that can be written is taken', async (t) => {
  const { good, bad } = await places(t);
  const cache = await openFirstCache([good, bad], 0, memoryLog().logger);
  t.after(() => cache.close());
  assert.equal(cache.root, good);
});

test('a folder of the own choice that cannot be written is an error', async (t) => {
  const { bad } = await places(t);
  await assert.rejects(openFirstCache([bad], 0, memoryLog().logger), isError('failed-precondition', 'STORAGE_UNAVAILABLE'));
});

test('other trouble with the default is an error too', async (t) => {
  const { good } = await places(t);
  await assert.rejects(openFirstCache(['relative', good], 0, memoryLog().logger), isError('invalid-argument', 'INVALID_REQUEST'));
});
