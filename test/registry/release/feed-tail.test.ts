import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { refOf } from '../../../proto/wire/digest.ts';
import { promotion } from '../../../registry/model/alias.ts';
import type { FeedEntry } from '../../../registry/release/catalog.ts';
import { FeedTail } from '../../../registry/release/feed-tail.ts';
import { aliasName, modelName } from '../../support/registry/catalog-records.ts';
import { never } from '../../support/registry/publish.ts';

const MANIFEST = refOf(Buffer.from('manifest'));
const TARGET = { model: modelName('m'), alias: aliasName('production'), version: 1, manifest: MANIFEST };
const EVENT = promotion(undefined, TARGET, { actor: { name: '', isVerified: false }, reason: '', timeMs: 0 });

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
