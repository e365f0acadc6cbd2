import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openFolderSource } from '../../../../clients/import/sources/folder-source.ts';
import { rejectsBundle } from '../../../support/bundle-errors.ts';
import { writeFiles } from '../../../support/bundle-files.ts';

const { signal } = new AbortController();

describe('a folder source', () => {
  let folder = '';
  before(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'folder-source-')), 'CLS_X');
    writeFiles(folder, { 'b.txt': Buffer.from('bee'), 'a/c.txt': Buffer.from('0123456789') });
    symlinkSync(join(folder, 'b.txt'), join(folder, 'link.txt'));
    symlinkSync('nowhere', join(folder, 'dangling'));
    symlinkSync(folder, join(folder, 'a', 'loop'));
  });
  after(() => rmSync(join(folder, '..'), { recursive: true }));

  it('lists regular files at any depth and reads ranges of them', async () => {
    const source = await openFolderSource(folder, signal);
    assert.equal(source.name, 'CLS_X');
    assert.deepEqual(await source.list(signal), [
      { path: 'a/c.txt', sizeBytes: 10 },
      { path: 'b.txt', sizeBytes: 3 },
      { path: 'link.txt', sizeBytes: 3 },
    ]);
    assert.equal(Buffer.from(await source.readRange('a/c.txt', 3, 4, signal)).toString(), '3456');
    assert.equal(Buffer.from(await source.readRange('link.txt', 0, 3, signal)).toString(), 'bee');
    assert.equal((await source.readRange('b.txt', 3, 0, signal)).byteLength, 0);
    await source.close();
  });

  it('reads nothing outside the files that it listed', async () => {
    const source = await openFolderSource(folder, signal);
    await rejectsBundle(source.readRange('../x', 0, 1, signal), 'CLS_X');
    await rejectsBundle(source.readRange('b.txt', 2, 2, signal), 'b.txt');
    await assert.rejects(source.readRange('b.txt', 0, 1, AbortSignal.abort()), { reason: 'CANCELLED' });
    await source.close();
  });

  it('says so where a file has become shorter or gone', async () => {
    writeFiles(folder, { 'short.txt': Buffer.alloc(10), 'gone.txt': Buffer.alloc(10) });
    const source = await openFolderSource(folder, signal);
    truncateSync(join(folder, 'short.txt'), 4);
    rmSync(join(folder, 'gone.txt'));
    await rejectsBundle(source.readRange('short.txt', 0, 10, signal), 'short.txt');
    await rejectsBundle(source.readRange('gone.txt', 0, 10, signal), 'gone.txt');
    await source.close();
  });

  it('is refused where it nests too deep to be a bundle, or is not there', async () => {
    const deep = join(folder, '..', 'deep');
    mkdirSync(join(deep, ...Array.from({ length: 20 }, () => 'x')), { recursive: true });
    await rejectsBundle(openFolderSource(deep, signal), 'deep');
    const missing = join(folder, 'missing');
    await rejectsBundle(openFolderSource(missing, signal), missing);
  });
});
