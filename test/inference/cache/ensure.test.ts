import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { test } from 'node:test';
import type { FetchProgress } from '../../../inference/cache/fetch.ts';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { parseDigest, refOf } from '../../../proto/wire/digest.ts';
import { cacheFolder, never } from '../../support/cache-folder.ts';
import { deferred } from '../../support/deferred.ts';
import { blobOf, FakeBlobSource, type Fault, patternBytes } from '../../support/fake-blob-source.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const THREE_CHUNKS = patternBytes(2 * CHUNK_BYTES + 100, 1);
const SMALL = patternBytes(1000, 2);

for (const sizeBytes of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES]) {
  test(`fetches a blob of ${sizeBytes} bytes, read-only, and gives it at once the second time`, async (t) => {
    const folder = await cacheFolder(t);
    const cache = await folder.open();
    const bytes = patternBytes(sizeBytes, 3);
    const source = new FakeBlobSource('source', bytes);
    const { path } = await cache.ensure(blobOf(bytes), [source], never);
    assert.deepEqual(refOf(await readFile(path)), refOf(bytes));
    assert.equal((await stat(path)).mode & 0o777, 0o444);
    const asked = source.requests.length;
    assert.equal(asked, Math.ceil(sizeBytes / CHUNK_BYTES));
    assert.deepEqual(await cache.ensure(blobOf(bytes), [source], never), { path });
    assert.equal(source.requests.length, asked);
    assert.deepEqual(await folder.partials(), []);
    assert.deepEqual(folder.kinds(), ['blob-fetched']);
  });
}

const FAULTS: readonly {
  fault: Fault;
  event: string;
  kind: 'data-loss' | 'failed-precondition' | 'not-found' | 'unavailable';
  reason: Parameters<typeof isError>[1];
}[] = [
  { fault: 'wrong bytes', event: 'source-lied', kind: 'data-loss', reason: 'DIGEST_MISMATCH' },
  { fault: 'truncated', event: 'source-lied', kind: 'data-loss', reason: 'SIZE_MISMATCH' },
  { fault: 'too long', event: 'source-lied', kind: 'data-loss', reason: 'SIZE_MISMATCH' },
  { fault: 'not found', event: 'source-failed', kind: 'not-found', reason: 'BLOB_NOT_FOUND' },
  { fault: 'archived', event: 'source-failed', kind: 'failed-precondition', reason: 'BLOB_ARCHIVED' },
  { fault: 'unavailable', event: 'source-failed', kind: 'unavailable', reason: 'STORAGE_UNAVAILABLE' },
  { fault: 'unknown error', event: 'source-failed', kind: 'unavailable', reason: 'STORAGE_UNAVAILABLE' },
];

for (const { fault, event, kind, reason } of FAULTS) {
  test(`${fault} from the first source: the second one gives the chunk`, async (t) => {
    const folder = await cacheFolder(t);
    const cache = await folder.open({}, { parallelChunks: 1 });
    const first = new FakeBlobSource('first', THREE_CHUNKS);
    first.faultOf = (chunk) => (chunk === 1 ? fault : undefined);
    const second = new FakeBlobSource('second', THREE_CHUNKS);
    const { path } = await cache.ensure(blobOf(THREE_CHUNKS), [first, second], never);
    assert.deepEqual(refOf(await readFile(path)), refOf(THREE_CHUNKS));
    assert.deepEqual(first.requests, [0, 1]);
    // One that failed is asked after one that did not.
    assert.deepEqual(second.requests, [1, 2]);
    assert.deepEqual(folder.kinds(), [event, 'blob-fetched']);
    assert.equal(first.inFlight, 0);
  });

  test(`${fault} from the only source: ${kind}, and nothing is published`, async (t) => {
    const folder = await cacheFolder(t);
    const cache = await folder.open();
    const source = new FakeBlobSource('source', SMALL);
    source.faultOf = () => fault;
    await assert.rejects(cache.ensure(blobOf(SMALL), [source], never), isError(kind, reason));
    assert.equal(await cache.lookup(refOf(SMALL), never), undefined);
    assert.ok(folder.kinds().includes(event));
  });
}

test('names expected and found digest and the source that gave wrong bytes', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const liar = new FakeBlobSource('liar', SMALL);
  liar.faultOf = () => 'wrong bytes';
  const absent = new FakeBlobSource('absent');
  const { metadata } = await rejection(cache.ensure(blobOf(SMALL), [liar, absent], never));
  const found = refOf(Buffer.alloc(SMALL.byteLength, 'x')).digest;
  assert.deepEqual(metadata, { digest: refOf(SMALL).digest, expected: refOf(SMALL).digest, found, source: 'liar' });
});

test('a source that cannot be reached outweighs one that lies: trying again may help', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const liar = new FakeBlobSource('liar', SMALL);
  liar.faultOf = () => 'wrong bytes';
  const down = new FakeBlobSource('down', SMALL);
  down.faultOf = () => 'unavailable';
  await assert.rejects(cache.ensure(blobOf(SMALL), [down, liar], never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

test('what one source has in an archive is said to be there, whatever the others say', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  for (const fault of ['unavailable', 'not found', 'wrong bytes'] as const) {
    const other = new FakeBlobSource('other', SMALL);
    other.faultOf = () => fault;
    const archive = new FakeBlobSource('archive', SMALL);
    archive.faultOf = () => 'archived';
    await assert.rejects(
      cache.ensure(blobOf(SMALL), [other, archive], never),
      isError('failed-precondition', 'BLOB_ARCHIVED'),
      fault,
    );
  }
});

test('without any source a blob is not found', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  await assert.rejects(cache.ensure(blobOf(SMALL), [], never), isError('not-found', 'BLOB_NOT_FOUND'));
});

test('chunks that are right with a whole that is not are data loss, and nothing stays', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  const { chunks, sizeBytes } = blobOf(SMALL);
  const digest = parseDigest(`sha256:${'0'.repeat(64)}`, 'digest');
  const source = new FakeBlobSource('source', SMALL);
  const everything = {
    name: 'source',
    open: (_: unknown, ...rest: [{ offsetBytes: number; lengthBytes: number }, AbortSignal]) =>
      source.open(refOf(SMALL), ...rest),
  };
  await assert.rejects(cache.ensure({ digest, sizeBytes, chunks }, [everything], never), isError('data-loss', 'DIGEST_MISMATCH'));
  assert.deepEqual(await folder.partials(), []);
});

test('a source that stalls and hears no signal counts as unavailable after the stall timeout', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const isStalled = deferred();
  let waits = 0;
  const sleep = (ms: number, signal: AbortSignal): Promise<void> => {
    waits += 1;
    // The first wait ends with the one byte that it gives; the second one never.
    if (waits === 2) {
      isStalled.resolve();
    }
    return clock.sleep(ms, signal);
  };
  const cache = await folder.open({ clock: { nowMs: () => clock.nowMs(), sleep } }, { stallTimeoutMs: 5000 });
  const stalled = new FakeBlobSource('stalled', SMALL);
  stalled.faultOf = () => 'stall';
  const ensured = cache.ensure(blobOf(SMALL), [stalled, new FakeBlobSource('good', SMALL)], never);
  await isStalled.promise;
  clock.advance(5000);
  assert.deepEqual(refOf(await readFile((await ensured).path)), refOf(SMALL));
  assert.deepEqual(folder.kinds(), ['source-failed', 'blob-fetched']);
});

test('a stalled source is left at once when the caller aborts', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const stalled = new FakeBlobSource('stalled', SMALL);
  stalled.faultOf = () => 'stall';
  const opened = deferred();
  stalled.onOpen = () => opened.resolve();
  const caller = new AbortController();
  const ensured = rejection(cache.ensure(blobOf(SMALL), [stalled], caller.signal));
  await opened.promise;
  caller.abort();
  assert.equal((await ensured).kind, 'cancelled');
});

test('one download however many ask; a late caller hears the progress', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const source = new FakeBlobSource('source', THREE_CHUNKS);
  const progress: FetchProgress[] = [];
  const callers = Array.from({ length: 5 }, () =>
    cache.ensure(blobOf(THREE_CHUNKS), [source], never, (step) => {
      progress.push(step);
    }),
  );
  const paths = new Set((await Promise.all(callers)).map(({ path }) => path));
  assert.equal(paths.size, 1);
  assert.deepEqual(source.requestsInOrder(), [0, 1, 2]);
  const totalBytes = THREE_CHUNKS.byteLength;
  assert.deepEqual(progress.at(0), { doneBytes: 0, totalBytes });
  assert.deepEqual(
    progress.slice(-5).map(({ doneBytes }) => doneBytes),
    [totalBytes, totalBytes, totalBytes, totalBytes, totalBytes],
  );
});

test("one caller's abort leaves the download to the others; the last one's ends it", async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const source = new FakeBlobSource('source', SMALL);
  const opened = deferred<AbortSignal>();
  const gate = deferred();
  source.onOpen = (_, signal) => {
    opened.resolve(signal);
    return gate.promise;
  };
  const [first, second] = [new AbortController(), new AbortController()];
  const one = rejection(cache.ensure(blobOf(SMALL), [source], first.signal));
  const two = rejection(cache.ensure(blobOf(SMALL), [source], second.signal));
  const signal = await opened.promise;
  first.abort();
  assert.equal((await one).kind, 'cancelled');
  assert.equal(signal.aborted, false);
  second.abort();
  assert.equal((await two).kind, 'cancelled');
  assert.equal(signal.aborted, true);
  gate.resolve();
});

test('who asks while an abandoned download ends gets a new one', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const source = new FakeBlobSource('source', SMALL);
  const opened = deferred();
  source.faultOf = (_, request) => (request === 0 ? 'stall' : undefined);
  source.onOpen = () => opened.resolve();
  const first = new AbortController();
  const one = rejection(cache.ensure(blobOf(SMALL), [source], first.signal));
  await opened.promise;
  first.abort();
  assert.equal((await one).kind, 'cancelled');
  // The abandoned work still has files to close.
  const { path } = await cache.ensure(blobOf(SMALL), [source], never);
  assert.deepEqual(refOf(await readFile(path)), refOf(SMALL));
});

test('never more chunks in flight than set, over all downloads together', async (t) => {
  const cache = await (await cacheFolder(t)).open({}, { parallelChunks: 2 });
  const other = patternBytes(2 * CHUNK_BYTES + 1, 4);
  const source = new FakeBlobSource('source', THREE_CHUNKS, other);
  const full = deferred();
  source.onOpen = async () => {
    if (source.inFlight === 2) {
      full.resolve();
    }
    await full.promise;
    // Whoever could come too, comes now.
    for (let turn = 0; turn < 50; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all([cache.ensure(blobOf(THREE_CHUNKS), [source], never), cache.ensure(blobOf(other), [source], never)]);
  assert.equal(source.maxInFlight, 2);
  assert.equal(source.requests.length, 6);
});

test('refuses references that could verify nothing or leave the folder', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const good = blobOf(SMALL);
  const hostile = ['sha256:../../../../etc/passwd', `sha256:${'A'.repeat(64)}`, `sha256:${'a'.repeat(63)}/`, ''];
  // A cast could smuggle such a digest in; JSON stands for it here.
  const forged = hostile.map((digest): typeof good => JSON.parse(JSON.stringify({ ...good, digest })));
  for (const blob of [{ ...good, chunks: [] }, { ...good, sizeBytes: -1 }, { ...good, sizeBytes: 1.5 }, ...forged]) {
    await assert.rejects(cache.ensure(blob, [], never), isError('invalid-argument', 'INVALID_REQUEST'));
  }
  for (const ref of forged) {
    await assert.rejects(cache.lookup(ref, never), isError('invalid-argument', 'INVALID_REQUEST'));
    await assert.rejects(cache.readSmall(ref, 10_000, never), isError('invalid-argument', 'INVALID_REQUEST'));
  }
});

test('closing ends downloads, and their callers hear it', async (t) => {
  const cache = await (await cacheFolder(t)).open();
  const source = new FakeBlobSource('source', SMALL);
  const opened = deferred();
  source.faultOf = () => 'stall';
  source.onOpen = () => opened.resolve();
  const ensured = rejection(cache.ensure(blobOf(SMALL), [source], never));
  await opened.promise;
  await cache.close();
  assert.equal((await ensured).reason, 'SHUTTING_DOWN');
});
