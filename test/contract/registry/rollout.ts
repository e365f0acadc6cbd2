import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { digestOf } from '../../../proto/wire/digest.ts';
import { MAX_REPORT_ENTRIES } from '../../../proto/wire/report-limits.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { ReportServablesCommand } from '../../../registry/release/report-servables.ts';
import type { RolloutEvent } from '../../../registry/release/rollout.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { reportOf, servableOf, servedOf } from '../../support/registry/server-report.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

const ONE = digestOf(smallVersion('one').manifestJson);
const TWO = digestOf(smallVersion('two').manifestJson);
const REFUSED = { kind: 'failed-precondition', reason: 'LOAD_FAILED', message: 'no such operator' } as const;

export function describeRollout(registry: () => Registry): void {
  describe('rollout', () => {
    beforeEach(async () => {
      await createClassifier(registry(), 'AMM');
      for (const seed of ['one', 'two']) {
        await publish(registry(), 'AMM', smallVersion(seed));
      }
      await registry().promoteVersion(promotion({ model: 'AMM', version: 2 }), never);
    });

    const report = (name: string, change: Partial<ReportServablesCommand> = {}) =>
      registry().reportServables(reportOf(name, change), never);
    const rollout = (alias = '') => registry().getRollout({ model: 'AMM', alias }, never);

    it('says how far each server is, and counts', async () => {
      await report('a', { servables: [servableOf(2, TWO)], aliases: [servedOf(2, TWO)] });
      const behind = servedOf(2, TWO, { servingVersion: 1, servingManifestDigest: ONE });
      const failed = servableOf(2, TWO, { state: 'failed', failure: REFUSED, sinceMs: 1_700_000_000_123 });
      await report('b', { servables: [servableOf(1, ONE), failed], aliases: [behind] });
      await report('c', { servables: [servableOf(2, TWO, { state: 'loading' })] });
      const found = await rollout('production');
      assert.deepEqual(
        found.aliases.map(({ alias, ...counts }) => [alias.version, alias.revision, counts]),
        [[2, 1, { required: 3, serving: 1, ready: 2, failed: 1 }]],
      );
      assert.deepEqual(found.versions, [
        { version: 2, manifestDigest: TWO, ready: 2, loaded: 1, failed: 1 },
        { version: 1, manifestDigest: ONE, ready: 1, loaded: 1, failed: 0 },
      ]);
      assert.deepEqual(
        found.servers.map(({ id, name, serverVersion }) => [id, name, serverVersion]),
        [
          ['server-a', 'a', '0.1.0'],
          ['server-b', 'b', '0.1.0'],
          ['server-c', 'c', '0.1.0'],
        ],
      );
      const [, b] = found.servers;
      assert.deepEqual(b?.servables[1], failed);
      assert.deepEqual(b?.aliases, [
        {
          model: 'AMM',
          alias: 'production',
          desiredVersion: 2,
          desiredRevision: 1,
          serving: { version: 1, manifestDigest: ONE },
        },
      ]);
    });

    it('counts as ready what is whole and has not failed since', async () => {
      const cases = [
        ['unspecified', undefined, 0],
        ['wanted', undefined, 0],
        ['fetching', undefined, 0],
        ['fetched', undefined, 1],
        ['loading', undefined, 1],
        ['ready', undefined, 1],
        ['draining', undefined, 0],
        ['failed', REFUSED, 0],
        // It is tried again, and passes through what a good version passes through.
        ['fetched', REFUSED, 0],
        ['loading', REFUSED, 0],
      ] as const;
      for (const [index, [state, failure, ready]] of cases.entries()) {
        await report('a', { sequence: index + 1, servables: [servableOf(2, TWO, { state, failure })] });
        const { aliases, versions } = await rollout('production');
        assert.deepEqual([aliases[0]?.ready, versions[0]?.ready], [ready, ready], `${state} ${failure?.reason}`);
        assert.equal(aliases[0]?.failed, failure === undefined ? 0 : 1);
      }
    });

    it('requires the servers that keep the alias loaded, whatever else there is', async () => {
      const only = (servedModels: string[], servedAliases: string[]) => ({ servedModels, servedAliases, serverVersion: '1' });
      const server = (name: string, models: string[], aliases: string[]) =>
        report(name, { server: { id: `server-${name}`, name, ...only(models, aliases) } });
      await server('all', ['*'], ['production']);
      await server('some', ['A*'], ['production', 'canary']);
      await server('others', ['CLS_*'], ['production']);
      await server('canary', ['*'], ['canary']);
      await registry().promoteVersion(promotion({ model: 'AMM', version: 1, alias: 'canary' }), never);
      const { aliases, servers } = await rollout();
      assert.deepEqual(
        aliases.map(({ alias, required }) => [alias.alias, required]),
        [
          ['canary', 2],
          ['production', 2],
        ],
      );
      assert.deepEqual(
        servers.map(({ name }) => name),
        ['all', 'canary', 'some'],
      );
      assert.deepEqual(
        (await rollout('canary')).servers.map(({ name }) => name),
        ['canary', 'some'],
      );
    });

    it('does not take the same number for the same version', async () => {
      await report('a', { servables: [servableOf(2, ONE)], aliases: [servedOf(2, ONE)] });
      const { aliases } = await rollout('production');
      assert.deepEqual([aliases[0]?.required, aliases[0]?.serving, aliases[0]?.ready], [1, 0, 0]);
    });

    it('tells of no other model', async () => {
      const other = { model: 'GMM' };
      await report('a', { servables: [servableOf(2, TWO, other)], aliases: [servedOf(2, TWO, other)] });
      const { servers, versions } = await rollout('production');
      assert.deepEqual([versions, servers[0]?.servables, servers[0]?.aliases], [[], [], []]);
    });

    it('replaces a report as a whole, and never by an older one', async () => {
      await report('a', { sequence: 2, servables: [servableOf(2, TWO)] });
      await report('a', { sequence: 1, servables: [servableOf(1, ONE)] });
      const versions = async () => (await rollout()).versions.map(({ version }) => version);
      assert.deepEqual(await versions(), [2]);
      await report('a', { sequence: 3, servables: [servableOf(1, ONE)] });
      assert.deepEqual(await versions(), [1]);
    });

    it('forgets a server that stops, and says how long one counts that does not', async () => {
      const { expireAfterMs } = await report('a');
      assert.equal(expireAfterMs, 30_000);
      assert.equal((await rollout()).servers.length, 1);
      await report('a', { sequence: 2, isStopping: true });
      assert.equal((await rollout()).servers.length, 0);
      await report('a', { sequence: 3, isStopping: true });
    });

    it('refuses what no server says, naming every field', async () => {
      const server = {
        id: 'short',
        name: 'n'.repeat(256),
        serverVersion: 'v'.repeat(65),
        servedModels: ['*', 'm'.repeat(256)],
        servedAliases: ['a\0'],
      };
      const bad = servableOf(0, 'sha256:short', {
        model: 'no name',
        sinceMs: -1,
        failure: { kind: 'internal', reason: 'r'.repeat(65), message: 'm'.repeat(1001) },
      });
      const alias = servedOf(1, 'md5', { model: '', alias: 'Latest' });
      await assert.rejects(
        report('a', { server, servables: [servableOf(1, ONE), bad], aliases: [alias] }),
        hasViolationAt(
          'INVALID_REQUEST',
          'server.id',
          'server.name',
          'server.server_version',
          'server.served_models[1]',
          'server.served_aliases[0]',
        ),
      );
      await assert.rejects(
        report('a', { servables: [servableOf(1, ONE), bad], aliases: [alias] }),
        hasViolationAt(
          'INVALID_REQUEST',
          'servables[1].model',
          'servables[1].version',
          'servables[1].manifest_digest',
          'servables[1].since',
          'servables[1].error.message',
          'servables[1].error.reason',
          'aliases[0].model',
          'aliases[0].alias',
          'aliases[0].serving_manifest_digest',
        ),
      );
      await assert.rejects(
        report('a', { server: undefined, sequence: 0 }),
        hasViolationAt('INVALID_REQUEST', 'server', 'sequence'),
      );
      assert.deepEqual((await rollout()).servers, []);
    });

    it('bounds what one report may hold', async () => {
      const many = <T>(item: T, more = 0): T[] => Array.from({ length: MAX_REPORT_ENTRIES + more }, () => item);
      const alias = servedOf(1, ONE);
      await report('a', { servables: many(servableOf(1, ONE)), aliases: many(alias) });
      const server = reportOf('a', {}).server;
      await assert.rejects(
        report('a', {
          sequence: 2,
          servables: many(servableOf(0, ''), 1),
          aliases: many(alias, 1),
          server: server && { ...server, servedModels: many('x', 1), servedAliases: many('x', 1) },
        }),
        hasViolationAt('INVALID_REQUEST', 'servables', 'aliases', 'server.served_models', 'server.served_aliases'),
      );
    });

    it('names what does not exist', async () => {
      const ask = (model: string, alias = '') => registry().getRollout({ model, alias }, never);
      await assert.rejects(ask('GMM'), isError('not-found', 'MODEL_NOT_FOUND'));
      await assert.rejects(ask('AMM', 'canary'), isError('not-found', 'ALIAS_NOT_FOUND'));
      await assert.rejects(ask('no name', 'latest'), hasViolationAt('INVALID_REQUEST', 'model', 'alias'));
      await assert.rejects(watch('canary').next(), isError('not-found', 'ALIAS_NOT_FOUND'));
      await assert.rejects(watch('', 3601).next(), hasViolationAt('INVALID_REQUEST', 'heartbeat_seconds'));
    });

    const watch = (alias = 'production', heartbeatSeconds = 3600) => {
      const stop = new AbortController();
      const query = { model: 'AMM', alias, heartbeatSeconds };
      const events = registry().watchRollout(query, stop.signal)[Symbol.asyncIterator]();
      const next = async (): Promise<RolloutEvent> => {
        const { value, done } = await events.next();
        assert.ok(done !== true, 'the watch ended');
        return value;
      };
      return { next, stop: () => stop.abort() };
    };
    const counts = (event: RolloutEvent) =>
      event.kind === 'rollout'
        ? event.rollout.aliases.map(({ alias, required, serving, failed }) => [alias.version, required, serving, failed])[0]
        : event.kind;

    it('shows it again after each change: of a report, of the alias, of a server that leaves', async () => {
      const { next, stop } = watch();
      assert.deepEqual(counts(await next()), [2, 0, 0, 0]);
      let coming = next();
      await report('a', { servables: [servableOf(2, TWO)], aliases: [servedOf(2, TWO)] });
      assert.deepEqual(counts(await coming), [2, 1, 1, 0]);
      coming = next();
      await registry().promoteVersion(promotion({ model: 'AMM', version: 1 }), never);
      assert.deepEqual(counts(await coming), [1, 1, 0, 0]);
      coming = next();
      // A renewal is no change: the next one shows the failure.
      await report('a', { sequence: 2, servables: [servableOf(2, TWO)], aliases: [servedOf(2, TWO)] });
      const failed = servableOf(1, ONE, { state: 'failed', failure: REFUSED });
      await report('a', { sequence: 3, servables: [servableOf(2, TWO), failed], aliases: [servedOf(2, TWO)] });
      assert.deepEqual(counts(await coming), [1, 1, 0, 1]);
      coming = next();
      await report('a', { sequence: 4, isStopping: true });
      assert.deepEqual(counts(await coming), [1, 0, 0, 0]);
      stop();
    });

    it('ends the watch when the caller leaves', async () => {
      const { next, stop } = watch();
      await next();
      const waiting = next();
      stop();
      await assert.rejects(waiting, isError('cancelled', 'CANCELLED'));
    });
  });
}
