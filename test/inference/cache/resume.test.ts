import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nodeDisk } from '../../../inference/cache/disk.ts';
import { processOwners } from '../../../inference/cache/owners.ts';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { cacheFolder, deadOwner, never } from '../../support/cache-folder.ts';
import { deferred } from '../../support/deferred.ts';
import { blobOf, FakeBlobSource, patternBytes } from '../../support/fake-blob-source.ts';
import { isError } from '../../support/service-errors.ts';

const BYTES = patternBytes(3 * CHUNK_BYTES + 100, 1);
const BLOB = blobOf(BYTES);

test('a killed server: the next one asks only for the chunks that are missing', async (t) => {
  const folder = await cacheFolder(t);
  const program = fileURLToPath(new URL('../../support/interrupted-download.js', import.meta.url));
  const child = spawn(process.execPath, [program, folder.root, String(BYTES.byteLength), '1', '2'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const cache = await folder.open();
  assert.equal(cache.scrubReport.resumable, 1);
  const source = new FakeBlobSource('second life', BYTES);
  const { path } = await cache.ensure(BLOB, [source], never);
  assert.deepEqual(refOf(await readFile(path)), refOf(BYTES));
  assert.deepEqual(source.requestsInOrder(), [2, 3]);
  assert.ok(folder.kinds().includes('download-resumed'));
  assert.deepEqual(await folder.partials(), []);
});

const JOURNALS: readonly { what: string; journal: (header: string) => string; requested: readonly number[] }[] = [
  { what: 'names a chunk whose bytes never reached the disk', journal: (header) => `${header}0\n1\n3\n`, requested: [1, 2, 3] },
  { what: 'was cut short', journal: (header) => `${header}0\n2`, requested: [1, 2, 3] },
  { what: 'names chunks that there are not', journal: (header) => `${header}0\n4\n99999999999\n-1\nx\n`, requested: [1, 2, 3] },
  {
    what: 'is of another blob',
    journal: () => `chunks.v1 ${refOf(Buffer.from('other')).digest} ${BYTES.byteLength}\n0\n`,
    requested: [0, 1, 2, 3],
  },
  { what: 'is empty', journal: () => '', requested: [0, 1, 2, 3] },
];

for (const { what, journal, requested } of JOURNALS) {
  test(`a journal that ${what} costs only its chunks`, async (t) => {
    const folder = await cacheFolder(t);
    const cache = await folder.open();
    const { self } = await processOwners(() => Date.now());
    const data = folder.layout.partial(BLOB, deadOwner(self), 'data');
    // Chunk 0 is right, chunk 1 is damaged, the rest was never written; the file is longer than the blob.
    const held = Buffer.alloc(BYTES.byteLength + 10);
    BYTES.copy(held, 0, 0, CHUNK_BYTES);
    await writeFile(data, held);
    await writeFile(`${data}.journal`, journal(`chunks.v1 ${BLOB.digest} ${BLOB.sizeBytes}\n`));
    const source = new FakeBlobSource('source', BYTES);
    const { path } = await cache.ensure(BLOB, [source], never);
    assert.deepEqual(refOf(await readFile(path)), refOf(BYTES));
    assert.deepEqual(source.requestsInOrder(), requested);
    assert.deepEqual(await folder.partials(), []);
  });
}

test("a live owner's partial file is left alone", async (t) => {
  const folder = await cacheFolder(t);
  const [cache, { self }] = [await folder.open(), await processOwners(() => Date.now())];
  const data = folder.layout.partial(BLOB, self, 'data');
  await writeFile(data, BYTES.subarray(0, CHUNK_BYTES));
  await writeFile(`${data}.journal`, `chunks.v1 ${BLOB.digest} ${BLOB.sizeBytes}\n0\n`);
  const source = new FakeBlobSource('source', BYTES);
  await cache.ensure(BLOB, [source], never);
  assert.equal(source.requests.length, 4);
  assert.equal((await folder.partials()).length, 2);
});

test('after a failure and after an abort the same server goes on where it ended', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open({}, { parallelChunks: 1 });
  const source = new FakeBlobSource('source', BYTES);
  source.faultOf = (_, request) => (request === 1 ? 'unavailable' : undefined);
  await assert.rejects(cache.ensure(BLOB, [source], never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  const caller = new AbortController();
  const opened = deferred();
  source.onOpen = (chunk) => {
    if (chunk === 2) {
      opened.resolve();
      return new Promise(() => undefined);
    }
    return undefined;
  };
  const aborted = assert.rejects(cache.ensure(BLOB, [source], caller.signal), isError('cancelled', 'CANCELLED'));
  await opened.promise;
  caller.abort();
  await aborted;
  source.onOpen = () => undefined;
  await cache.ensure(BLOB, [source], never);
  assert.deepEqual(source.requests, [0, 1, 1, 2, 2, 3]);
});

test('a volume that fills up while writing: STORAGE_FULL, the partial file goes, the next attempt succeeds', async (t) => {
  const folder = await cacheFolder(t);
  let isFull = true;
  const cache = await folder.open({
    disk: {
      ...nodeDisk,
      write: async (file, bytes, position) => {
        if (isFull && position > 0) {
          throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        }
        await nodeDisk.write(file, bytes, position);
      },
    },
  });
  const source = new FakeBlobSource('source', BYTES);
  await assert.rejects(cache.ensure(BLOB, [source], never), isError('resource-exhausted', 'STORAGE_FULL'));
  assert.deepEqual(await folder.partials(), []);
  assert.equal(source.inFlight, 0);
  isFull = false;
  await cache.ensure(BLOB, [source], never);
});

test('a volume without room for the blob: STORAGE_FULL before a byte is asked for', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open({ disk: { ...nodeDisk, freeBytes: async () => BYTES.byteLength - 1 } });
  const source = new FakeBlobSource('source', BYTES);
  await assert.rejects(cache.ensure(BLOB, [source], never), isError('resource-exhausted', 'STORAGE_FULL'));
  assert.deepEqual(source.requests, []);
});

test('another error of the volume is unavailable', async (t) => {
  const folder = await cacheFolder(t);
  const failing = async (): Promise<never> => {
    throw Object.assign(new Error('broken'), { code: 'EIO' });
  };
  const cache = await folder.open({ disk: { ...nodeDisk, write: failing } });
  const source = new FakeBlobSource('source', BYTES);
  await assert.rejects(cache.ensure(BLOB, [source], never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  await assert.rejects(
    cache.put(refOf(Buffer.from('a')), Buffer.from('a'), never),
    isError('unavailable', 'STORAGE_UNAVAILABLE'),
  );
});

test('two servers on one folder at the same time end with one good file and no leftovers', async (t) => {
  const folder = await cacheFolder(t);
  const [left, right] = [await folder.open(), await folder.open()];
  const bothAtWork = deferred();
  const sources = [new FakeBlobSource('left', BYTES), new FakeBlobSource('right', BYTES)];
  for (const source of sources) {
    source.onOpen = () => {
      if (sources.every(({ requests }) => requests.length > 0)) {
        bothAtWork.resolve();
      }
      return bothAtWork.promise;
    };
  }
  const [one, two] = await Promise.all(
    [left, right].map((cache, index) => cache.ensure(BLOB, sources.slice(index, index + 1), never)),
  );
  assert.deepEqual(one, two);
  assert.deepEqual(refOf(await readFile(one?.path ?? '')), refOf(BYTES));
  assert.deepEqual(await folder.partials(), []);
  assert.deepEqual(await folder.quarantined(), []);
});

test('the second of two servers discards its file and uses the first', async (t) => {
  const folder = await cacheFolder(t);
  const [winner, loser] = [await folder.open(), await folder.open()];
  const source = new FakeBlobSource('source', BYTES);
  const slow = new FakeBlobSource('slow', BYTES);
  const opened = deferred();
  const gate = deferred();
  slow.onOpen = () => {
    opened.resolve();
    return gate.promise;
  };
  const losing = loser.ensure(BLOB, [slow], never);
  await opened.promise;
  const { path } = await winner.ensure(BLOB, [source], never);
  const { ino } = await stat(path);
  gate.resolve();
  assert.deepEqual(await losing, { path });
  assert.equal((await stat(path)).ino, ino);
  assert.ok(folder.kinds().includes('publication-lost'));
  assert.deepEqual(await folder.partials(), []);
});

test('a partial file that another server wrongly took over does no harm', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open({}, { parallelChunks: 1 });
  const source = new FakeBlobSource('source', BYTES);
  source.onOpen = async (chunk) => {
    if (chunk === 2) {
      source.onOpen = () => undefined;
      const name = (await readdir(folder.layout.partials)).find((found) => !found.endsWith('.journal')) ?? '';
      await rename(`${folder.layout.partials}/${name}`, `${folder.layout.partials}/${name.replace(/[0-9a-f]{8}$/, 'ffffffff')}`);
    }
  };
  await assert.rejects(cache.ensure(BLOB, [source], never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  const { path } = await cache.ensure(BLOB, [source], never);
  assert.deepEqual(refOf(await readFile(path)), refOf(BYTES));
});
