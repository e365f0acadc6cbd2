import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { openAwsStore } from '../../../registry/adapters/aws/open-aws-store.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { createRegistry, type Registry } from '../../../registry/release/registry.ts';
import { describeRegistry } from '../../contract/registry-contract.ts';
import {
  type AwsTestServers,
  ignoreLeftover,
  needsAws,
  registryEnv,
  startAwsTestStores,
} from '../../support/aws/aws-test-store.ts';
import { deferred } from '../../support/deferred.ts';
import { createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { type RegistryServer, startRegistryServer } from '../../support/registry/registry-server.ts';
import { smallVersion } from '../../support/registry/sample-version.ts';
import { reportOf, servableOf } from '../../support/registry/server-report.ts';
import { isError } from '../../support/service-errors.ts';

describe('a registry on AWS', needsAws(), () => {
  let servers: AwsTestServers;
  before(async () => {
    servers = await startAwsTestStores();
  });
  after(() => servers.stop());

  describeRegistry(
    'in this process, on AWS',
    async () => {
      const { registry, close } = await openOn(await servers.newStore());
      return { registry, close: async () => close() };
    },
    { canSendAnyNumber: true },
  );

  describeRegistry(
    'over gRPC, on AWS',
    async () => {
      const server = await startOn(await servers.newStore());
      return { registry: server.registry, close: () => server[Symbol.asyncDispose]() };
    },
    { canSendAnyNumber: false },
  );

  it('two servers on one table and bucket are one registry: each tells of the other, in order and after a break', async () => {
    const settings = await servers.newStore();
    await using first = await startOn(settings);
    await using second = await startOn(settings);
    await createClassifier(first.registry, 'm');
    for (const seed of ['one', 'two', 'three']) {
      await publish(second.registry, 'm', smallVersion(seed));
    }
    const watch = async (registry: Registry, cursor: string, count: number) => {
      const seen: { version: number; cursor: string }[] = [];
      for await (const event of registry.watchAliases({ cursor, heartbeatSeconds: 3600 }, never)) {
        if (event.kind === 'change') {
          seen.push({ version: event.alias.version, cursor: event.cursor });
        }
        if (event.kind === 'snapshot' && cursor === '') {
          assert.deepEqual(event.aliases, []);
          started.resolve();
        }
        if (seen.length === count) {
          return seen;
        }
      }
      return seen;
    };
    const started = deferred();
    const watching = watch(first.registry, '', 3);
    await started.promise;
    for (const version of [1, 2, 3]) {
      await second.registry.promoteVersion(promotion({ model: 'm', version }), never);
    }
    const changes = await watching;
    assert.deepEqual(
      changes.map(({ version }) => version),
      [1, 2, 3],
    );
    // A watcher that comes back with its cursor, to either of them, misses nothing and hears nothing twice.
    const resumed = await watch(second.registry, changes[0]?.cursor ?? '', 2);
    assert.deepEqual(
      resumed.map(({ version }) => version),
      [2, 3],
    );
  });

  it('what servers report to one registry and what is wished for there, another one knows', async () => {
    const settings = await servers.newStore();
    await using first = await startOn(settings);
    await using second = await startOn(settings);
    await createClassifier(first.registry, 'AMM');
    const { version } = await publish(first.registry, 'AMM', smallVersion('one'));
    await first.registry.promoteVersion(promotion({ model: 'AMM', version: 1, alias: 'canary' }), never);

    const watching = second.registry.watchRollout({ model: 'AMM', alias: '', heartbeatSeconds: 3600 }, never);
    const rollouts = watching[Symbol.asyncIterator]();
    const ready = async (): Promise<number | undefined> => {
      const { value } = await rollouts.next();
      return value?.kind === 'rollout' ? value.rollout.aliases[0]?.ready : undefined;
    };
    assert.equal(await ready(), 0);
    const required = promotion({ model: 'AMM', version: 1, requireReady: 1 });
    await assert.rejects(second.registry.promoteVersion(required, never), isError('failed-precondition', 'NOT_ENOUGH_READY'));
    const servables = [servableOf(1, version.manifest.digest)];
    await first.registry.reportServables(reportOf('a', { servables }), never);
    assert.equal(await ready(), 1);
    await second.registry.promoteVersion(required, never);

    await first.registry.prefetchVersion({ model: 'AMM', version: 1, holdSeconds: 60 }, never);
    for await (const event of second.registry.watchAliases({ cursor: '', heartbeatSeconds: 3600 }, never)) {
      if (event.kind === 'prefetch') {
        assert.equal(event.wish.version, 1);
        break;
      }
    }
  });

  it('many publishers and promoters on three registries lose nothing', async () => {
    const settings = await servers.newStore();
    const registries = await Promise.all([1, 2, 3].map(() => openOn(settings)));
    const [first] = registries;
    assert.ok(first !== undefined);
    await createClassifier(first.registry, 'm');
    const at = (index: number): Registry => (registries[index % 3] ?? first).registry;
    const published = await Promise.all(
      Array.from({ length: 8 }, (_, index) => publish(at(index), 'm', smallVersion(`at once ${index}`))),
    );
    assert.deepEqual(
      published.map(({ version }) => version.version).toSorted((a, b) => a - b),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
    let moves = 0;
    await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        for (let round = 0; round < 10; round++) {
          const { alias, previousVersion } = await at(index).promoteVersion(promotion({ model: 'm', version: index + 1 }), never);
          moves += previousVersion === alias.version ? 0 : 1;
        }
      }),
    );
    const { items } = await first.registry.listAliasEvents({ model: 'm', alias: '', pageSize: 1000, pageToken: '' }, never);
    assert.deepEqual(
      items.map(({ state }) => state.revision),
      Array.from({ length: moves }, (_, index) => moves - index),
    );
    for (const { close } of registries) {
      close();
    }
  });
});

async function openOn(settings: AwsSettings): Promise<{ readonly registry: Registry; close(): void }> {
  const deps = { clock: systemClock, onLeftover: ignoreLeftover };
  const store = await openAwsStore(settings, deps, never);
  const registry = createRegistry(
    { ...store, clock: systemClock, newId: () => randomUUID() },
    { feedPollMs: 10, serverTtlMs: 30_000 },
  );
  return { registry, close: () => store.close() };
}

function startOn(settings: AwsSettings): Promise<RegistryServer> {
  return startRegistryServer('/nowhere', registryEnv(settings));
}
