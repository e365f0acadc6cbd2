import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { RegistryReports } from '../../../inference/adapters/registry-reports.ts';
import type { RolloutReport, ServableReport } from '../../../inference/rollout/report-sink.ts';
import type { VersionState } from '../../../inference/rollout/state.ts';
import { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { MAX_REPORT_ENTRIES } from '../../../proto/wire/report-limits.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { FakeInference, failWith } from '../../support/fake-inference.ts';
import { asAlias, asModel, makeVersion } from '../../support/made-version.ts';
import { createClassifier, never } from '../../support/registry/publish.ts';
import { startRegistryServer } from '../../support/registry/registry-server.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { rejection } from '../../support/service-errors.ts';

const SERVER = {
  id: 'one-start-of-it',
  name: 'host:1',
  serverVersion: '0.1.0',
  servedModels: ['*'],
  servedAliases: ['production'],
};
const { digest } = makeVersion('M', 1).key.manifest;

/** The real registry, knowing a model M without a version. */
async function registryFor(t: TestContext): Promise<{ registry: Registry; client: RegistryServiceClient }> {
  const folder = await temporaryFolder();
  const server = await startRegistryServer(folder.path);
  t.after(async () => {
    await server[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  await createClassifier(server.registry, 'M');
  return server;
}

function servable(version: number, state: VersionState, failure?: ServableReport['failure']): ServableReport {
  return { model: asModel('M'), version, manifestDigest: digest, state, failure, sinceMs: 1_700_000_000_000 };
}

const serversOf = async (registry: Registry) => (await registry.getRollout({ model: 'M', alias: '' }, never)).servers;

test('every state, a failure and what aliases serve arrive as they are', async (t) => {
  const { registry, client } = await registryFor(t);
  const states = ['wanted', 'fetching', 'fetched', 'loading', 'ready', 'draining'] as const;
  const failure = { kind: 'data-loss', reason: 'DIGEST_MISMATCH', message: 'chunk 1 differs' } as const;
  const alias = { model: asModel('M'), alias: asAlias('production'), desiredVersion: 2, desiredRevision: 3 };
  const report: RolloutReport = {
    servables: [...states.map((state, index) => servable(index + 1, state)), servable(7, 'failed', failure)],
    aliases: [{ ...alias, serving: { version: 1, manifestDigest: digest } }],
  };
  assert.deepEqual(await new RegistryReports(client, SERVER).send(report, 1, never), { expireAfterMs: 30_000 });
  const [server] = await serversOf(registry);
  assert.deepEqual([server?.id, server?.name, server?.serverVersion], ['one-start-of-it', 'host:1', '0.1.0']);
  assert.deepEqual(
    server?.servables.toSorted((a, b) => a.version - b.version),
    report.servables,
  );
});

test('leaving is known at once', async (t) => {
  const { registry, client } = await registryFor(t);
  const reports = new RegistryReports(client, SERVER);
  await reports.send({ servables: [servable(1, 'ready')], aliases: [] }, 1, never);
  await reports.leave(2, never);
  assert.deepEqual(await serversOf(registry), []);
});

test('what is more, or longer, than the registry takes is cut; what is not ready yet matters most', async (t) => {
  const { registry, client } = await registryFor(t);
  const names = Array.from({ length: MAX_REPORT_ENTRIES + 1 }, (_, index) => `M${index}`);
  const server = { ...SERVER, name: 'n'.repeat(300), servedModels: ['m'.repeat(256), ...names], servedAliases: names };
  const reports = new RegistryReports(client, server);
  const failure = { kind: 'failed-precondition', reason: 'LOAD_FAILED', message: `a\0${'b'.repeat(2000)}` } as const;
  const ready = Array.from({ length: MAX_REPORT_ENTRIES }, (_, index) => servable(index + 1, 'ready'));
  const alias = { model: asModel('M'), alias: asAlias('production'), desiredVersion: 1, desiredRevision: 1, serving: undefined };
  const aliases = Array.from({ length: MAX_REPORT_ENTRIES + 1 }, () => alias);
  await reports.send({ servables: [...ready, servable(5000, 'failed', failure)], aliases }, 1, never);
  const [found] = await serversOf(registry);
  assert.equal(found?.servables.length, MAX_REPORT_ENTRIES);
  const failed = found?.servables.find(({ version }) => version === 5000);
  assert.equal(failed?.failure?.message, `a ${'b'.repeat(998)}`);
});

test('a registry without this call is told apart from one that is away', async () => {
  await using other = await new FakeInference(() => failWith(new Error('not asked'))).start();
  const old = new RegistryServiceClient(other.address, credentials.createInsecure());
  const error = await rejection(new RegistryReports(old, SERVER).send({ servables: [], aliases: [] }, 1, never));
  assert.equal(error.reason, 'UNIMPLEMENTED');
  old.close();
  const nobody = new RegistryServiceClient('127.0.0.1:1', credentials.createInsecure());
  const away = await rejection(new RegistryReports(nobody, SERVER).leave(1, never));
  assert.equal(away.kind, 'unavailable');
  nobody.close();
});
