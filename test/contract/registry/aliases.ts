import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { digestOf } from '../../../proto/wire/digest.ts';
import { encodePageToken } from '../../../registry/model/page-token.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';

export function describeAliases(registry: () => Registry): void {
  describe('aliases', () => {
    beforeEach(async () => {
      await createClassifier(registry(), 'AMM');
      for (const seed of ['one', 'two', 'three']) {
        await publish(registry(), 'AMM', smallVersion(seed));
      }
    });

    const promote = (version: number, change: object = {}) =>
      registry().promoteVersion(promotion({ model: 'AMM', version, ...change }), never);
    const rollback = (change: object = {}) => {
      const { version: _, ...command } = promotion({ model: 'AMM', ...change });
      return registry().rollbackAlias(command, never);
    };

    it('promotes, and tells what was there before', async () => {
      const first = await promote(2);
      assert.deepEqual([first.alias.version, first.alias.revision, first.previousVersion], [2, 1, 0]);
      const second = await promote(3);
      assert.deepEqual([second.alias.version, second.alias.revision, second.previousVersion], [3, 2, 2]);
      const { aliases } = await registry().getModel('AMM', never);
      assert.deepEqual(
        aliases.map(({ alias, version, revision }) => [alias, version, revision]),
        [['production', 3, 2]],
      );
      assert.equal(
        aliases[0]?.manifest.digest,
        (await registry().getVersion({ model: 'AMM', version: 3 }, never)).manifest.digest,
      );
    });

    it('compares the expected revision', async () => {
      await promote(1, { expectedRevision: 0 });
      await promote(2, { expectedRevision: 1 });
      for (const expectedRevision of [0, 1, 3]) {
        const error = await rejection(promote(3, { expectedRevision }));
        assert.deepEqual(
          [error.kind, error.reason, error.metadata['current_revision'], error.metadata['current_version']],
          ['aborted', 'REVISION_CONFLICT', '2', '2'],
        );
      }
      const missing = await rejection(promote(1, { alias: 'canary', expectedRevision: 4 }));
      assert.deepEqual([missing.reason, missing.metadata['current_revision']], ['REVISION_CONFLICT', '0']);
    });

    it('leaves an alias alone that points there already', async () => {
      const { alias } = await promote(1);
      assert.deepEqual(await promote(1), { alias, previousVersion: 1 });
      assert.deepEqual(await promote(1, { expectedRevision: 1, requestId: 'same' }), { alias, previousVersion: 1 });
      await promote(2);
      assert.deepEqual(await promote(1, { expectedRevision: 1, requestId: 'same' }), { alias, previousVersion: 1 });
      const { items } = await registry().listAliasEvents({ model: 'AMM', alias: '', pageSize: 0, pageToken: '' }, never);
      assert.equal(items.length, 2);
      const conflict = await rejection(promote(2, { expectedRevision: 1 }));
      assert.equal(conflict.reason, 'REVISION_CONFLICT');
    });

    it('answers a repeated move as the first time', async () => {
      const first = await promote(1, { requestId: 'p' });
      await promote(2);
      assert.deepEqual(await promote(1, { requestId: 'p' }), first);
      await assert.rejects(promote(3, { requestId: 'p' }), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
      const back = await rollback({ requestId: 'r' });
      assert.deepEqual(await rollback({ requestId: 'r' }), back);
      assert.deepEqual([back.alias.version, back.alias.revision, back.previousVersion], [1, 3, 2]);
      await assert.rejects(rollback({ requestId: 'r', reason: 'other' }), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
      // One id may serve a promotion and a rollback: they are different requests.
      await promote(2, { requestId: 'r' });
    });

    it('refuses reserved and malformed names, listing all that is wrong', async () => {
      for (const alias of ['latest', 'LATEST', 'v1', 'V22']) {
        await assert.rejects(promote(1, { alias }), hasViolationAt('RESERVED_ALIAS', 'alias'));
      }
      await assert.rejects(
        promote(0, { alias: 'latest', model: 'no name', reason: 'r'.repeat(1001), actor: 'a'.repeat(201) }),
        hasViolationAt('INVALID_REQUEST', 'version', 'alias', 'model', 'reason', 'actor'),
      );
      await assert.rejects(promote(1, { alias: 'Production' }), hasViolationAt('INVALID_REQUEST', 'alias'));
    });

    it('names what does not exist', async () => {
      await promote(1);
      const version = await rejection(promote(9));
      assert.deepEqual([version.kind, version.reason], ['not-found', 'VERSION_NOT_FOUND']);
      assert.match(version.message, /newest is 3/);
      await assert.rejects(promote(1, { model: 'GMM' }), isError('not-found', 'MODEL_NOT_FOUND'));
      await assert.rejects(rollback({ model: 'GMM' }), isError('not-found', 'MODEL_NOT_FOUND'));
      const alias = await rejection(
        registry().resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'prodction' } }, never),
      );
      assert.deepEqual([alias.kind, alias.reason], ['not-found', 'ALIAS_NOT_FOUND']);
      assert.match(alias.message, /"production"/);
      await assert.rejects(rollback({ alias: 'canary' }), isError('not-found', 'ALIAS_NOT_FOUND'));
      await assert.rejects(
        registry().resolveVersion({ model: 'AMM', ref: undefined }, never),
        hasViolationAt('INVALID_REQUEST', 'ref'),
      );
      await assert.rejects(
        registry().resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'v1' } }, never),
        hasViolationAt('INVALID_REQUEST', 'alias'),
      );
    });

    it('rolls back one promotion after another, like undo', async () => {
      await promote(1);
      await promote(2);
      await promote(3);
      assert.equal((await rollback()).alias.version, 2);
      assert.equal((await rollback({ expectedRevision: 4 })).alias.version, 1);
      await assert.rejects(rollback(), isError('failed-precondition', 'NO_PREVIOUS_VERSION'));
      const again = await promote(3);
      assert.deepEqual([again.alias.revision, again.previousVersion], [6, 1]);
      assert.equal((await rollback()).alias.version, 1);
      await assert.rejects(rollback(), isError('failed-precondition', 'NO_PREVIOUS_VERSION'));
      await assert.rejects(rollback({ expectedRevision: 1 }), isError('aborted', 'REVISION_CONFLICT'));
    });

    it('keeps who, when, why, from and to', async () => {
      await promote(1, { actor: 'ada', reason: 'first' });
      await promote(2, { alias: 'canary', actor: 'bob' });
      await promote(2, { actor: 'cyd', reason: 'better' });
      await rollback({ actor: 'dan', reason: 'worse' });
      const list = async (alias: string, pageSize = 0, pageToken = '') =>
        registry().listAliasEvents({ model: 'AMM', alias, pageSize, pageToken }, never);
      const { items } = await list('production');
      assert.deepEqual(
        items.map(({ state, action, fromVersion, actor, reason }) => [
          state.revision,
          action,
          fromVersion,
          state.version,
          actor,
          reason,
        ]),
        [
          [3, 'rollback', 2, 1, { name: 'dan', isVerified: false }, 'worse'],
          [2, 'promote', 1, 2, { name: 'cyd', isVerified: false }, 'better'],
          [1, 'promote', 0, 1, { name: 'ada', isVerified: false }, 'first'],
        ],
      );
      assert.ok(items.every(({ state }) => state.updateTimeMs > Date.UTC(2020, 0, 1)));
      const first = await list('', 3);
      const second = await list('', 3, first.nextPageToken);
      const names = [...first.items, ...second.items].map(({ actor }) => actor.name);
      assert.deepEqual([names, second.nextPageToken], [['dan', 'cyd', 'bob', 'ada'], '']);
      await assert.rejects(list('canary', 3, first.nextPageToken), hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
      // As somebody makes them who knows how: of no number, of none that there is, and of another alias's event.
      for (const position of ['', 'x', '-1', '0', '1e3', '9'.repeat(16), '9'.repeat(15), '2']) {
        const forged = encodePageToken(['ListAliasEvents', 'AMM', 'production'], position);
        await assert.rejects(list('production', 3, forged), hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'), position);
      }
      await assert.rejects(list('Latest'), hasViolationAt('INVALID_REQUEST', 'alias'));
      await assert.rejects(
        registry().listAliasEvents({ model: 'none', alias: '', pageSize: 0, pageToken: '' }, never),
        isError('not-found', 'MODEL_NOT_FOUND'),
      );
    });

    it('knows where an alias pointed at a time, in pages too', async () => {
      const at = async (atMs: number, change: object = {}) =>
        registry().listAliasEvents({ model: 'AMM', alias: 'production', pageSize: 0, pageToken: '', atMs, ...change }, never);
      assert.deepEqual((await at(Date.now())).items, []);
      await promote(1, { alias: 'canary' });
      for (const version of [1, 2, 3, 1, 2]) {
        await promote(version);
      }
      await rollback();
      const { items } = await registry().listAliasEvents(
        { model: 'AMM', alias: 'production', pageSize: 0, pageToken: '' },
        never,
      );
      for (const { state } of items) {
        const time = state.updateTimeMs;
        // Moves within one millisecond have one time: the last of them counts.
        const expected = items.filter((event) => event.state.updateTimeMs <= time);
        assert.deepEqual((await at(time)).items, expected);
        assert.deepEqual(
          (await at(time - 1)).items,
          items.filter((event) => event.state.updateTimeMs < time),
        );
      }
      const oldest = items.at(-1)?.state.updateTimeMs ?? 0;
      for (const time of [oldest - 1, -1]) {
        assert.deepEqual(await at(time), { items: [], nextPageToken: '' });
      }
      const pageSize = 4;
      const now = Date.now() + 1000;
      const first = await at(now, { pageSize });
      const second = await at(now, { pageSize, pageToken: first.nextPageToken });
      assert.deepEqual([...first.items, ...second.items], items);
      await assert.rejects(at(now + 1, { pageToken: first.nextPageToken }), hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
      await assert.rejects(at(now, { alias: '' }), hasViolationAt('INVALID_REQUEST', 'alias'));
      await assert.rejects(at(now, { model: 'none' }), isError('not-found', 'MODEL_NOT_FOUND'));
    });

    it('resolves by version, alias and latest, with places to read from', async () => {
      await promote(2);
      const sample = smallVersion('two');
      const byAlias = await registry().resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'production' } }, never);
      assert.deepEqual([byAlias.version.version, byAlias.alias?.revision], [2, 1]);
      assert.ok(Buffer.from(byAlias.manifestJson).equals(sample.manifestJson));
      const digests = [digestOf(sample.manifestJson), ...sample.manifest.artifacts.map(({ digest }) => digest)];
      assert.deepEqual(
        byAlias.locations.map(({ digest }) => digest),
        digests,
      );
      for (const { locations } of byAlias.locations) {
        assert.equal(locations.at(-1)?.kind, 'registry');
      }
      const byNumber = await registry().resolveVersion({ model: 'AMM', ref: { kind: 'version', version: 1 } }, never);
      assert.deepEqual([byNumber.version.version, byNumber.alias], [1, undefined]);
      const latest = await registry().resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'latest' } }, never);
      assert.deepEqual([latest.version.version, latest.alias], [3, undefined]);
    });
  });
}
