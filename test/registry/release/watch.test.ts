import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryWishes } from '../../../registry/adapters/memory/memory-wishes.ts';
import type { AliasState } from '../../../registry/model/alias.ts';
import type { PrefetchWishes } from '../../../registry/release/prefetch-wishes.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';

const POLL_MS = 250;

async function publishThree(registry: Registry): Promise<void> {
  await createClassifier(registry, 'm');
  for (const seed of ['one', 'two', 'three']) {
    await publish(registry, 'm', smallVersion(seed));
  }
}

function watch(registry: Registry, cursor = ''): { next: () => Promise<WatchEvent>; stop: () => void } {
  const stop = new AbortController();
  const events = registry.watchAliases({ cursor, heartbeatSeconds: 5 }, stop.signal)[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { value, done } = await events.next();
      assert.ok(done !== true);
      return value;
    },
    stop: () => stop.abort(),
  };
}

function versionIn(event: WatchEvent): number | string {
  return event.kind === 'change' ? event.alias.version : event.kind;
}

describe('watch', () => {
  it('tells of a promotion in this process without asking the store', async () => {
    await using folder = await temporaryFolder();
    const clock = new ManualClock();
    using embedded = await openEmbedded(folder.path, { clock, feedPollMs: POLL_MS });
    await publishThree(embedded.registry);
    const { next, stop } = watch(embedded.registry);
    assert.equal((await next()).kind, 'snapshot');
    const waiting = next();
    // Asleep until the next questions, for the feed and for prefetches, and for both until the heartbeat; the clock stands still
    // from here on.
    await clock.untilSleeping(4);
    await embedded.registry.promoteVersion(promotion({ model: 'm', version: 2 }), never);
    assert.equal(versionIn(await waiting), 2);
    stop();
  });

  it('sees what another instance on the same store does, at the next question', async () => {
    await using folder = await temporaryFolder();
    const clock = new ManualClock();
    using here = await openEmbedded(folder.path, { clock, feedPollMs: POLL_MS });
    using there = await openEmbedded(folder.path);
    await publishThree(here.registry);
    const first = watch(here.registry);
    const second = watch(here.registry);
    await first.next();
    await second.next();
    const waiting = [first.next(), second.next()];
    await clock.untilSleeping(6);
    await there.registry.promoteVersion(promotion({ model: 'm', version: 1 }), never);
    await there.registry.promoteVersion(promotion({ model: 'm', version: 2 }), never);
    clock.advance(POLL_MS);
    assert.deepEqual((await Promise.all(waiting)).map(versionIn), [1, 1]);
    assert.deepEqual((await Promise.all([first.next(), second.next()])).map(versionIn), [2, 2]);
    first.stop();
    second.stop();
  });

  it('sends heartbeats while nothing happens, whose cursor resumes', async () => {
    await using folder = await temporaryFolder();
    const clock = new ManualClock();
    using embedded = await openEmbedded(folder.path, { clock, feedPollMs: 3_600_000 });
    await publishThree(embedded.registry);
    const { next, stop } = watch(embedded.registry);
    const snapshot = await next();
    for (let beat = 0; beat < 2; beat++) {
      const waiting = next();
      await clock.untilSleeping(4);
      clock.advance(5000);
      assert.deepEqual(await waiting, { kind: 'heartbeat', cursor: snapshot.cursor });
    }
    stop();
  });

  it('gives a slow reader every change, from the feed', async () => {
    await using folder = await temporaryFolder();
    using embedded = await openEmbedded(folder.path);
    await publishThree(embedded.registry);
    const { next, stop } = watch(embedded.registry);
    await next();
    const expected: number[] = [];
    for (let move = 0; move < 120; move++) {
      expected.push((move % 2) + 1);
      await embedded.registry.promoteVersion(promotion({ model: 'm', version: (move % 2) + 1 }), never);
    }
    const seen: (number | string)[] = [];
    while (seen.length < expected.length) {
      seen.push(versionIn(await next()));
    }
    assert.deepEqual(seen, expected);
    stop();
  });

  it('cuts a long snapshot into parts, and only the last has a cursor', async () => {
    await using folder = await temporaryFolder();
    using embedded = await openEmbedded(folder.path, {
      wrapCatalog: (catalog) => ({
        ...catalog,
        snapshot: async (signal) => {
          const { sequence, aliases } = await catalog.snapshot(signal);
          return { sequence, aliases: Array.from({ length: 1001 }, () => aliases[0]).filter((state) => state !== undefined) };
        },
      }),
    });
    await publishThree(embedded.registry);
    await embedded.registry.promoteVersion(promotion({ model: 'm', version: 1 }), never);
    const { next, stop } = watch(embedded.registry);
    const parts: [number, boolean, boolean][] = [];
    for (let part = 0; part < 3; part++) {
      const event = await next();
      assert.ok(event.kind === 'snapshot');
      const aliases: readonly AliasState[] = event.aliases;
      parts.push([aliases.length, event.isComplete, event.cursor !== '']);
    }
    assert.deepEqual(parts, [
      [500, false, false],
      [500, false, false],
      [1, true, true],
    ]);
    stop();
  });

  it('starts again with a snapshot when the store was put back to an earlier state', async () => {
    await using folder = await temporaryFolder();
    using embedded = await openEmbedded(folder.path);
    await publishThree(embedded.registry);
    const cursor = Buffer.from(`1.7.${embedded.catalog.storeId}`).toString('base64url');
    const { next, stop } = watch(embedded.registry, cursor);
    assert.equal((await next()).kind, 'snapshot');
    stop();
  });
});

describe('many watchers of one registry', () => {
  const WATCHERS = 20;

  async function start(path: string) {
    const clock = new ManualClock();
    const asked = { snapshot: 0, feedHead: 0, readFeed: 0, wishHead: 0, wishList: 0 };
    const known = new MemoryWishes();
    const wishes: PrefetchWishes = {
      put: (wish, nowMs, signal) => known.put(wish, nowMs, signal),
      list: (nowMs, signal) => (asked.wishList++, known.list(nowMs, signal)),
      head: (signal) => (asked.wishHead++, known.head(signal)),
    };
    const embedded = await openEmbedded(path, {
      clock,
      feedPollMs: POLL_MS,
      wishes,
      wrapCatalog: (catalog) => ({
        ...catalog,
        feedHead: (signal) => (asked.feedHead++, catalog.feedHead(signal)),
        readFeed: (...query) => (asked.readFeed++, catalog.readFeed(...query)),
        snapshot: (signal) => (asked.snapshot++, catalog.snapshot(signal)),
      }),
    });
    await publishThree(embedded.registry);
    const watchers = Array.from({ length: WATCHERS }, () => watch(embedded.registry));
    // All at once, as after a restart of the registry.
    for (const event of await Promise.all(watchers.map(({ next }) => next()))) {
      assert.equal(event.kind, 'snapshot');
    }
    assert.equal(asked.snapshot, 1);
    const allNext = (): Promise<WatchEvent>[] => watchers.map(({ next }) => next());
    /** Each watcher sleeps twice until its heartbeat, and the two questions until they are due. */
    const untilAsleep = (): Promise<void> => clock.untilSleeping(2 * WATCHERS + 2);
    const stop = (): void => {
      for (const watcher of watchers) {
        watcher.stop();
      }
      embedded[Symbol.dispose]();
    };
    return { embedded, clock, asked, allNext, untilAsleep, stop };
  }

  it('ask the store no more than one does, whether nothing happens or something', async () => {
    await using folder = await temporaryFolder();
    const { embedded, clock, asked, allNext, untilAsleep, stop } = await start(folder.path);
    let waiting = allNext();
    await untilAsleep();
    const atRest = { ...asked };
    clock.advance(5000);
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ kind }) => kind),
      Array.from({ length: WATCHERS }, () => 'heartbeat'),
    );
    waiting = allNext();
    await untilAsleep();
    assert.deepEqual(asked, { ...atRest, feedHead: atRest.feedHead + 1, wishHead: atRest.wishHead + 1 });

    const before = { ...asked };
    await embedded.registry.promoteVersion(promotion({ model: 'm', version: 2 }), never);
    assert.deepEqual(
      (await Promise.all(waiting)).map(versionIn),
      Array.from({ length: WATCHERS }, () => 2),
    );
    waiting = allNext();
    await untilAsleep();
    // What this process did it knows.
    assert.deepEqual(asked, before);

    using other = await openEmbedded(folder.path);
    await other.registry.promoteVersion(promotion({ model: 'm', version: 3 }), never);
    clock.advance(POLL_MS);
    assert.deepEqual(
      (await Promise.all(waiting)).map(versionIn),
      Array.from({ length: WATCHERS }, () => 3),
    );
    waiting = allNext();
    await untilAsleep();
    assert.deepEqual(asked, { ...before, feedHead: before.feedHead + 1, readFeed: before.readFeed + 1 });
    stop();
    await Promise.allSettled(waiting);
  });

  it('read a new wish once', async () => {
    await using folder = await temporaryFolder();
    const { embedded, asked, allNext, untilAsleep, stop } = await start(folder.path);
    let waiting = allNext();
    await untilAsleep();
    const { wishList } = asked;
    await embedded.registry.prefetchVersion({ model: 'm', version: 3, holdSeconds: 60 }, never);
    assert.deepEqual(
      (await Promise.all(waiting)).map((event) => event.kind === 'prefetch' && [event.wish.version, event.holdMs]),
      Array.from({ length: WATCHERS }, () => [3, 60_000]),
    );
    waiting = allNext();
    await untilAsleep();
    assert.equal(asked.wishList, wishList + 1);
    stop();
    await Promise.allSettled(waiting);
  });
});
