import assert from 'node:assert/strict';
import { appendFile, chmod, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../../proto/wire/chunks.ts';
import { FolderBlobStore } from '../../../../registry/adapters/embedded/folder-blob-store.ts';
import { translateFsError } from '../../../../registry/adapters/embedded/fs-errors.ts';
import { prepareLayout } from '../../../../registry/adapters/embedded/layout.ts';
import { describeBlobStore } from '../../../contract/blob-store-contract.ts';
import { collect, never } from '../../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';
import { isError, rejection } from '../../../support/service-errors.ts';

describeBlobStore('folder', async () => {
  const folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  return {
    store: new FolderBlobStore(layout),
    openAnother: async () => new FolderBlobStore(await prepareLayout(folder.path)),
    damage: async (digest) => {
      const path = layout.blob(digest);
      await chmod(path, 0o644);
      const file = await open(path, 'r+');
      await file.write('X', 0);
      await file.close();
    },
    close: () => folder[Symbol.asyncDispose](),
  };
});

it('makes stored blobs read-only and leaves nothing else behind', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const bytes = seededBytes('mode', 10);
  const blob = chunkedBlob(bytes);
  const upload = await new FolderBlobStore(layout).openUpload(blob, never);
  await upload.putChunk(0, bytes, never);
  await upload.commit(never);
  await upload.close();
  assert.equal((await stat(layout.blob(blob.digest))).mode & 0o777, 0o444);
  assert.deepEqual(await readdir(layout.partials), []);
});

it('keeps what was stored while an older copy was out of sight', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const store = new FolderBlobStore(layout);
  const bytes = seededBytes('anew', 10);
  const blob = chunkedBlob(bytes);
  const put = async () => {
    const upload = await store.openUpload(blob, never);
    await upload.putChunk(0, bytes, never);
    await upload.commit(never);
    await upload.close();
  };
  await put();
  await store.setAside(blob.digest, never);
  await put();
  const { ino } = await stat(layout.blob(blob.digest));
  await store.restore(blob.digest, never);
  assert.deepEqual([(await stat(layout.blob(blob.digest))).ino, await readdir(layout.setAside)], [ino, []]);
});

it('believes no journal beyond what the file holds', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const store = new FolderBlobStore(layout);
  const bytes = seededBytes('journal', 2 * CHUNK_BYTES + 5);
  const blob = chunkedBlob(bytes);
  const pieces = [0, 1, 2].map((index) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
  const first = await store.openUpload(blob, never);
  await first.putChunk(0, pieces[0] ?? bytes, never);
  await first.putChunk(1, pieces[1] ?? bytes, never);
  await first.close();
  const journal = join(layout.partial(blob), 'journal');
  // A crash cut a line short, and another line was damaged.
  await appendFile(journal, `2 ${'0'.repeat(64)}\n2 abc`);
  assert.deepEqual([...(await store.verifiedChunks(blob, never))], [0, 1]);
  // A crash took the data but left the journal.
  await rm(join(layout.partial(blob), 'data'));
  assert.deepEqual([...(await store.verifiedChunks(blob, never))], []);
  const second = await store.openUpload(blob, never);
  // With its last chunk the file is as long as ever, and the journal's old lines must not count again.
  await second.putChunk(2, pieces[2] ?? bytes, never);
  assert.equal(await second.commit(never), false);
  await second.close();
  assert.deepEqual([...(await store.verifiedChunks(blob, never))], [2]);
  const third = await store.openUpload(blob, never);
  await third.putChunk(0, pieces[0] ?? bytes, never);
  await third.putChunk(1, pieces[1] ?? bytes, never);
  assert.equal(await third.commit(never), true);
  await third.close();
});

it('asks for another upload when its partial was removed', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const store = new FolderBlobStore(layout);
  const bytes = seededBytes('removed', 10);
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  await upload.putChunk(0, bytes, never);
  await rm(layout.partial(blob), { recursive: true });
  await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  await upload.close();
  assert.equal(await store.stat(blob.digest, never), undefined);
});

it('never publishes a file that another process put in its place', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const store = new FolderBlobStore(layout);
  const bytes = seededBytes('replaced', 10);
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  await upload.putChunk(0, bytes, never);
  await rm(layout.partial(blob), { recursive: true });
  await mkdir(layout.partial(blob));
  await writeFile(join(layout.partial(blob), 'data'), 'unverified');
  await assert.rejects(upload.commit(never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  await upload.close();
  assert.equal(await store.stat(blob.digest, never), undefined);
});

it('takes a blob that many instances publish at the same moment', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  for (let round = 0; round < 20; round++) {
    const bytes = seededBytes(`moment ${round}`, 50);
    const blob = chunkedBlob(bytes);
    const publishing = Array.from({ length: 6 }, async () => {
      const upload = await new FolderBlobStore(layout).openUpload(blob, never);
      try {
        await upload.putChunk(0, bytes, never);
        assert.equal(await upload.commit(never), true);
      } finally {
        await upload.close();
      }
    });
    await Promise.all(publishing);
    assert.deepEqual(await new FolderBlobStore(layout).verify(blob, never), { kind: 'valid' });
  }
});

it('writes its format down and refuses another', async () => {
  await using folder = await temporaryFolder();
  await prepareLayout(folder.path);
  await prepareLayout(folder.path);
  const path = join(folder.path, 'format.json');
  assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), { format: 'maskterial-registry', version: 1 });
  for (const text of ['{"format":"maskterial-registry","version":2}', 'not json', '[]']) {
    await writeFile(path, text);
    await assert.rejects(prepareLayout(folder.path), isError('failed-precondition', 'UNSUPPORTED_FORMAT'));
  }
});

it('cannot use a file as its folder', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, '');
  const error = await rejection(prepareLayout(path));
  assert.deepEqual([error.kind, error.reason], ['unavailable', 'STORAGE_UNAVAILABLE']);
});

it('translates what a file system answers', () => {
  const failure = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });
  for (const code of ['ENOSPC', 'EDQUOT']) {
    assert.throws(
      () => {
        throw translateFsError(failure(code));
      },
      isError('resource-exhausted', 'STORAGE_FULL'),
    );
  }
  for (const code of ['EACCES', 'EIO', 'EROFS', 'EMFILE']) {
    assert.throws(
      () => {
        throw translateFsError(failure(code));
      },
      isError('unavailable', 'STORAGE_UNAVAILABLE'),
    );
  }
  const bug = new TypeError('a bug');
  assert.equal(translateFsError(bug), bug);
});

it('has no versions of a file', async () => {
  await using folder = await temporaryFolder();
  const store = new FolderBlobStore(await prepareLayout(folder.path));
  const bytes = seededBytes('versions', 10);
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  await upload.putChunk(0, bytes, never);
  await upload.commit(never);
  const range = { offsetBytes: 0, lengthBytes: 10 };
  const read = store.read({ ...blob, objectVersion: 'v1' }, range, never);
  await assert.rejects(collect(read), isError('not-found', 'BLOB_NOT_FOUND'));
  assert.ok((await collect(store.read(blob, range, never))).equals(bytes));
});
