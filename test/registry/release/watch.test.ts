import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { refOf } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { MemoryWishes } from '../../../registry/adapters/memory/memory-wishes.ts';
import { type AliasState, promotion as moveTo } from '../../../registry/model/alias.ts';
import type { FeedEntry } from '../../../registry/release/catalog.ts';
import { FeedFollower } from '../../../registry/release/feed-follower.ts';
import { FeedTail } from '../../../registry/release/feed-tail.ts';
import type { PrefetchWishes } from '../../../registry/release/prefetch-wishes.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { aliasName, modelName } from '../../support/registry/catalog-records.ts';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

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

const MANIFEST = refOf(Buffer.from('manifest'));
const TARGET = { model: modelName('m'), alias: aliasName('production'), version: 1, manifest: MANIFEST };
const EVENT = moveTo(undefined, TARGET, { actor: { name: '', isVerified: false }, reason: '', timeMs: 0 });

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

describe('feed tail', () => {
  const entry = (sequence: number): FeedEntry => ({ sequence, event: EVENT });
  const from = (sequence: number, count: number): FeedEntry[] =>
    Array.from({ length: count }, (_, index) => entry(sequence + 1 + index));

  function start(length: number) {
    const bench = { length, asked: [] as number[] };
    const tail = new FeedTail({
      snapshot: async () => ({ sequence: bench.length, aliases: [] }),
      readFeed: async (sequence, limit) => {
        bench.asked.push(sequence);
        return sequence > bench.length ? undefined : from(sequence, Math.min(limit, bench.length - sequence));
      },
    });
    const numbers = async (sequence: number) => (await tail.read(sequence, never))?.map((found) => found.sequence);
    return { bench, tail, numbers };
  }

  it('gives each reader all changes after its position, whatever others have read', async () => {
    const { bench, numbers } = start(1200);
    const positions = [0, 1150, 700, 1199, 1100, 0, 1120];
    for (const position of positions) {
      const expected = from(position, Math.min(100, 1200 - position)).map(({ sequence }) => sequence);
      assert.deepEqual(await numbers(position), expected);
    }
    bench.length = 1201;
    assert.deepEqual(await numbers(1200), [1201]);
    assert.deepEqual(
      await numbers(1150),
      from(1150, 51).map(({ sequence }) => sequence),
    );
  });

  it('takes a change of this process without reading it, and leaves no gap before it', async () => {
    const { bench, tail, numbers } = start(3);
    await numbers(0);
    bench.length = 6;
    tail.add(entry(4));
    assert.deepEqual(await numbers(3), [4]);
    assert.deepEqual(bench.asked, [0]);
    // Another process made change 5; the changes of this one were answered in another order than they were made in.
    tail.add(entry(6));
    tail.add(entry(4));
    assert.deepEqual(await numbers(5), [6]);
    assert.deepEqual(await numbers(3), [4, 5, 6]);
    assert.deepEqual(bench.asked, [0, 3]);
  });

  it('reads what it holds no second time, and says of no other position that it is on the feed', async () => {
    const { bench, numbers } = start(3);
    assert.deepEqual(await numbers(0), [1, 2, 3]);
    assert.deepEqual(await numbers(1), [2, 3]);
    assert.deepEqual(bench.asked, [0]);
    assert.deepEqual(await numbers(3), []);
    assert.equal(await numbers(4), undefined);
    assert.deepEqual(bench.asked, [0, 3, 4]);
  });
});

describe('feed follower', () => {
  const failure = new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'gone');

  it('ends its waiters with the failure of the store, and asks again for the next', async () => {
    const clock = new ManualClock();
    let heads: (() => Promise<number>)[] = [() => Promise.reject(failure), () => Promise.resolve(4)];
    const follower = new FeedFollower({ feedHead: () => (heads.shift() ?? (async () => 4))() }, clock, { pollMs: POLL_MS });
    await assert.rejects(follower.waitBeyond(3, 10_000, never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
    assert.equal(await follower.waitBeyond(3, 10_000, never), true);
    assert.equal(await follower.waitBeyond(3, 10_000, never), true);
    heads = [];
  });

  it('says what the head is without a question where one was answered a moment ago, and asks once for all', async () => {
    const clock = new ManualClock();
    let questions = 0;
    const follower = new FeedFollower({ feedHead: async () => ++questions }, clock, { pollMs: POLL_MS });
    assert.deepEqual(await Promise.all([follower.current(never), follower.current(never)]), [1, 1]);
    clock.advance(POLL_MS - 1);
    assert.equal(await follower.current(never), 1);
    clock.advance(1);
    assert.equal(await follower.current(never), 2);
    // A clock that is set back holds up no question.
    clock.advance(-3_600_000);
    assert.equal(await follower.current(never), 3);
  });

  it('asks nothing while nobody waits', async () => {
    const clock = new ManualClock();
    let questions = 0;
    const follower = new FeedFollower({ feedHead: async () => (questions++, 0) }, clock, { pollMs: POLL_MS });
    const stop = new AbortController();
    const waiting = follower.waitBeyond(0, 10_000, stop.signal);
    await clock.untilSleeping(2);
    stop.abort();
    await assert.rejects(waiting, isError('cancelled', 'CANCELLED'));
    assert.equal(clock.sleepers, 0);
    clock.advance(10 * POLL_MS);
    assert.equal(questions, 1);
    await assert.rejects(follower.waitBeyond(0, 1, stop.signal), isError('cancelled', 'CANCELLED'));
  });

  it('misses no change between reading and waiting', async () => {
    const follower = new FeedFollower({ feedHead: async () => 0 }, new ManualClock(), { pollMs: POLL_MS });
    follower.notify(5);
    assert.equal(await follower.waitBeyond(4, 10_000, never), true);
  });
});
