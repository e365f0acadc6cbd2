import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRegistryClient } from '../../clients/registry-client.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { WatchAliasesResponse } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { parseModelReference } from '../../proto/wire/names.ts';
import { deferred } from '../support/deferred.ts';
import { FakeInference, failWith } from '../support/fake-inference.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { manualRetry } from '../support/manual-retry.ts';
import { refusedPort } from '../support/refused-port.ts';
import { isError, rejection } from '../support/service-errors.ts';

const KIND = ModelKind.MODEL_KIND_CLASSIFICATION;

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}

function unavailable(): ServiceError {
  return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'not now');
}

test('lists across pages, fetching the next one only when the loop gets there', async () => {
  const registry = new FakeRegistry();
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address });
  try {
    for (const name of ['A', 'B', 'C', 'D', 'E']) {
      await client.createModel({ name, kind: KIND, labels: { set: name < 'C' ? 'x' : 'y' } });
    }
    assert.deepEqual(
      (await collect(client.listModels())).map(({ name }) => name),
      ['A', 'B', 'C', 'D', 'E'],
    );
    assert.equal(registry.calls.filter((what) => what === 'listModels').length, 3);
    assert.deepEqual(
      (await collect(client.listModels({ labels: { set: 'y' } }))).map(({ name }) => name),
      ['C', 'D', 'E'],
    );
    for await (const _ of client.listModels()) {
      break;
    }
    assert.equal(registry.calls.filter((what) => what === 'listModels').length, 6);
  } finally {
    client.close();
  }
});

test('creates a model under one request id, however often it tries', async () => {
  const registry = new FakeRegistry();
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address }, manualRetry());
  try {
    registry.fail = () => {
      registry.fail = () => undefined;
      throw unavailable();
    };
    await client.createModel({ name: 'A', kind: KIND });
    await client.createModel({ name: 'B', kind: KIND });
    const [first, again, other] = registry.creationIds;
    assert.ok(first !== undefined && first !== '');
    assert.equal(again, first);
    assert.notEqual(other, first);
  } finally {
    client.close();
  }
});

test('ensures a model whoever was first', async () => {
  const registry = new FakeRegistry();
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address }, manualRetry());
  try {
    assert.equal((await client.ensureModel({ name: 'A', kind: KIND })).created, true);
    assert.equal((await client.ensureModel({ name: 'A', kind: KIND })).created, false);
    // Another publisher creates it between the look and the creation.
    registry.fail = (what) => {
      if (what === 'createModel') {
        registry.fail = () => undefined;
        registry.models.set('B', { name: 'B', kind: KIND, description: '', labels: {}, latestVersion: 0, aliases: [] });
      }
    };
    assert.equal((await client.ensureModel({ name: 'B', kind: KIND })).created, false);
  } finally {
    client.close();
  }
});

test('moves an alias once, however often the call is retried', async () => {
  const registry = new FakeRegistry();
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address }, manualRetry());
  try {
    await client.createModel({ name: 'A', kind: KIND });
    registry.addVersion('A', 1);
    registry.addVersion('A', 2);
    await client.promote('A', 1, 'production');
    registry.fail = (what, count) => {
      if (what === 'promoteVersion' && count === 2) {
        throw unavailable();
      }
    };
    const { alias, previousVersion } = await client.promote('A', 2, 'production', {
      expectedRevision: 1,
      reason: 'better',
      actor: 'me',
    });
    assert.deepEqual([alias.version, alias.revision, previousVersion], [2, 2, 1]);
    assert.equal((await client.rollback('A', 'production')).alias.version, 1);
    const events = await collect(client.history('A', 'production'));
    assert.deepEqual(
      events.map(({ toVersion, reason }) => [toVersion, reason]),
      [
        [1, ''],
        [2, 'better'],
        [1, ''],
      ],
    );
    const ids = registry.promotions.map(({ requestId }) => requestId);
    assert.equal(new Set(ids).size, ids.length, 'two calls of the program are two requests');
    const conflict = await rejection(client.promote('A', 1, 'production', { expectedRevision: 7 }));
    assert.deepEqual([conflict.kind, conflict.metadata['current_revision']], ['aborted', '3']);
  } finally {
    client.close();
  }
});

test('resolves aliases, numbers and latest', async () => {
  const registry = new FakeRegistry();
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address });
  try {
    await client.createModel({ name: 'A', kind: KIND });
    registry.addVersion('A', 1);
    registry.addVersion('A', 2);
    await client.promote('A', 1, 'production');
    for (const [text, version] of [
      ['A', 1],
      ['A:2', 2],
      ['A@latest', 2],
    ] as const) {
      assert.equal((await client.resolve(parseModelReference(text, 'model'))).version?.version, version);
    }
  } finally {
    client.close();
  }
});

test('names the server that cannot be reached', async () => {
  await using nobody = await refusedPort();
  const deps = manualRetry();
  const client = createRegistryClient({ address: nobody.address }, deps);
  try {
    const error = await rejection(client.getModel('A'));
    assert.deepEqual([error.kind, error.reason], ['unavailable', 'UNAVAILABLE']);
    assert.ok(error.message.includes(nobody.address), error.message);
    assert.equal(deps.waits.length, 4);
  } finally {
    client.close();
  }
});

test('says so where another service listens', async () => {
  const inference = new FakeInference(() => failWith(unavailable()));
  await using server = await inference.start();
  const client = createRegistryClient({ address: server.address });
  try {
    const error = await rejection(client.getModel('M'));
    assert.equal(error.reason, 'UNIMPLEMENTED');
    assert.ok(error.message.startsWith(`what listens at ${server.address} is no registry, or one of another release: `));
  } finally {
    client.close();
  }
});

test('a call that is not answered in time fails as that', async () => {
  const registry = new FakeRegistry();
  const hold = deferred();
  registry.held = hold.promise;
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address, timeoutMs: 50 });
  try {
    await assert.rejects(client.getModel('A'), isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
  } finally {
    hold.resolve();
    client.close();
  }
});

function change(cursor: string): WatchAliasesResponse {
  return { cursor, event: { $case: 'heartbeat', value: {} } };
}

test('a watch goes on after the last cursor when its stream breaks', async () => {
  const registry = new FakeRegistry();
  registry.watchScript = [
    { messages: [change('c1'), change('c2')], end: unavailable() },
    { messages: [], end: unavailable() },
    { messages: [change('c3')] },
  ];
  await using server = await registry.start();
  const client = createRegistryClient({ address: server.address }, manualRetry());
  try {
    const cursors: string[] = [];
    for await (const { cursor } of client.watch({ cursor: 'c0', heartbeatSeconds: 5 })) {
      cursors.push(cursor);
      if (cursor === 'c3') {
        break;
      }
    }
    assert.deepEqual(cursors, ['c1', 'c2', 'c3']);
    assert.deepEqual(
      registry.watches.map(({ cursor }) => cursor),
      ['c0', 'c2', 'c2'],
    );
    assert.deepEqual(
      registry.watches.map(({ heartbeatSeconds }) => heartbeatSeconds),
      [5, 5, 5],
    );
  } finally {
    client.close();
  }
});

test('a watch gives up after so many attempts in a row without a message, and at once for what cannot heal', async () => {
  const registry = new FakeRegistry();
  registry.watchScript = [{ messages: [change('c1')], end: unavailable() }];
  await using server = await registry.start();
  const deps = manualRetry();
  const client = createRegistryClient(
    { address: server.address, retry: { attempts: 3, firstDelayMs: 10, maxDelayMs: 10 } },
    deps,
  );
  try {
    assert.equal((await rejection(collect(client.watch()))).kind, 'unavailable');
    assert.equal(registry.watches.length, 3);
    registry.watchScript[3] = { messages: [], end: new ServiceError('invalid-argument', 'INVALID_CURSOR', 'no') };
    await assert.rejects(collect(client.watch({ cursor: 'bad' })), isError('invalid-argument', 'INVALID_CURSOR'));
    assert.equal(registry.watches.length, 4);
  } finally {
    client.close();
  }
});
