import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { processOwners } from '../../../inference/cache/owners.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { cacheFolder, deadOwner, never } from '../../support/cache-folder.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { isError } from '../../support/service-errors.ts';

const REF = refOf(Buffer.alloc(5000, 'a'));
const DAY_MS = 24 * 3600 * 1000;
const NOW_MS = 1_700_000_000_000;

test('at start: dead leftovers go, what can be gone on with stays, live and foreign files are left alone', async (t) => {
  const folder = await cacheFolder(t);
  const { layout } = folder;
  const clock = new ManualClock(NOW_MS);
  await folder.open({ clock });
  const { self } = await processOwners(() => NOW_MS);
  const dead = deadOwner(self);
  const older = dead.replace(/0{8}$/, '11111111');
  const stranger = '7-100-aaaaaaaaaaaa-00000000';
  const small = refOf(Buffer.from('small'));
  const files = [
    { path: layout.partial(REF, dead, 'data'), ageMs: DAY_MS, isKept: true },
    { path: layout.partial(REF, dead, 'journal'), ageMs: DAY_MS, isKept: true },
    { path: layout.partial(REF, older, 'data'), ageMs: 2 * DAY_MS, isKept: false },
    { path: layout.partial(REF, older, 'journal'), ageMs: 2 * DAY_MS, isKept: false },
    { path: layout.partial(refOf(Buffer.from('no journal')), dead, 'data'), ageMs: 0, isKept: false },
    { path: layout.partial(small, dead, 'journal'), ageMs: 0, isKept: false },
    { path: layout.partial(small, dead, 'put'), ageMs: 0, isKept: false },
    { path: layout.partial(small, dead, 'evicting'), ageMs: 0, isKept: false },
    { path: layout.partial(refOf(Buffer.from('old')), dead, 'data'), ageMs: 8 * DAY_MS, isKept: false },
    { path: layout.partial(refOf(Buffer.from('old')), dead, 'journal'), ageMs: 8 * DAY_MS, isKept: false },
    { path: layout.partial(REF, self, 'data'), ageMs: 9 * DAY_MS, isKept: true },
    { path: layout.partial(REF, stranger, 'data'), ageMs: DAY_MS / 2, isKept: true },
    { path: layout.partial(small, stranger, 'data'), ageMs: 2 * DAY_MS, isKept: false },
    { path: join(layout.partials, 'README'), ageMs: 90 * DAY_MS, isKept: true },
    { path: layout.quarantined(REF.digest, NOW_MS, 'aa'), ageMs: DAY_MS, isKept: true },
    { path: layout.quarantined(REF.digest, NOW_MS, 'bb'), ageMs: 15 * DAY_MS, isKept: false },
    { path: `${layout.stateFile('aliases')}.abc.tmp`, ageMs: DAY_MS, isKept: false },
    { path: `${layout.stateFile('aliases')}.def.tmp`, ageMs: 1000, isKept: true },
    { path: `${layout.stateFile('aliases')}.${dead}.abc.tmp`, ageMs: 1000, isKept: false },
    { path: `${layout.stateFile('aliases')}.${self}.abc.tmp`, ageMs: 1000, isKept: true },
    { path: layout.stateFile('aliases'), ageMs: 90 * DAY_MS, isKept: true },
  ];
  for (const { path, ageMs } of files) {
    await writeFile(path, 'x');
    const seconds = (NOW_MS - ageMs) / 1000;
    await utimes(path, seconds, seconds);
  }
  await mkdir(layout.pinsOf(dead));
  await mkdir(layout.pinsOf(self));
  await mkdir(join(layout.blobs, 'ab'), { recursive: true });
  await writeFile(join(layout.blobs, 'ab', 'notes.txt'), 'x');
  await writeFile(join(layout.blobs, 'ab', `cd${'0'.repeat(62)}`), 'in the wrong folder');

  const cache = await folder.open({ clock });
  const there = await Promise.all(
    [layout.partials, layout.quarantine, layout.state].map(async (path) => (await readdir(path)).map((name) => join(path, name))),
  );
  assert.deepEqual(
    there.flat().toSorted(),
    files
      .filter(({ isKept }) => isKept)
      .map(({ path }) => path)
      .toSorted(),
  );
  assert.deepEqual(cache.scrubReport, { blobs: 0, blobBytes: 0, resumable: 1, removed: 12, quarantined: 1, unexpected: 3 });
  assert.deepEqual((await readdir(layout.pins)).includes(dead), false);
  assert.deepEqual((await readdir(layout.pins)).includes(self), true);
  assert.equal(folder.kinds().filter((kind) => kind === 'unexpected-file').length, 3);
});

test('the report counts what is there', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  await cache.put(refOf(Buffer.from('abc')), Buffer.from('abc'), never);
  const { blobs, blobBytes } = (await folder.open()).scrubReport;
  assert.deepEqual({ blobs, blobBytes }, { blobs: 1, blobBytes: 3 });
});

test('the folder says that it is a cache, and needs at least one chunk in memory', async (t) => {
  const folder = await cacheFolder(t);
  await folder.open();
  // The 43 bytes that backup programs look for.
  assert.ok(
    (await readFile(join(folder.root, 'CACHEDIR.TAG'), 'latin1')).startsWith('Signature: 8a477f597d28d172789f06886806bc55'),
  );
  await assert.rejects(folder.open({}, { parallelChunks: 0 }), isError('invalid-argument', 'INVALID_REQUEST'));
});
