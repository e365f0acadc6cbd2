import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { refOf } from '../../proto/wire/digest.ts';
import type { PrefetchWish, PrefetchWishes } from '../../registry/release/prefetch-wishes.ts';
import { asModel } from '../support/made-version.ts';
import { never } from '../support/registry/publish.ts';
import { isError } from '../support/service-errors.ts';

/** To come, since DynamoDB itself removes what has ended. */
const NOW = Date.UTC(2100, 0, 1);
const MANIFEST = refOf(Buffer.from('manifest'));

/** What every adapter of the PrefetchWishes port promises. */
export function describePrefetchWishes(name: string, create: () => Promise<PrefetchWishes>): void {
  describe(`prefetch wishes: ${name}`, () => {
    let wishes: PrefetchWishes;
    beforeEach(async () => {
      wishes = await create();
    });
    const listed = async (nowMs: number) =>
      (await wishes.list(nowMs, never)).map(({ model, version }) => `${model}:${version}`).toSorted();

    it('gives each wish until it expires', async () => {
      await wishes.put(wish('M', 1, 1000), NOW, never);
      await wishes.put(wish('M', 2, 2000), NOW, never);
      await wishes.put(wish('N', 1, 2000), NOW, never);
      assert.deepEqual(await wishes.list(NOW + 1999, never), [wish('M', 2, 2000), wish('N', 1, 2000)]);
      assert.deepEqual(await listed(NOW + 2000), []);
    });

    it('keeps the later end of two wishes for one version', async () => {
      assert.deepEqual(await wishes.put(wish('M', 1, 2000), NOW, never), wish('M', 1, 2000));
      assert.deepEqual(await wishes.put(wish('M', 1, 1000), NOW, never), wish('M', 1, 2000));
      assert.deepEqual(await wishes.put(wish('M', 1, 3000), NOW, never), wish('M', 1, 3000));
      assert.deepEqual(await wishes.list(NOW, never), [wish('M', 1, 3000)]);
    });

    it('grows its head with what is new only', async () => {
      const heads = [await wishes.head(never)];
      for (const next of [wish('M', 1, 1000), wish('M', 1, 500), wish('M', 1, 2000), wish('M', 2, 1000)]) {
        await wishes.put(next, NOW, never);
        heads.push(await wishes.head(never));
      }
      const grew = heads.slice(1).map((head, index) => head > (heads[index] ?? 0));
      assert.deepEqual(grew, [true, false, true, true]);
    });

    it('holds a hundred; a known one may be put again, and one that expired makes room', async () => {
      for (let version = 1; version <= 100; version += 1) {
        await wishes.put(wish('M', version, version === 1 ? 1000 : 5000), NOW, never);
      }
      const isFull = isError('failed-precondition', 'PREFETCHES_FULL');
      await assert.rejects(wishes.put(wish('M', 101, 5000), NOW, never), isFull);
      await wishes.put(wish('M', 2, 6000), NOW, never);
      await wishes.put(wish('M', 101, 5000), NOW + 1000, never);
      assert.equal((await listed(NOW + 1000)).length, 100);
      // The one that made room comes back when another has ended.
      await assert.rejects(wishes.put(wish('M', 1, 9000), NOW + 1000, never), isFull);
      assert.deepEqual(await wishes.put(wish('M', 1, 9000), NOW + 5000, never), wish('M', 1, 9000));
      assert.deepEqual(await listed(NOW + 5000), ['M:1', 'M:2']);
    });

    it('stops for a caller who left', async () => {
      const left = AbortSignal.abort();
      const isCancelled = isError('cancelled', 'CANCELLED');
      await assert.rejects(wishes.put(wish('M', 1, 1000), NOW, left), isCancelled);
      await assert.rejects(wishes.list(NOW, left), isCancelled);
      await assert.rejects(wishes.head(left), isCancelled);
      assert.deepEqual(await listed(NOW), []);
    });
  });
}

export function wish(model: string, version: number, ms: number): PrefetchWish {
  return { model: asModel(model), version, manifest: MANIFEST, expireTimeMs: NOW + ms };
}
