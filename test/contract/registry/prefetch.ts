import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { digestOf } from '../../../proto/wire/digest.ts';
import type { PromoteVersionCommand } from '../../../registry/release/promote.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { reportOf, servableOf } from '../../support/registry/server-report.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';

const ONE = digestOf(smallVersion('one').manifestJson);
const TWO = digestOf(smallVersion('two').manifestJson);
const HOUR_MS = 3_600_000;

export function describePrefetch(registry: () => Registry): void {
  describe('prefetch', () => {
    beforeEach(async () => {
      await createClassifier(registry(), 'AMM');
      for (const seed of ['one', 'two']) {
        await publish(registry(), 'AMM', smallVersion(seed));
      }
      await promote({ version: 1 });
    });

    const promote = (change: Partial<PromoteVersionCommand>) =>
      registry().promoteVersion(promotion({ model: 'AMM', version: 2, ...change }), never);
    const prefetch = (version: number, holdSeconds = 0) =>
      registry().prefetchVersion({ model: 'AMM', version, holdSeconds }, never);
    const watch = (cursor = '') => {
      const stop = new AbortController();
      const events = registry().watchAliases({ cursor, heartbeatSeconds: 3600 }, stop.signal)[Symbol.asyncIterator]();
      const next = async (): Promise<WatchEvent> => {
        const { value, done } = await events.next();
        assert.ok(done !== true, 'the watch ended');
        return value;
      };
      return { next, stop: () => stop.abort() };
    };
    const wished = (event: WatchEvent): unknown[] =>
      event.kind === 'prefetch' ? [event.wish.model, event.wish.version, event.wish.manifest.digest] : [event.kind];

    it('tells watchers which version to hold, and for how long', async () => {
      const { next, stop } = watch();
      const snapshot = await next();
      const waiting = next();
      const before = Date.now();
      const { expireTimeMs } = await prefetch(2);
      assert.ok(expireTimeMs >= before + HOUR_MS && expireTimeMs <= Date.now() + HOUR_MS);
      const event = await waiting;
      assert.deepEqual(wished(event), ['AMM', 2, TWO]);
      assert.ok(event.kind === 'prefetch' && event.holdMs > 0 && event.holdMs <= HOUR_MS);
      assert.equal(event.cursor, snapshot.cursor, 'a prefetch is no change in the feed');
      stop();
    });

    it('tells a watcher that comes later, or comes back, of those in force', async () => {
      await prefetch(2);
      const first = watch();
      const { cursor } = await first.next();
      assert.deepEqual(wished(await first.next()), ['AMM', 2, TWO]);
      first.stop();
      await promote({ version: 2 });
      const second = watch(cursor);
      assert.deepEqual(wished(await second.next()), ['AMM', 2, TWO]);
      assert.equal((await second.next()).kind, 'change');
      second.stop();
    });

    it('lets a version be held longer, never shorter', async () => {
      const { next, stop } = watch();
      await next();
      const first = await prefetch(2, 1000);
      const holds = [await next()];
      assert.deepEqual(await prefetch(2, 10).then(({ expireTimeMs }) => expireTimeMs), first.expireTimeMs);
      await prefetch(2, 5000);
      holds.push(await next());
      await prefetch(1);
      assert.deepEqual(wished(await next()), ['AMM', 1, ONE], 'the shorter one was no news');
      // What is left of it when it is told, however long that took.
      const [short = 0, long = 0] = holds.map((event) => (event.kind === 'prefetch' ? event.holdMs : Number.NaN));
      assert.ok(short > 0 && short <= 1_000_000, `${short} ms of 1000 s`);
      assert.ok(long > 1_000_000 && long <= 5_000_000, `${long} ms of 5000 s`);
      stop();
    });

    it('refuses what does not exist or makes no sense', async () => {
      await assert.rejects(prefetch(9), isError('not-found', 'VERSION_NOT_FOUND'));
      const other = registry().prefetchVersion({ model: 'GMM', version: 1, holdSeconds: 0 }, never);
      await assert.rejects(other, isError('not-found', 'MODEL_NOT_FOUND'));
      const bad = registry().prefetchVersion({ model: '', version: 0, holdSeconds: 604_801 }, never);
      await assert.rejects(bad, hasViolationAt('INVALID_REQUEST', 'model', 'version', 'hold_seconds'));
      await prefetch(1, 604_800);
    });

    it('moves an alias only when enough servers hold the version ready, if asked to', async () => {
      const refusal = await rejection(promote({ requireReady: 2 }));
      assert.deepEqual(
        [refusal.kind, refusal.reason, refusal.metadata],
        ['failed-precondition', 'NOT_ENOUGH_READY', { ready: '0', required: '2' }],
      );
      assert.match(refusal.message, /no live server/);
      const failure = { kind: 'failed-precondition', reason: 'LOAD_FAILED', message: 'no such operator' } as const;
      const report = (name: string, sequence: number, change: object) =>
        registry().reportServables(reportOf(name, { sequence, servables: [servableOf(2, TWO, change)] }), never);
      await report('a', 1, { state: 'fetched' });
      await report('b', 1, { state: 'loading', failure });
      const { server } = reportOf('c');
      assert.ok(server);
      // It has the version for another alias, and says nothing about this one.
      const elsewhere = { ...server, servedAliases: ['canary'] };
      await registry().reportServables(reportOf('c', { server: elsewhere, servables: [servableOf(2, TWO)] }), never);
      const closer = await rejection(promote({ requireReady: 2 }));
      assert.deepEqual(closer.metadata, { ready: '1', required: '2' });
      assert.match(closer.message, /b: no such operator \[LOAD_FAILED\]/);
      assert.equal((await registry().getModel('AMM', never)).aliases[0]?.version, 1);
      await report('b', 2, { state: 'fetched' });
      // Nobody is to blame but that there are no more of them.
      assert.match((await rejection(promote({ requireReady: 3 }))).message, /by 2 of the 3 servers required for \S+@production$/);
      assert.equal((await promote({ requireReady: 2 })).alias.version, 2);
    });

    it('asks nobody when the alias is there already, or the request was answered before', async () => {
      assert.equal((await promote({ version: 1, requireReady: 5 })).alias.revision, 1);
      await registry().reportServables(reportOf('a', { servables: [servableOf(2, TWO)] }), never);
      const first = await promote({ requireReady: 1, requestId: 'once' });
      await registry().reportServables(reportOf('a', { sequence: 2, isStopping: true }), never);
      assert.deepEqual(await promote({ requireReady: 1, requestId: 'once' }), first);
      await assert.rejects(promote({ requireReady: 2, requestId: 'once' }), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
    });
  });
}
