import assert from 'node:assert/strict';
import { chmod, mkdir, open, readFile, rename, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { cacheFolder, never } from '../../support/cache-folder.ts';
import { blobOf, FakeBlobSource, patternBytes } from '../../support/fake-blob-source.ts';
import { isError } from '../../support/service-errors.ts';

const BYTES = patternBytes(2 * CHUNK_BYTES + 100, 1);
const REF = refOf(BYTES);

/** What happens to the file, and the chunks that must come again. */
const DAMAGES: readonly { what: string; damage: (path: string) => Promise<void>; refetched: readonly number[] }[] = [
  { what: 'one flipped bit', damage: (path) => flip(path, CHUNK_BYTES + 5), refetched: [1] },
  { what: 'a cut end', damage: (path) => truncate(path, CHUNK_BYTES + 5), refetched: [1, 2] },
  { what: 'an empty file', damage: (path) => truncate(path, 0), refetched: [0, 1, 2] },
  { what: 'more bytes at the end', damage: (path) => truncate(path, BYTES.byteLength + 1), refetched: [] },
  {
    what: 'another file of the same size',
    damage: (path) => replace(path, Buffer.alloc(BYTES.byteLength, 'z')),
    refetched: [0, 1, 2],
  },
  {
    what: 'a link to the right bytes',
    damage: async (path) => {
      await rename(path, `${path}-elsewhere`);
      await symlink(`${path}-elsewhere`, path);
    },
    refetched: [0, 1, 2],
  },
  {
    what: 'a folder',
    damage: async (path) => {
      await rm(path);
      await mkdir(path);
    },
    refetched: [0, 1, 2],
  },
];

for (const { what, damage, refetched } of DAMAGES) {
  for (const boot of ['between boots', 'in this boot']) {
    test(`${what}, ${boot}: set aside, the damaged chunks fetched again, never handed out`, async (t) => {
      const folder = await cacheFolder(t);
      const source = new FakeBlobSource('source', BYTES);
      const first = await folder.open();
      const { path } = await first.ensure(blobOf(BYTES), [source], never);
      await chmod(path, 0o644);
      await damage(path);
      source.requests.length = 0;
      const cache = boot === 'in this boot' ? first : await folder.open();
      const again = await cache.ensure(blobOf(BYTES), [source], never);
      assert.deepEqual(refOf(await readFile(again.path)), REF);
      assert.deepEqual(source.requestsInOrder(), refetched);
      assert.equal((await folder.quarantined()).length, 1);
      assert.ok(folder.kinds().includes('blob-quarantined'));
      assert.deepEqual(await folder.partials(), []);
    });
  }
}

test('lookup verifies once per boot, gives nothing corrupt, and fetches nothing', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  assert.equal(await cache.lookup(REF, never), undefined);
  const { path } = await cache.ensure(blobOf(BYTES), [new FakeBlobSource('source', BYTES)], never);
  const second = await folder.open();
  assert.equal(await second.lookup(REF, never), path);
  await flip(path, 7);
  assert.equal(await second.lookup(REF, never), undefined);
  assert.equal(await cache.lookup(REF, never), undefined);
  assert.equal((await folder.quarantined()).length, 1);
});

test('a write that keeps size and times is found by hashing all blobs again', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const other = patternBytes(1000, 2);
  const source = new FakeBlobSource('source', BYTES, other);
  const { path } = await cache.ensure(blobOf(BYTES), [source], never);
  await cache.ensure(blobOf(other), [source], never);
  const { atimeMs, mtimeMs } = await stat(path);
  await flip(path, 7);
  await utimes(path, atimeMs / 1000, Math.round(mtimeMs) / 1000);
  assert.equal(await cache.lookup(REF, never), path);
  const found = new Map<string, string>();
  for await (const { digest, presence } of cache.rehash(never)) {
    found.set(digest, presence.kind);
  }
  assert.deepEqual(
    found,
    new Map([
      [REF.digest, 'quarantined'],
      [refOf(other).digest, 'verified'],
    ]),
  );
  assert.equal(await cache.lookup(REF, never), undefined);
});

test('another file of the same size and times is found at the next look', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const { path } = await cache.ensure(blobOf(BYTES), [new FakeBlobSource('source', BYTES)], never);
  const { atimeMs, mtimeMs } = await stat(path);
  await replace(path, Buffer.alloc(BYTES.byteLength, 'z'));
  await utimes(path, atimeMs / 1000, Math.round(mtimeMs) / 1000);
  assert.equal(await cache.lookup(REF, never), undefined);
});

test('a damaged blob is salvaged although the budget asks for the room of what is in quarantine', async (t) => {
  const folder = await cacheFolder(t);
  const source = new FakeBlobSource('source', BYTES);
  const { path } = await (await folder.open()).ensure(blobOf(BYTES), [source], never);
  await flip(path, 7);
  source.requests.length = 0;
  const cache = await folder.open({}, { maxBytes: BYTES.byteLength });
  await cache.ensure(blobOf(BYTES), [source], never);
  assert.deepEqual(source.requests, [0]);
});

test('hashing all again ends with its signal', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const source = new FakeBlobSource('source', patternBytes(1, 1), patternBytes(2, 2));
  await cache.ensure(blobOf(patternBytes(1, 1)), [source], never);
  await cache.ensure(blobOf(patternBytes(2, 2)), [source], never);
  const stop = new AbortController();
  const steps = cache.rehash(stop.signal);
  await steps.next();
  stop.abort();
  await assert.rejects(steps.next(), isError('cancelled', 'CANCELLED'));
});

test('a reference with a wrong size does not condemn a good file', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const { path } = await cache.ensure(blobOf(BYTES), [new FakeBlobSource('source', BYTES)], never);
  const wrong = { digest: REF.digest, sizeBytes: 3 };
  await assert.rejects(cache.lookup(wrong, never), isError('data-loss', 'SIZE_MISMATCH'));
  await assert.rejects(cache.readSmall(wrong, 10, never), isError('data-loss', 'SIZE_MISMATCH'));
  assert.equal(await cache.lookup(REF, never), path);
  assert.deepEqual(await folder.quarantined(), []);
});

test('what an engine found wrong is set aside and fetched again', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const source = new FakeBlobSource('source', patternBytes(10, 1));
  const blob = blobOf(patternBytes(10, 1));
  await cache.ensure(blob, [source], never);
  await cache.quarantine(blob, 'the graph does not load');
  await cache.quarantine(blob, 'said twice');
  assert.equal(await cache.lookup(blob, never), undefined);
  await cache.ensure(blob, [source], never);
  assert.deepEqual(source.requests, [0, 0]);
  assert.equal((await folder.quarantined()).length, 1);
});

test('small blobs: what was put is read back, by another server too', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const bytes = Buffer.from('{"schemaVersion":1}');
  const ref = refOf(bytes);
  assert.equal(await cache.readSmall(ref, 1000, never), undefined);
  await cache.put(ref, bytes, never);
  await cache.put(ref, bytes, never);
  assert.deepEqual(await (await folder.open()).readSmall(ref, 1000, never), bytes);
  assert.equal((await stat(folder.layout.blob(ref.digest))).mode & 0o777, 0o444);
  assert.deepEqual(await folder.partials(), []);
  await assert.rejects(cache.readSmall(ref, 3, never), isError('invalid-argument', 'INVALID_REQUEST'));
  await assert.rejects(cache.put(ref, Buffer.from('other'), never), isError('data-loss', 'DIGEST_MISMATCH'));
});

test('a small blob that was changed is set aside, whatever was verified before', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const bytes = Buffer.from('manifest');
  const ref = refOf(bytes);
  await cache.put(ref, bytes, never);
  await replace(folder.layout.blob(ref.digest), Buffer.from('manifesT'));
  assert.equal(await cache.readSmall(ref, 1000, never), undefined);
  assert.equal((await folder.quarantined()).length, 1);
  await cache.put(ref, bytes, never);
  assert.deepEqual(await cache.readSmall(ref, 1000, never), bytes);
});

async function flip(path: string, offset: number): Promise<void> {
  await chmod(path, 0o644);
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  const { atime, mtimeMs } = await file.stat();
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset);
  // The clock of the file system may stand still from one write to the next; whoever damages a file later is seen by the time.
  await file.utimes(atime, mtimeMs / 1000 + 1);
  await file.close();
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(`${path}.new`, bytes);
  await rename(`${path}.new`, path);
}
