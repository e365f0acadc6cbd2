import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { FeedFollower } from '../../../registry/release/feed-follower.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { never } from '../../support/registry/publish.ts';
import { isError } from '../../support/service-errors.ts';

const POLL_MS = 250;

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
