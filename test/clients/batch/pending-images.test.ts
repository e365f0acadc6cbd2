import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PendingImages } from '../../../clients/batch/pending-images.ts';
import { manualRetry } from '../../support/manual-retry.ts';

const IDS = ['a', 'b', 'c', 'd'];
/** More turns than taking an image needs. */
const TURNS = 30;

for (const kind of ['at hand', 'still to come'] as const) {
  test(`a call that breaks at any moment while an image (${kind}) is taken loses none`, async () => {
    for (let turns = 0; turns < TURNS; turns += 1) {
      const images = IDS.map((id) => ({ id, image: Buffer.from(id) }));
      const source = kind === 'at hand' ? images : later(images);
      const pending = new PendingImages(source, 10, manualRetry());
      const broken = new AbortController();
      const first = pending.take(broken.signal);
      const taking = (async () => {
        await first.next();
        await first.next();
      })();
      for (let turn = 0; turn < turns; turn += 1) {
        await Promise.resolve();
      }
      broken.abort();
      assert.deepEqual(pending.putBackSent(5), []);
      await taking;

      const seen: string[] = [];
      for await (const { id } of pending.take(new AbortController().signal)) {
        seen.push(id);
        pending.finish(id);
      }
      assert.deepEqual(seen.sort(), IDS, `broken after ${turns} turns`);
    }
  });
}

async function* later<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) {
    await Promise.resolve();
    yield value;
  }
}
