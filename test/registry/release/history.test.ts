import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openEmbedded } from '../../support/registry/embedded-registry.ts';
import { never } from '../../support/registry/publish.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { hasViolationAt } from '../../support/service-errors.ts';

it('refuses a time that is none, as of a timestamp beyond all dates', async () => {
  await using folder = await temporaryFolder();
  const { registry, ...embedded } = await openEmbedded(folder.path);
  const query = { model: 'm', alias: 'production', pageSize: 0, pageToken: '', atMs: new Date(8.64e15 + 1).getTime() };
  await assert.rejects(registry.listAliasEvents(query, never), hasViolationAt('INVALID_REQUEST', 'at'));
  embedded[Symbol.dispose]();
});
