import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../../../proto/wire/digest.ts';
import type { RolloutEvent } from '../../../registry/release/rollout.ts';
import { type EmbeddedRegistry, openEmbedded } from '../../support/registry/embedded-registry.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { reportOf, servableOf, servedOf } from '../../support/registry/server-report.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';

const TTL_MS = 30_000;
const ONE = digestOf(smallVersion('one').manifestJson);

async function bench(folder: string): Promise<{ embedded: EmbeddedRegistry; clock: ManualClock }> {
  const clock = new ManualClock();
  const embedded = await openEmbedded(folder, { clock, feedPollMs: 250, serverTtlMs: TTL_MS });
  await createClassifier(embedded.registry, 'AMM');
  await publish(embedded.registry, 'AMM', smallVersion('one'));
  await embedded.registry.promoteVersion(promotion({ model: 'AMM', version: 1 }), never);
  return { embedded, clock };
}

const report = (embedded: EmbeddedRegistry, name: string, sequence = 1) =>
  embedded.registry.reportServables(
    reportOf(name, { sequence, servables: [servableOf(1, ONE)], aliases: [servedOf(1, ONE)] }),
    never,
  );

function names(event: RolloutEvent): string {
  return event.kind === 'rollout' ? event.rollout.servers.map(({ name }) => name).join(' ') : event.kind;
}

describe('rollout over time', () => {
  it('forgets a server that says nothing for its time, unless it renews its report', async () => {
    await using folder = await temporaryFolder();
    const { embedded, clock } = await bench(folder.path);
    using _ = embedded;
    await report(embedded, 'dies');
    await report(embedded, 'lives');
    const servers = async () =>
      (await embedded.registry.getRollout({ model: 'AMM', alias: 'production' }, never)).servers.map(
        ({ name, reportTimeMs }) => `${name} ${clock.nowMs() - reportTimeMs}`,
      );
    clock.advance(TTL_MS - 1);
    await report(embedded, 'lives', 2);
    assert.deepEqual(await servers(), [`dies ${TTL_MS - 1}`, 'lives 0']);
    clock.advance(1);
    assert.deepEqual(await servers(), ['lives 1']);
  });

  it('tells a watcher that a server is gone at the moment its time is up', async () => {
    await using folder = await temporaryFolder();
    const { embedded, clock } = await bench(folder.path);
    using _ = embedded;
    await report(embedded, 'a');
    clock.advance(10_000);
    await report(embedded, 'b');
    const stop = new AbortController();
    const query = { model: 'AMM', alias: 'production', heartbeatSeconds: 3600 };
    const events = embedded.registry.watchRollout(query, stop.signal)[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      const { value, done } = await events.next();
      assert.ok(done !== true);
      return names(value);
    };
    assert.equal(await next(), 'a b');
    for (const [ms, expected] of [
      [TTL_MS - 10_000, 'b'],
      [10_000, ''],
    ] as const) {
      const waiting = next();
      // The two followers sleep until the next expiry, and both ask the store meanwhile.
      await clock.untilSleeping(4);
      clock.advance(ms);
      assert.equal(await waiting, expected);
    }
    stop.abort();
  });

  it('sends a heartbeat when nothing happens, however often reports are renewed', async () => {
    await using folder = await temporaryFolder();
    const { embedded, clock } = await bench(folder.path);
    using _ = embedded;
    await report(embedded, 'a');
    const stop = new AbortController();
    const query = { model: 'AMM', alias: '', heartbeatSeconds: 5 };
    const events = embedded.registry.watchRollout(query, stop.signal)[Symbol.asyncIterator]();
    await events.next();
    const waiting = events.next();
    await clock.untilSleeping(4);
    await report(embedded, 'a', 2);
    clock.advance(5000);
    const { value } = await waiting;
    assert.equal(value?.kind, 'heartbeat');
    stop.abort();
  });
});
