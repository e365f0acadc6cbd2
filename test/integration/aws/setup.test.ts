import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { createDynamoClient } from '../../../registry/adapters/aws/aws-clients.ts';
import { type AwsTestServers, needsLocalAws, registryEnv, startAwsTestServers } from '../../support/aws/aws-test-store.ts';
import { createClassifier } from '../../support/registry/publish.ts';
import { startRegistryServer } from '../../support/registry/registry-server.ts';
import { runCommand } from '../../support/run-command.ts';
import { isError, rejection } from '../../support/service-errors.ts';

describe('setup', needsLocalAws(), () => {
  let servers: AwsTestServers;
  before(async () => {
    servers = await startAwsTestServers();
  });
  after(() => servers.stop());

  const settings = () => ({ MODELS_S3_BUCKET: `new-${randomUUID()}`, MODELS_TABLE: `new-${randomUUID()}` });

  it('creates table and bucket once, and a registry works on them', async () => {
    const env = { ...servers.env, ...settings() };
    const first = await runCommand(['setup', '--create-bucket', '--json'], env);
    assert.equal(first.code, 0, first.err);
    const said = JSON.parse(first.out) as Record<string, unknown>;
    assert.deepEqual([said['table_created'], said['bucket_created']], [true, true]);
    const again = await runCommand(['setup'], env);
    assert.match(again.out, /^table {3}new-\S+ {2}is there.*\nbucket {2}new-\S+ {2}is there\n$/);
    const restored = await runCommand(['setup', '--restored', '--json'], env);
    assert.equal(restored.code, 0, restored.err);
    assert.notEqual((JSON.parse(restored.out) as typeof said)['store_id'], said['store_id']);
    await using server = await startRegistryServer('/nowhere', env);
    await createClassifier(server.registry, 'm');
  });

  it('takes no table for a restored one that is not there or holds no catalog, and creates nothing', async () => {
    const env = { ...servers.env, ...settings() };
    const run = () => runCommand(['setup', '--restored', '--create-bucket'], env);
    for (let round = 0; round < 2; round++) {
      const { code, err } = await run();
      assert.equal(code, 1);
      assert.match(err, /there is no table new-.*\[TABLE_NOT_FOUND\]/);
    }
    const place = { ...(await servers.newStore()), bucket: env.MODELS_S3_BUCKET };
    const { code, err } = await runCommand(['setup', '--restored', '--create-bucket'], { ...servers.env, ...registryEnv(place) });
    assert.equal(code, 1);
    assert.match(err, /holds no catalog.*\[UNSUPPORTED_FORMAT\]/);
  });

  it('creates no bucket unless told to', async () => {
    const { code, err } = await runCommand(['setup'], { ...servers.env, ...settings() });
    assert.equal(code, 1);
    assert.match(err, /--create-bucket/);
  });

  it('says that a folder needs none', async () => {
    const { code, err } = await runCommand(['setup']);
    assert.equal(code, 2);
    assert.match(err, /MODELS_S3_BUCKET/);
  });

  it('does not take a table of somebody else', async () => {
    const env = { ...servers.env, ...settings() };
    const dynamo = createDynamoClient(await servers.newStore());
    await dynamo.send(
      new CreateTableCommand({
        TableName: env.MODELS_TABLE,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      }),
    );
    dynamo.destroy();
    const { code, err } = await runCommand(['setup', '--create-bucket'], env);
    assert.equal(code, 1);
    assert.match(err, /HASH id/);
  });

  it('a registry does not start without its table or its bucket, and says what to do', async () => {
    const there = registryEnv(await servers.newStore());
    const changes = [
      [{ MODELS_TABLE: 'not-there' }, 'TABLE_NOT_FOUND'],
      [{ MODELS_S3_BUCKET: 'not-there' }, 'BUCKET_NOT_FOUND'],
    ] as const;
    for (const [change, reason] of changes) {
      const error = await rejection(startRegistryServer('/nowhere', { ...servers.env, ...there, ...change }));
      assert.ok(isError('failed-precondition', reason)(error));
      assert.match(error.message, /not-there.*maskterial setup/);
    }
  });
});
