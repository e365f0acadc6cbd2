import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { prepareFolder } from '../../../inference/cache/folder.ts';
import { isError, rejection } from '../../support/service-errors.ts';

test('makes the folder with its parents, twice without harm, and leaves no trial files', async (t) => {
  const root = join(await folder(t), 'some', 'where');
  await prepareFolder(root);
  const layout = await prepareFolder(root);
  assert.deepEqual((await readdir(root)).toSorted(), ['CACHEDIR.TAG', 'v1']);
  assert.deepEqual(await readdir(layout.state), []);
});

test('a path that cannot become a folder is a precondition that names it', async (t) => {
  const file = join(await folder(t), 'file');
  await writeFile(file, '');
  for (const root of [file, join(file, 'below')]) {
    const error = await rejection(prepareFolder(root));
    assert.equal(`${error.kind} ${error.reason}`, 'failed-precondition STORAGE_UNAVAILABLE');
    assert.ok(error.message.includes(root));
  }
});

test('a folder on a file system that takes no files is refused', {
  skip: process.platform !== 'linux' && 'needs /proc',
}, async () => {
  // Refused to root too, unlike what permission bits refuse.
  await assert.rejects(prepareFolder('/proc/maskterial'), isError('failed-precondition', 'STORAGE_UNAVAILABLE'));
});

test('a folder that is there and takes no files is refused', async (t) => {
  const root = await folder(t);
  const { quarantine } = await prepareFolder(root);
  await rm(quarantine, { recursive: true });
  await symlink('/proc/self', quarantine);
  await assert.rejects(prepareFolder(root), isError('failed-precondition', 'STORAGE_UNAVAILABLE'));
});

test('a relative path is refused', async () => {
  for (const root of ['', 'models', './models', '~/models']) {
    await assert.rejects(prepareFolder(root), isError('invalid-argument', 'INVALID_REQUEST'));
  }
});

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'folder-test-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}
