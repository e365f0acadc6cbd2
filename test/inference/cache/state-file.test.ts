import assert from 'node:assert/strict';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as z from 'zod';
import { nodeDisk } from '../../../inference/cache/disk.ts';
import { cacheFolder } from '../../support/cache-folder.ts';
import { isError } from '../../support/service-errors.ts';

const FORMAT = { name: 'aliases', version: 2, schema: z.strictObject({ count: z.int() }) };

test('what was written is read back, by another server too; the last write stays', async (t) => {
  const folder = await cacheFolder(t);
  const state = (await folder.open()).stateFile(FORMAT);
  assert.equal(await state.read(), undefined);
  await Promise.all([1, 2, 3].map((count) => state.write({ count })));
  assert.deepEqual(await (await folder.open()).stateFile(FORMAT).read(), { count: 3 });
  assert.deepEqual(folder.events, []);
  assert.deepEqual(await readdir(folder.layout.state), ['aliases.json']);
});

const DOCUMENTS: Readonly<Record<string, string>> = {
  'an empty file': '',
  'a file cut short': '{"format":"aliases","version":2,"value":{"co',
  'no JSON': '\u0000\u0001',
  'JSON of another kind': '[]',
  'another format': '{"format":"pins","version":2,"value":{"count":1}}',
  'a later version': '{"format":"aliases","version":3,"value":{"count":1}}',
  'an earlier version': '{"format":"aliases","version":1,"value":{"count":1}}',
  'a value of another form': '{"format":"aliases","version":2,"value":{"count":"1"}}',
  'no value': '{"format":"aliases","version":2}',
};

for (const [what, text] of Object.entries(DOCUMENTS)) {
  test(`${what} counts as no document, is reported, and can be written over`, async (t) => {
    const folder = await cacheFolder(t);
    const state = (await folder.open()).stateFile(FORMAT);
    await writeFile(folder.layout.stateFile('aliases'), text);
    assert.equal(await state.read(), undefined);
    assert.deepEqual(folder.kinds(), ['state-unreadable']);
    await state.write({ count: 1 });
    assert.deepEqual(await state.read(), { count: 1 });
  });
}

test('a document that cannot be read, or is far too large, counts as none', async (t) => {
  const folder = await cacheFolder(t);
  const state = (await folder.open()).stateFile(FORMAT);
  const path = folder.layout.stateFile('aliases');
  await mkdir(path);
  assert.equal(await state.read(), undefined);
  await rm(path, { recursive: true });
  await writeFile(path, '');
  await truncate(path, 17 * 1024 * 1024);
  assert.equal(await state.read(), undefined);
  assert.deepEqual(folder.kinds(), ['state-unreadable', 'state-unreadable']);
});

test('a full volume keeps the old document, leaves no temporary file, and the next write works', async (t) => {
  const folder = await cacheFolder(t);
  let isFull = false;
  const write: typeof nodeDisk.write = async (file, bytes, position) => {
    if (isFull) {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    }
    await nodeDisk.write(file, bytes, position);
  };
  const state = (await folder.open({ disk: { ...nodeDisk, write } })).stateFile(FORMAT);
  await state.write({ count: 1 });
  isFull = true;
  await assert.rejects(state.write({ count: 2 }), isError('resource-exhausted', 'STORAGE_FULL'));
  assert.deepEqual(await state.read(), { count: 1 });
  assert.deepEqual(await readdir(folder.layout.state), ['aliases.json']);
  isFull = false;
  await state.write({ count: 3 });
  assert.deepEqual(await state.read(), { count: 3 });
});

test('a name that is no file name is refused', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  for (const name of ['../aliases', 'a/b', '', 'A', 'a.json']) {
    assert.throws(() => cache.stateFile({ ...FORMAT, name }), isError('invalid-argument', 'INVALID_REQUEST'));
  }
});
