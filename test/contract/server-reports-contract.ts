import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { digestOf } from '../../proto/wire/digest.ts';
import type { LiveReport } from '../../registry/model/rollout.ts';
import type { ServableReport } from '../../registry/model/server-report.ts';
import type { ServerReports } from '../../registry/release/server-reports.ts';
import { asAlias, asModel } from '../support/made-version.ts';
import { never } from '../support/registry/publish.ts';
import { isError } from '../support/service-errors.ts';

/** To come, since DynamoDB itself removes what has ended. */
const START_MS = Date.UTC(2100, 0, 1);
const DIGEST = digestOf(Buffer.from('manifest'));

/** What every adapter of the ServerReports port promises. */
export function describeServerReports(name: string, create: () => Promise<ServerReports>): void {
  describe(`server reports: ${name}`, () => {
    let reports: ServerReports;
    beforeEach(async () => {
      reports = await create();
    });
    const ids = async (nowMs = START_MS) =>
      (await reports.list(asModel('M'), nowMs, never)).map(({ server }) => server.id).toSorted();

    it('gives what each server said last of one model, and nothing of others', async () => {
      await reports.put(liveReport('a', { servables: [servable('M', 1), servable('N', 1)] }), never);
      await reports.put(liveReport('b', { servables: [servable('N', 2)] }), never);
      await reports.put(liveReport('a', { sequence: 2, servables: [servable('M', 3), servable('N', 1)] }), never);
      const listed = await reports.list(asModel('M'), START_MS, never);
      const expected = liveReport('a', { sequence: 2, servables: [servable('M', 3)] });
      const byId = listed.toSorted((x, y) => (x.server.id < y.server.id ? -1 : 1));
      assert.deepEqual(byId, [
        { ...expected, aliases: expected.aliases.filter(({ model }) => model === 'M') },
        { ...liveReport('b', {}), servables: [], aliases: liveReport('b', {}).aliases.filter(({ model }) => model === 'M') },
      ]);
    });

    it('keeps the newer report when an older one comes late; the same one again renews it', async () => {
      await reports.put(liveReport('a', { sequence: 5, servables: [servable('M', 5)] }), never);
      await reports.put(liveReport('a', { sequence: 4, servables: [servable('M', 4)], expireTimeMs: START_MS + 99_000 }), never);
      const [first] = await reports.list(asModel('M'), START_MS, never);
      assert.deepEqual([first?.servables[0]?.version, first?.expireTimeMs], [5, START_MS + 30_000]);
      await reports.put(liveReport('a', { sequence: 5, servables: [servable('M', 5)], expireTimeMs: START_MS + 99_000 }), never);
      assert.deepEqual(await ids(START_MS + 98_999), ['server-a']);
    });

    it('gives no report whose time is up', async () => {
      await reports.put(liveReport('a', {}), never);
      await reports.put(liveReport('b', { expireTimeMs: START_MS + 40_000 }), never);
      assert.deepEqual(await ids(START_MS + 29_999), ['server-a', 'server-b']);
      assert.deepEqual(await ids(START_MS + 30_000), ['server-b']);
      assert.deepEqual(await ids(START_MS + 40_000), []);
    });

    it('forgets a server that is removed; once more is no error', async () => {
      await reports.put(liveReport('a', {}), never);
      await reports.put(liveReport('b', {}), never);
      await reports.remove('server-a', never);
      await reports.remove('server-a', never);
      assert.deepEqual(await ids(), ['server-b']);
    });

    it('grows its head with news, not with renewals, and says so', async () => {
      const heads = [await reports.head(never)];
      const said: (number | undefined)[] = [];
      const note = async (head: number | undefined) => {
        said.push(head);
        heads.push(await reports.head(never));
      };
      await note(await reports.put(liveReport('a', {}), never));
      const renewal = { sequence: 2, reportTimeMs: START_MS + 1, expireTimeMs: START_MS + 30_001 };
      await note(await reports.put(liveReport('a', renewal), never));
      await note(await reports.put(liveReport('a', { sequence: 3, servables: [servable('M', 2)] }), never));
      await note(await reports.put(liveReport('a', { sequence: 2, servables: [servable('M', 1)] }), never));
      await note(await reports.remove('server-a', never));
      await note(await reports.remove('server-a', never));
      await note(await reports.put(liveReport('a', { servables: [servable('M', 2)] }), never));
      const grew = heads.slice(1).map((head, index) => head > (heads[index] ?? 0));
      assert.deepEqual(grew, [true, false, true, false, true, false, true]);
      assert.deepEqual(
        said,
        heads.slice(1).map((head, index) => (grew[index] === true ? head : undefined)),
      );
    });

    it('takes what a server says that was gone for a while as news, whatever it said before', async () => {
      const said = { servables: [servable('M', 1)] };
      await reports.put(liveReport('a', { ...said, sequence: 7 }), never);
      const [reportTimeMs, expireTimeMs] = [START_MS + 30_000, START_MS + 60_000];
      const head = await reports.put(liveReport('a', { ...said, sequence: 2, reportTimeMs, expireTimeMs }), never);
      assert.ok(head !== undefined);
      assert.deepEqual(await ids(reportTimeMs), ['server-a']);
    });

    it('keeps every field of a failure and of an alias that serves nothing', async () => {
      const failure = { kind: 'data-loss' as const, reason: 'DIGEST_MISMATCH', message: 'größer als ≤ 1' };
      const servables = [{ ...servable('M', 1), state: 'failed' as const, failure }, servable('M', 2)];
      const report = liveReport('a', { servables });
      const aliases = report.aliases.slice(0, 1).map((alias) => ({ ...alias, serving: undefined }));
      await reports.put({ ...report, aliases }, never);
      assert.deepEqual(await reports.list(asModel('M'), START_MS, never), [{ ...report, aliases }]);
    });

    it('stops for a caller who left', async () => {
      const left = AbortSignal.abort();
      const isCancelled = isError('cancelled', 'CANCELLED');
      await assert.rejects(reports.put(liveReport('a', {}), left), isCancelled);
      await assert.rejects(reports.remove('server-a', left), isCancelled);
      await assert.rejects(reports.list(asModel('M'), START_MS, left), isCancelled);
      await assert.rejects(reports.head(left), isCancelled);
      assert.deepEqual(await ids(), []);
    });
  });
}

export function liveReport(name: string, change: Partial<LiveReport>): LiveReport {
  const serving = { version: 1, manifestDigest: DIGEST };
  const alias = { alias: asAlias('production'), desiredVersion: 1, desiredRevision: 1, serving };
  return {
    server: { id: `server-${name}`, name, serverVersion: '1', servedModels: ['*'], servedAliases: ['production'] },
    sequence: 1,
    servables: [],
    aliases: [
      { model: asModel('M'), ...alias },
      { model: asModel('N'), ...alias },
    ],
    reportTimeMs: START_MS,
    expireTimeMs: START_MS + 30_000,
    ...change,
  };
}

function servable(model: string, version: number): ServableReport {
  return { model: asModel(model), version, manifestDigest: DIGEST, state: 'ready', failure: undefined, sinceMs: START_MS };
}
