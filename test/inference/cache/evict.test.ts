import assert from 'node:assert/strict';
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ArtifactCache } from '../../../inference/cache/artifact-cache.ts';
import { nodeDisk } from '../../../inference/cache/disk.ts';
import { chooseVictims } from '../../../inference/cache/evict.ts';
import { processOwners } from '../../../inference/cache/owners.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { type CacheFolder, cacheFolder, deadOwner, never } from '../../support/cache-folder.ts';
import { deferred } from '../../support/deferred.ts';
import { blobOf, FakeBlobSource, patternBytes } from '../../support/fake-blob-source.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { isError } from '../../support/service-errors.ts';

const SIZE = 1000;
const A = patternBytes(SIZE, 1);
const B = patternBytes(SIZE, 2);
const C = patternBytes(SIZE, 3);
const D = patternBytes(SIZE, 4);
const NAMES = new Map([A, B, C, D].map((bytes, index) => [refOf(bytes).digest, 'ABCD'.charAt(index)]));

test('over its budget the longest unused blobs go', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const cache = await folder.open({ clock }, { maxBytes: 3 * SIZE });
  await fetchAll(cache, clock, A, B, C);
  await cache.lookup(refOf(A), never);
  clock.advance(1000);
  await fetchAll(cache, clock, D);
  assert.equal(await held(cache), 'ACD');
  assert.deepEqual(evicted(folder), 'B');
});

test('last use is known to the next server', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const first = await folder.open({ clock });
  await fetchAll(first, clock, A, B, C);
  await first.readSmall(refOf(A), SIZE, never);
  clock.advance(1000);
  const second = await folder.open({ clock }, { maxBytes: 2 * SIZE });
  await fetchAll(second, clock, D);
  assert.equal(await held(second), 'AD');
});

test('a pinned blob stays, however long unused, until its last pin is disposed', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const cache = await folder.open({ clock }, { maxBytes: SIZE });
  const pins = [await cache.pin([refOf(A)]), await cache.pin([refOf(A), refOf(B)])];
  await fetchAll(cache, clock, A, B, C);
  // C is the one just fetched; the budget is exceeded by pinned blobs alone.
  assert.equal(await held(cache), 'ABC');
  assert.ok(folder.kinds().includes('over-budget'));
  pins[1]?.[Symbol.dispose]();
  pins[1]?.[Symbol.dispose]();
  await fetchAll(cache, clock, D);
  assert.equal(await held(cache), 'AD');
  pins[0]?.[Symbol.dispose]();
  await fetchAll(cache, clock, B);
  assert.equal(await held(cache), 'B');
});

test("another server's pin holds too; a dead server's does not", async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const other = await folder.open({ clock });
  const cache = await folder.open({ clock }, { maxBytes: SIZE });
  await other.pin([refOf(A)]);
  const { self } = await processOwners(() => clock.nowMs());
  await mkdir(folder.layout.pinsOf(deadOwner(self)));
  await writeFile(folder.layout.pin(refOf(B).digest, deadOwner(self)), '');
  await fetchAll(cache, clock, A, B, C);
  assert.equal(await held(cache), 'AC');
  await other.close();
  await fetchAll(cache, clock, D);
  assert.equal(await held(cache), 'D');
});

test('a pin of a server out of sight holds for a day after its last sign', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000_000_000);
  const cache = await folder.open({ clock }, { maxBytes: SIZE });
  const stranger = '7-100-aaaaaaaaaaaa-00000000';
  await mkdir(folder.layout.pinsOf(stranger));
  await writeFile(folder.layout.pin(refOf(A).digest, stranger), '');
  await utimes(folder.layout.pinsOf(stranger), clock.nowMs() / 1000, clock.nowMs() / 1000);
  await fetchAll(cache, clock, A, B);
  assert.equal(await held(cache), 'AB');
  clock.advance(25 * 3600 * 1000);
  await fetchAll(cache, clock, C);
  assert.equal(await held(cache), 'C');
});

test('renew is the sign: the folder of pins carries the time', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000_000_000);
  const cache = await folder.open({ clock });
  await cache.renew();
  await cache.pin([refOf(A)]);
  clock.advance(3_600_000);
  await cache.renew();
  const [owner = ''] = await readdir(folder.layout.pins);
  assert.equal((await stat(folder.layout.pinsOf(owner))).mtimeMs, clock.nowMs());
});

test('a blob that a call is at work on is not evicted under it', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const cache = await folder.open({ clock }, { maxBytes: SIZE });
  const slow = new FakeBlobSource('slow', A);
  const opened = deferred();
  const gate = deferred();
  slow.onOpen = () => {
    opened.resolve();
    return gate.promise;
  };
  const ensured = cache.ensure(blobOf(A), [slow], never);
  await opened.promise;
  await fetchAll(cache, clock, B);
  gate.resolve();
  await ensured;
  assert.equal(await held(cache), 'A');
});

test('a pin that comes while the name is taken away brings the file back', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const owners = await processOwners(() => clock.nowMs());
  const other = await folder.open({ clock });
  let asked = 0;
  const cache = await folder.open(
    {
      clock,
      owners: {
        self: owners.self,
        // Asked once before the choice of victims and once after their names are gone: the pin comes in between.
        isAlive: async (id, seenMs) => {
          asked += 1;
          if (asked === 1) {
            return false;
          }
          return owners.isAlive(id, seenMs);
        },
      },
    },
    { maxBytes: 2 * SIZE },
  );
  await fetchAll(cache, clock, A, B);
  await other.pin([refOf(A)]);
  asked = 0;
  await fetchAll(cache, clock, C);
  assert.ok(asked >= 2);
  assert.equal((await held(cache)).includes('A'), true);
  assert.deepEqual(await folder.partials(), []);
});

test('quarantine and idle downloads go before any blob', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const cache = await folder.open({ clock }, { maxBytes: 12_000 });
  await fetchAll(cache, clock, A, B);
  await cache.quarantine(refOf(B), 'test');
  const failing = new FakeBlobSource('failing', D);
  failing.faultOf = () => 'unavailable';
  await assert.rejects(cache.ensure(blobOf(D), [failing], never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.equal((await folder.partials()).length, 2);
  const large = patternBytes(11_000, 9);
  await cache.ensure(blobOf(large), [new FakeBlobSource('source', large)], never);
  assert.equal(await held(cache), 'A');
  assert.deepEqual(await folder.partials(), []);
  assert.deepEqual(await folder.quarantined(), []);
  assert.deepEqual(evicted(folder), '');
});

test('an unlimited budget still makes room on a full volume', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  const volume = 2 * SIZE;
  // Read through another server's cache: what is free is what the files leave.
  const witness = await folder.open();
  const freeBytes = async (): Promise<number> => volume - SIZE * (await witness.usage()).blobs;
  const cache = await folder.open({ clock, disk: { ...nodeDisk, freeBytes } });
  await cache.pin([refOf(A)]);
  await fetchAll(cache, clock, A, B, C);
  assert.equal(await held(cache), 'AC');
  await cache.pin([refOf(C)]);
  await assert.rejects(fetchAll(cache, clock, D), isError('resource-exhausted', 'STORAGE_FULL'));
  assert.equal(await held(cache), 'AC');
});

test('for a blob that the volume cannot hold whatever goes, nothing goes', async (t) => {
  const folder = await cacheFolder(t);
  const clock = new ManualClock(1_000_000);
  await fetchAll(await folder.open({ clock }), clock, A, B);
  const cache = await folder.open({ clock, disk: { ...nodeDisk, freeBytes: async () => SIZE } }, { maxBytes: SIZE });
  const large = patternBytes(3 * SIZE + 1, 9);
  await assert.rejects(cache.ensure(blobOf(large), [], never), isError('resource-exhausted', 'STORAGE_FULL'));
  assert.equal(await held(cache), 'AB');
});

test('usage counts what the folder holds', async (t) => {
  const folder = await cacheFolder(t);
  const cache = await folder.open();
  await fetchAll(cache, new ManualClock(0), A, B);
  assert.deepEqual(await cache.usage(), { blobs: 2, usedBytes: 2 * SIZE });
});

test('victims: none that is held, no more than needed, the longest unused first, enough where there is enough', () => {
  const blob = fc.record({ name: fc.string(), sizeBytes: fc.nat(100), lastUseMs: fc.nat(20), isHeld: fc.boolean() });
  fc.assert(
    fc.property(fc.array(blob), fc.nat(500), (entries, toFreeBytes) => {
      const blobs = entries.map((entry, index) => ({ ...entry, digest: digestOf(Buffer.from(`${index} ${entry.name}`)) }));
      const heldDigests = new Set(blobs.filter(({ isHeld }) => isHeld).map(({ digest }) => digest));
      const victims = chooseVictims(blobs, toFreeBytes, (digest) => heldDigests.has(digest));
      const spared = blobs.filter(
        ({ digest }) => !heldDigests.has(digest) && !victims.some((victim) => victim.digest === digest),
      );
      const freed = victims.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      assert.ok(victims.every(({ digest }) => !heldDigests.has(digest)));
      assert.ok(freed >= toFreeBytes || spared.length === 0);
      assert.ok(freed - (victims.at(-1)?.sizeBytes ?? 0) < toFreeBytes || victims.length === 0);
      const newest = Math.max(...victims.map(({ lastUseMs }) => lastUseMs));
      assert.ok(spared.every(({ lastUseMs }) => lastUseMs >= newest));
    }),
    { seed: 1 },
  );
});

async function fetchAll(cache: ArtifactCache, clock: ManualClock, ...blobs: readonly Buffer[]): Promise<void> {
  for (const bytes of blobs) {
    await cache.ensure(blobOf(bytes), [new FakeBlobSource('source', bytes)], never);
    clock.advance(1000);
  }
}

/** Which of A to D the cache has; looked at through files, which is no use. */
async function held(cache: ArtifactCache): Promise<string> {
  const found: string[] = [];
  for await (const { digest } of cache.rehash(never)) {
    found.push(NAMES.get(digest) ?? '');
  }
  return found.toSorted().join('');
}

function evicted(folder: CacheFolder): string {
  return folder.events.map((event) => (event.kind === 'blob-evicted' ? NAMES.get(event.digest) : '')).join('');
}
