import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Registry } from '../../../registry/release/registry.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

export function describeWatch(registry: () => Registry): void {
  describe('watch', () => {
    beforeEach(async () => {
      await createClassifier(registry(), 'AMM');
      for (const seed of ['one', 'two', 'three']) {
        await publish(registry(), 'AMM', smallVersion(seed));
      }
      await registry().promoteVersion(promotion({ model: 'AMM', version: 1 }), never);
    });

    const watch = (cursor = '') => {
      const stop = new AbortController();
      const events = registry().watchAliases({ cursor, heartbeatSeconds: 3600 }, stop.signal)[Symbol.asyncIterator]();
      const next = async (): Promise<WatchEvent> => {
        const { value, done } = await events.next();
        assert.ok(done !== true, 'the watch ended');
        return value;
      };
      return { next, stop: () => stop.abort(), events };
    };

    it('gives a snapshot, then each change once and in order', async () => {
      const { next, stop } = watch();
      const snapshot = await next();
      assert.ok(snapshot.kind === 'snapshot' && snapshot.isComplete);
      assert.deepEqual(
        snapshot.aliases.map(({ alias, version, revision }) => [alias, version, revision]),
        [['production', 1, 1]],
      );
      const waiting = next();
      await registry().promoteVersion(promotion({ model: 'AMM', version: 2 }), never);
      await registry().promoteVersion(promotion({ model: 'AMM', version: 3, alias: 'canary' }), never);
      const changes = [await waiting, await next()];
      assert.deepEqual(
        changes.map((event) =>
          event.kind === 'change' ? [event.alias.alias, event.alias.version, event.alias.revision] : event.kind,
        ),
        [
          ['production', 2, 2],
          ['canary', 3, 1],
        ],
      );
      stop();
    });

    it('goes on after a cursor without a snapshot', async () => {
      const first = watch();
      const { cursor } = await first.next();
      first.stop();
      for (const version of [2, 3]) {
        await registry().promoteVersion(promotion({ model: 'AMM', version }), never);
      }
      const second = watch(cursor);
      const change = await second.next();
      assert.ok(change.kind === 'change');
      assert.equal(change.alias.version, 2);
      second.stop();
      const third = watch(change.cursor);
      const last = await third.next();
      assert.ok(last.kind === 'change');
      assert.equal(last.alias.version, 3);
      third.stop();
    });

    it('starts again with a snapshot after the cursor of another store', async () => {
      const foreign = Buffer.from('1.1.another-store').toString('base64url');
      const { next, stop } = watch(foreign);
      assert.equal((await next()).kind, 'snapshot');
      stop();
    });

    it('refuses what is no cursor, and a heartbeat out of range', async () => {
      await assert.rejects(watch('nonsense').next(), hasViolationAt('INVALID_CURSOR', 'cursor'));
      const slow = registry().watchAliases({ cursor: '', heartbeatSeconds: 3601 }, never)[Symbol.asyncIterator]();
      await assert.rejects(Promise.resolve(slow.next()), hasViolationAt('INVALID_REQUEST', 'heartbeat_seconds'));
    });

    it('ends when the caller leaves', async () => {
      const { next, stop } = watch();
      await next();
      const waiting = next();
      stop();
      await assert.rejects(waiting, isError('cancelled', 'CANCELLED'));
    });
  });
}
